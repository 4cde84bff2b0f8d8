"""The networks: parameter counts, the published layers, any sizes, weights that cross, dropout, refusals."""

import re
import zlib

import numpy as np
import pytest

from contract import HALF, compute_dtype
from mrlayers import backend
from mrlayers.backend import keras
from runtime import RNG
from zoo.training import _weights, load_weights
from zoo.unet import unet, unet_medical, unet_mindspore


def shuffled(model, scale=0.3):
    """The model with weights that make it do something, each a function of its name alone."""
    values = {}
    for name, weight in _weights(model).items():
        value = RNG(zlib.crc32(name.encode())).uniform(-1, 1, weight.shape) * scale
        values[name] = (np.abs(value) + 0.5 if name.endswith("variance") else value).astype("float32")
    return values


def load(model, tmp_path, scale=0.3):
    """Through a file, as weights come from another runtime."""
    path = str(tmp_path / "weights.npz")
    np.savez(path, **shuffled(model, scale))
    load_weights(model, path)
    return model


def predict(model, array):
    return np.asarray(model.predict(array, verbose=0))


def image(*shape):
    return RNG(1).uniform(-1, 1, (1,) + shape).astype("float32")


def softmax(logits):
    exponential = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponential / exponential.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("make, count, arrays", [(unet_mindspore, 31029698, 42), (unet_medical, 34512258, 46)])
def test_published_networks(make, count, arrays):
    model = make()
    assert model.count_params() == count and len(model.weights) == arrays
    assert model.input_shape == (None, 572, 572, 1) and model.output_shape == (None, 388, 388, 2)
    skips = [model.get_layer(name).output.shape[1] for name in ("top", "down1", "down2", "down3", "down4")]
    ups = [model.get_layer(name).output.shape[1] for name in ("up1", "up2", "up3", "up4")]
    assert [int(size) for size in skips] == [568, 280, 136, 64, 28] and [int(size) for size in ups] == [52, 100, 196, 388]


def test_parameters_of_the_default():
    """The paper's network, of one channel and two classes; normalizations cost 2 a channel and save the bias."""
    assert unet((64, 64, 1), 2).count_params() == 31030658
    plain = unet((16, 16, 16, 1), 2, filters=2, depth=1)
    channels = 2 * (2 + 4 + 2)
    assert (
        unet((16, 16, 16, 1), 2, filters=2, depth=1, normalization="instance").count_params() == plain.count_params() + channels
    )


@pytest.mark.slow
def test_initial_values():
    def values(model, name):
        return {key.split("/")[-1]: value for key, value in _weights(model).items() if key.rsplit("/", 1)[0] == name}

    model = unet_mindspore((188, 188, 1), filters=8)
    kernel = values(model, "down4/convolution2")["kernel"]
    assert (np.abs(kernel) <= 0.12).mean() > 0.9999  # Keras on PyTorch lets four in a million through
    assert kernel.std() == pytest.approx(0.06 * 0.8796, rel=0.02)
    kernel = values(model, "up1/upsampling")["kernel"]
    assert kernel.std() == pytest.approx(0.01, rel=0.05) and np.abs(kernel).max() > 0.03
    model = unet_medical((188, 188, 1), filters=8)
    kernel = values(model, "down4/convolution1")["kernel"]
    limit = np.sqrt(6 / (9 * (64 + 128)))
    assert 0.99 * limit < np.abs(kernel).max() <= limit and kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.02)
    assert not any(value.any() for name, value in _weights(model).items() if name.endswith("bias"))
    kernel = values(unet((16, 16, 1), 2, filters=8), "down4/convolution2")["kernel"]
    assert kernel.std() == pytest.approx(np.sqrt(2 / (9 * 128)), rel=0.02)


def published_network(size, up_size, up_bias, up_padding):
    """The published networks spelled out in Keras layers, two filters wide."""
    layers = keras.layers

    def twice(x, channels):
        for _ in range(2):
            x = layers.Conv2D(channels, 3, activation="relu")(x)
        return x

    entry = keras.Input((size, size, 1))
    x, skips = twice(entry, 2), []
    for level in range(1, 5):
        skips.append(x)
        x = twice(layers.MaxPooling2D(2)(x), 2 * 2**level)
    for level, skip in zip(range(3, -1, -1), reversed(skips)):
        options = dict(strides=2, padding=up_padding, use_bias=up_bias, activation="relu")
        x = layers.Conv2DTranspose(2 * 2**level, up_size, **options)(x)
        crop = (int(skip.shape[1]) - int(x.shape[1])) // 2
        x = twice(layers.Concatenate()([x, layers.Cropping2D(crop)(skip)]), 2 * 2**level)
    return keras.Model(entry, layers.Conv2D(2, 1)(x))


