"""What every loss must be able to do, whatever it computes: one value for each sample, gradients, configuration, training."""

import json

import numpy as np
import pytest

from applied import gradients_of, values
from mrlayers import backend
from mrlayers.backend import keras
from mrlayers.losses import (
    KL,
    MSE,
    NCC,
    BendingEnergy,
    CrossEntropy,
    Dice,
    DiceCrossEntropy,
    Focal,
    Gradient,
    MutualInformation,
    Tversky,
)
from runtime import RUNTIME, double_precision, evaluate, random, to_numpy

SIZES = {1: (23,), 2: (7, 10), 3: (5, 6, 7)}
PLAIN = {
    "Gradient": lambda ndim: Gradient(),
    "BendingEnergy": lambda ndim: BendingEnergy(spacing=1.5),
    "MSE": lambda ndim: MSE(noise=0.5),
    "NCC": lambda ndim: NCC(window=5),
    "MutualInformation": lambda ndim: MutualInformation(bins=8, value_range=(-1.5, 2.0)),
    "KL": lambda ndim: KL(prior_lambda=3.0),
    "Dice": lambda ndim: Dice(),
    "Tversky": lambda ndim: Tversky(),
    "CrossEntropy": lambda ndim: CrossEntropy(),
    "Focal": lambda ndim: Focal(),
    "DiceCrossEntropy": lambda ndim: DiceCrossEntropy(),
}
LOSSES = {
    "Gradient l1": lambda ndim: Gradient("l1", spacing=(1.0, 2.5, 0.7)[:ndim]),
    "NCC signed": lambda ndim: NCC(window=(3, 5, 1)[:ndim], squared=False),
    "NCC zeros": lambda ndim: NCC(window=3, border="zeros"),
    "MutualInformation normalized": lambda ndim: MutualInformation(bins=6, value_range=(-1.0, 1.5), normalized=True),
    "Dice squared": lambda ndim: Dice(background=False, squared=True, smoothing=(0.0, 1e-3), absent="skip"),
    "Dice logits": lambda ndim: Dice.preset("nvidia", labels=[7, 0, 2], from_logits=True),
    "Tversky logits": lambda ndim: Tversky(0.0, 1.5, smoothing=2.0, labels=[7, 0, 2], background=False, from_logits=True),
    "CrossEntropy logits": lambda ndim: CrossEntropy(from_logits=True, labels=[7, 0, 2]),
    "CrossEntropy weighted": lambda ndim: CrossEntropy(weighted=True),
    "Focal logits": lambda ndim: Focal(0.7, alpha=(0.5, 0.0, 1.0), from_logits=True, labels=[7, 0, 2]),
    "DiceCrossEntropy logits": lambda ndim: DiceCrossEntropy(0.5, 2.0, True, True, None, {"smoothing": (0.0, 1e-3)}),
}
SEGMENTATIONS = ("Dice", "Tversky", "CrossEntropy", "Focal")
LOSSES.update(PLAIN)


def example(name, ndim=2, batch=3, dtype="float32"):
    """The loss, a target and a prediction of more than one channel."""
    channels = 2 * ndim if name == "KL" else 3
    arrays = [random(batch, *SIZES[ndim] + (channels,), seed=seed, dtype=dtype) for seed in (0, 1)]
    loss = LOSSES[name](ndim)
    if name.startswith(SEGMENTATIONS):
        true, prediction = [np.exp(array) / np.exp(array).sum(axis=-1, keepdims=True) for array in arrays]
        if getattr(loss, "weighted", False):
            true = np.concatenate([true, true[..., :1] + 0.3], axis=-1)
        arrays = [true, arrays[1] if loss.from_logits else prediction]
    return (loss,) + tuple(arrays)