@pytest.mark.parametrize("make, up", [(unet_mindspore, (2, False, "valid")), (unet_medical, (3, True, "same"))])
def test_equals_the_published_network(make, up, tmp_path):
    model = load(make((204, 204, 1), filters=2), tmp_path)
    plain = published_network(204, *up)
    plain.set_weights(model.get_weights())
    x = image(204, 204, 1)
    expected = predict(plain, x)
    assert expected.shape == (1, 20, 20, 2) and expected.std() > 0.01
    np.testing.assert_allclose(predict(model, x), expected, atol=1e-5 * np.abs(expected).max())


SMALL = dict(num_classes=2, filters=2, depth=2)


@pytest.mark.parametrize("sizes", [(9, 14), (5, 7, 6), (1, 3), (8, 12)])
@pytest.mark.parametrize("up", ["transpose2", "transpose3", "nearest"])
def test_any_size_is_padded_at_the_far_ends(sizes, up, tmp_path):
    """The same weights on images that were padded with zeros by hand, and on sizes that only the images tell."""
    full = tuple(-(-size // 4) * 4 for size in sizes)
    model, whole, free = [load(unet(shape + (1,), up=up, **SMALL), tmp_path) for shape in (sizes, full, (None,) * len(sizes))]
    x = image(*sizes + (1,))
    result = predict(model, x)
    assert result.shape == x.shape[:-1] + (2,) == (1,) + tuple(model.output_shape[1:])
    widths = [(0, 0)] + [(0, large - size) for large, size in zip(full, sizes)] + [(0, 0)]
    expected = predict(whole, np.pad(x, widths, mode="constant"))[(slice(None),) + tuple(slice(size) for size in sizes)]
    np.testing.assert_allclose(result, expected, atol=1e-6)
    np.testing.assert_allclose(predict(free, x), expected, atol=1e-6)


@pytest.mark.parametrize(
    "sizes, depth, up", [((20, 22), 1, "transpose2"), ((48, 52), 2, "nearest"), ((22, 18, 20), 1, "transpose3")]
)
def test_valid_sizes(sizes, depth, up):
    model = unet(sizes + (1,), 3, filters=2, depth=depth, padding="valid", up=up)
    lost = {(1, "transpose2"): 16, (1, "transpose3"): 16, (2, "nearest"): 46}[depth, up]
    assert tuple(model.output_shape[1:]) == tuple(size - lost for size in sizes) + (3,)
    assert predict(model, image(*sizes + (1,))).shape == (1,) + tuple(model.output_shape[1:])


GOLDEN = {
    "plane": (
        dict(input_shape=(10, 13, 1), filters=4, normalization="batch", up="transpose3"),
        0.75,
        [0.318298, 0.186164, 0.199567, 0.381899, 0.165351, 0.500508],
    ),
    "volume": (
        dict(input_shape=(6, 5, 8, 2), filters=8, normalization="group"),
        1.0,
        [0.539682, 0.732823, 0.59573, 0.759069, 0.4997, 0.758342],
    ),
    "valid": (
        dict(input_shape=(52, 48, 1), filters=4, normalization="instance", up="nearest", padding="valid"),
        1.0,
        [0.24692, 0.340175, 0.327786, 0.329877, 0.289331, 0.234199],
    ),
}


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_weights_mean_the_same_on_every_runtime(name, tmp_path):
    """The literals come from TensorFlow 1.15: weights in a file, found by their names, give the same probabilities."""
    options, scale, expected = GOLDEN[name]
    model = load(unet(num_classes=2, depth=2, **options), tmp_path, scale)
    probabilities = softmax(predict(model, image(*options["input_shape"])))[..., 1].ravel()
    np.testing.assert_allclose(probabilities[:: len(probabilities) // 6][:6], expected, atol=5e-5)


def test_whole_model_comes_back(tmp_path):
    model = load(unet((9, 14, 1), up="nearest", dropout=0.5, **SMALL), tmp_path)
    path = str(tmp_path / "model") + backend.SAVED_MODEL_SUFFIX
    model.save(path)
    again = keras.saving.load_model(path)
    assert np.array_equal(predict(again, image(9, 14, 1)), predict(model, image(9, 14, 1)))


def trained(model, x, target, steps, learning_rate=1e-2):
    """Losses of steps on one batch."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(learning_rate), loss=loss, **backend.COMPILE_OPTIONS)
    losses = []
    for _ in range(steps):
        if hasattr(model, "reset_metrics"):
            model.reset_metrics()
        losses.append(float(np.ravel(model.train_on_batch(x, target))[0]))
    return losses


@pytest.mark.parametrize(
    "options",
    [
        dict(input_shape=(9, 14, 1), normalization="batch"),
        dict(input_shape=(6, 7, 8, 1), up="nearest", normalization="group"),
        dict(input_shape=(24, 28, 1), up="transpose3", padding="valid", dropout=0.1),
    ],
)
def test_learns_one_image_by_heart(options):
    model = unet(num_classes=2, filters=8, depth=1, **options)
    x = image(*options["input_shape"])
    lost = (x.shape[1] - int(model.output_shape[1])) // 2
    middle = slice(lost, -lost or None)
    target = (x[:, middle, middle] > 0).astype("float32")
    losses = trained(model, x, target, 60)
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.slow
def test_dropout_in_training_only(tmp_path):
    """Inference is repeatable; with a learning rate of 0 the loss of a step still changes from step to step."""
    x = image(188, 188, 1)
    model = load(unet_medical((188, 188, 1), filters=2), tmp_path)
    assert np.array_equal(predict(model, x), predict(model, x))
    plain = load(unet((188, 188, 1), 2, 2, padding="valid", up="transpose3"), tmp_path)
    np.testing.assert_allclose(predict(plain, x), predict(model, x), atol=1e-6)
    target = np.zeros((1, 4, 4, 1), "float32")
    assert len(set(trained(model, x, target, 3, 0.0))) == 3 and len(set(trained(plain, x, target, 3, 0.0))) == 1


@pytest.mark.slow
def test_valid_networks_follow_a_shift(tmp_path):
    """By multiples of 2**depth. `unet_medical` lets the border in: 15 pixels, no more and no less."""
    x = image(236, 220, 1)
    for make, border in [(unet_mindspore, 0), (unet_medical, 15)]:
        whole, shifted = [load(make(shape + (1,), filters=2), tmp_path) for shape in ((236, 220), (220, 204))]
        expected, found = predict(whole, x)[:, 16:, 16:], predict(shifted, x[:, 16:, 16:])
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found[:, border:, border:], expected[:, border:, border:], atol=1e-5 * scale)
        if border:
            assert np.abs(found - expected)[:, border - 1].max() > 1e-4 * scale


def test_logits_stay_in_single_precision(tmp_path):
    x = image(9, 14, 1)
    expected = predict(load(unet((9, 14, 1), normalization="group", **dict(SMALL, filters=8)), tmp_path), x)
    backend.set_precision("mixed_" + HALF)
    model = load(unet((9, 14, 1), normalization="group", **dict(SMALL, filters=8)), tmp_path)
    assert compute_dtype(model.get_layer("up1")) == HALF
    result = predict(model, x)
    losses = trained(model, x, np.zeros((1, 9, 14, 1), "float32"), 2)
    assert result.dtype == np.float32 and np.isfinite(losses).all()
    np.testing.assert_allclose(result, expected, atol=0.1 * np.abs(expected).max())


@pytest.mark.slow
@pytest.mark.parametrize("make", [unet_mindspore, unet_medical])
def test_full_published_network_trains_a_step(make):
    losses = trained(make(), image(572, 572, 1), np.zeros((1, 388, 388, 1), "float32"), 1)
    assert 0.1 < losses[0] < 3


@pytest.mark.parametrize(
    "options, message",
    [
        (
            dict(input_shape=(64, 64)),
            "`input_shape` must be .height, width, channels. or .* Received: .64, 64.. Try .256, 256, 1.",
        ),
        (dict(input_shape=64), "`input_shape` must be"),
        (dict(input_shape=(64, 0, 1)), "`input_shape` must be an integer from 1 .* Received: 0"),
        (dict(input_shape=(64, 64, None)), "`input_shape` must be an integer from 1 .* Received: None"),
        (dict(num_classes=0), "`num_classes` must be an integer from 1"),
        (dict(filters=1.5), "`filters` must be an integer from 1"),
        (dict(depth=0), "`depth` must be an integer from 1"),
        (dict(padding="mirror"), "`padding` must be one of 'same', 'valid'"),
        (dict(up="bilinear"), "`up` must be one of"),
        (dict(normalization="layer"), "`normalization` must be one of"),
        (dict(dropout=2), "`dropout` must be from 0 to below 1"),
        (
            dict(input_shape=(572, 500, 1), padding="valid"),
            r"halve 4 times, 188 \+ 16 n. Received: .572, 500, 1.. Try .572, 492, 1. or .572, 508, 1.",
        ),
        (dict(input_shape=(180, 188, 1), padding="valid"), r"Try .188, 188, 1.\.$"),
        (dict(input_shape=(None, 188, 1), padding="valid"), r"Received: .None, 188, 1.. Try .188, 188, 1."),
        (dict(input_shape=(45, 44, 46, 1), padding="valid", depth=2), r"44 \+ 4 n.*Try .44, 44, 44, 1. or .48, 44, 48, 1."),
    ],
)
def test_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        unet(**dict(dict(input_shape=(64, 64, 1), num_classes=2), **options))


@pytest.mark.parametrize("padding, up", [("valid", "transpose2"), ("valid", "nearest")])
def test_sizes_that_a_refusal_names_are_taken(padding, up):
    for size in range(44, 50):
        try:
            model = unet((size, size, 1), 2, 1, 2, padding, up)
        except ValueError as error:
            for named in re.findall(r"\((\d+), \1, 1\)", str(error).split("Try")[1]):
                unet((int(named),) * 2 + (1,), 2, 1, 2, padding, up)
        else:
            assert int(model.output_shape[1]) > 0