@pytest.mark.parametrize("name", LOSSES)
def test_one_value_for_each_sample_and_of_each_sample_alone(name):
    loss, true, prediction = example(name)
    result = values(loss, true, prediction)
    assert result.shape == (3,) and result.dtype == np.float32 and np.isfinite(result).all()
    alone = [values(loss, true[index : index + 1], prediction[index : index + 1])[0] for index in range(3)]
    np.testing.assert_allclose(result, alone, rtol=1e-5)
    assert len(set(result.tolist())) == 3


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_equals_finite_differences(name):
    with double_precision():
        loss, true, prediction = example(name, ndim=3, batch=2, dtype="float64")
        direction, cotangent, step = random(*prediction.shape, seed=2, dtype="float64"), np.array([1.0, -0.7]), 1e-6
        _, found = gradients_of(loss, [true, prediction], cotangent)
        ahead, behind = [values(loss, true, prediction + sign * step * direction) for sign in (1, -1)]
        expected = np.sum((ahead - behind) * cotangent) / (2 * step)
        assert found.dtype == np.float64
        assert np.sum(found * direction) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_config_round_trip(name):
    loss, true, prediction = example(name)
    config = json.loads(json.dumps(loss.get_config()))
    again = type(loss).from_config(config)
    assert json.loads(json.dumps(again.get_config())) == config
    assert np.array_equal(values(again, true, prediction), values(loss, true, prediction))
    restored = keras.losses.deserialize(json.loads(json.dumps(keras.losses.serialize(loss))))
    assert type(restored) is type(loss) and json.loads(json.dumps(restored.get_config())) == config


@pytest.mark.parametrize("name", PLAIN)
def test_name_and_reduction_belong_to_keras(name):
    loss, true, prediction = example(name)
    summed = type(loss).from_config(dict(loss.get_config(), name="mine", reduction="sum"))
    assert summed.name == "mine" and summed.get_config()["reduction"] == "sum"
    each = values(loss, true, prediction)
    assert evaluate(lambda pair: summed(*pair), true, prediction) == pytest.approx(each.sum(), rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_half_precision_is_computed_in_float32(name):
    loss, true, prediction = example(name)
    result = values(loss, true, prediction.astype("float16"))
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, values(loss, true, prediction.astype("float16").astype("float32")), rtol=1e-5)


@pytest.mark.parametrize("name", PLAIN)
def test_trains_and_reloads(name, tmp_path):
    """In `compile`, where Keras takes the mean over the batch, and from a file: a convolution learns to return its input."""
    loss, _, image = example(name, ndim=1)
    inputs = keras.Input(image.shape[1:])
    output = keras.layers.Conv1D(image.shape[-1], 3, padding="same", activation="softmax", name="learns")(inputs)
    model = keras.Model(inputs, output)
    model.compile(keras.optimizers.SGD(0.05), loss=loss, **backend.COMPILE_OPTIONS)
    expected = values(loss, image, model.predict(image, verbose=0)).mean()
    assert model.evaluate(image, image, batch_size=3, verbose=0) == pytest.approx(expected, rel=1e-5, abs=1e-6)
    before = [weight.copy() for weight in model.get_weights()]
    model.train_on_batch(image, image)
    assert all(np.isfinite(new).all() and np.any(new != old) for new, old in zip(model.get_weights(), before))
    after = model.evaluate(image, image, batch_size=3, verbose=0)
    assert after < expected
    path = str(tmp_path / "model") + backend.SAVED_MODEL_SUFFIX
    model.save(path)
    again = keras.saving.load_model(path)
    assert again.evaluate(image, image, batch_size=3, verbose=0) == pytest.approx(after, rel=1e-6, abs=1e-6)


@pytest.mark.skipif(RUNTIME in ("jax", "torch"), reason="sizes are always known here")
@pytest.mark.parametrize("name", LOSSES)
def test_sizes_that_are_not_known_in_advance(name):
    loss, true, prediction = example(name)
    shapes = [[None] * 3 + [array.shape[-1]] for array in (true, prediction)]
    if RUNTIME == "tensorflow1":
        placeholders = [keras.backend.placeholder(shape) for shape in shapes]
        result = keras.backend.get_session().run(loss.call(*placeholders), dict(zip(placeholders, (true, prediction))))
    else:
        import tensorflow as tf

        result = to_numpy(tf.function(loss.call, input_signature=[tf.TensorSpec(shape) for shape in shapes])(true, prediction))
    np.testing.assert_allclose(result, values(loss, true, prediction), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", sorted(set(PLAIN) - {"MSE"}))
def test_refuses_what_has_no_volume(name):
    expected = (
        r"`y_pred` must have the shape \(batch, \*volume, channels\). Received: shape \(4, 2\). Try `y_pred\[..., None\]`."
    )
    with pytest.raises(ValueError, match=expected):
        values(LOSSES[name](1), random(4, 2))


@pytest.mark.parametrize("make", [MSE, NCC, MutualInformation])
def test_refuses_images_of_different_shape(make):
    expected = r"`y_true` must have the shape of `y_pred`, \(2, 9, 10, 1\). Received: shape \(2, 10, 9, 1\). Try to crop"
    with pytest.raises(ValueError, match=expected):
        values(make(), random(2, 10, 9, 1), random(2, 9, 10, 1))
