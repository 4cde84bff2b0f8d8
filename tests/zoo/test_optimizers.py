"""Adam with weight decay, accumulation and loss scaling: saved and resumed, against NumPy and PyTorch, and its laws."""

import numpy as np
import pytest

from mrlayers import backend
from mrlayers.backend import keras, ops
from runtime import RUNTIME, random, relative_error, to_numpy
from zoo import training
from zoo.optimizers import adam
from zoo.unet.network import unet

INPUTS, TARGETS = random(8, 3), random(8, 1, seed=1)
FIRST = [np.array([0.5, -1.0, 2.0], "float32"), np.array([1.5], "float32"), np.array([-0.7], "float32")]
RATE, DECAY = 0.02, 3.0


@keras.saving.register_keras_serializable(package="mrlayers_tests")
class Line(keras.layers.Layer):
    """`gamma * (x . kernel) + bias`: a weight of each kind, and gradients that two lines of NumPy can tell."""

    def build(self, input_shape):
        for name, value in zip(("kernel", "gamma", "bias"), FIRST):
            setattr(self, name, self.add_weight(name=name, shape=value.shape, initializer=keras.initializers.Zeros()))
        super().build(input_shape)
        self.set_weights(FIRST)

    def call(self, inputs):
        return self.gamma * ops.sum(inputs * self.kernel, axis=-1, keepdims=True) + self.bias


class Batches:
    """Three batches of two in an epoch, of which no two are alike."""

    def __len__(self):
        return 3

    def epoch(self, index):
        for batch in range(3):
            yield random(2, 3, seed=10 * index + batch), random(2, 1, seed=10 * index + batch + 5)


def make_model(**options):
    image = keras.Input((3,), name="image")
    model = keras.Model(image, Line(name="line")(image))
    model.compile(adam(**dict({"learning_rate": RATE}, **options)), loss="mse", **backend.COMPILE_OPTIONS)
    return model


def weights_after(model, steps=3, parts=1):
    """Weights after so many steps, each with all samples, in so many batches."""
    for _ in range(steps):
        for inputs, targets in zip(np.split(INPUTS, parts), np.split(TARGETS, parts)):
            model.train_on_batch(inputs, targets)
    return model.get_weights()


def gradients(weights):
    kernel, gamma, bias = weights
    product = INPUTS @ kernel[:, None]
    upstream = 2 * (gamma * product + bias - TARGETS) / len(TARGETS)
    return [(gamma * INPUTS.T @ upstream)[:, 0], (upstream * product).sum(0), upstream.sum(0)]


def expected_after(steps, weight_decay, decay, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
    """Adam as in its paper, in float64."""
    weights = [value.astype("float64") for value in FIRST]
    means, squares = [0.0] * 3, [0.0] * 3
    for step in range(1, steps + 1):
        found = gradients(weights)
        for index, decayed in enumerate([weight_decay, 0.0, weight_decay]):  # not gamma
            gradient = found[index] + (decayed * weights[index] if decay == "l2" else 0)
            means[index] = beta_1 * means[index] + (1 - beta_1) * gradient
            squares[index] = beta_2 * squares[index] + (1 - beta_2) * gradient**2
            corrected = RATE * np.sqrt(1 - beta_2**step) / (1 - beta_1**step)
            beside = RATE * decayed * weights[index] if decay == "decoupled" else 0
            weights[index] = weights[index] - beside - corrected * means[index] / (np.sqrt(squares[index]) + epsilon)
    return weights


def scale_and_count(model):
    """The variables of a dynamic loss scale."""
    optimizer = model.optimizer
    if RUNTIME == "tensorflow1":  # dies with TensorFlow 1.15
        return optimizer._scale(), optimizer._good()
    return optimizer.dynamic_scale, optimizer.step_counter


def overflow(model):
    model.train_on_batch(np.full((2, 3), 1e30, "float32"), TARGETS[:2])


def check_same(some, others):
    assert len(some) == len(others)
    for one, other in zip(some, others):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)


# Contract.


@pytest.mark.parametrize("decay, loss_scale", [("l2", "dynamic"), ("decoupled", 1024)])
def test_a_resumed_run_equals_one_that_was_not_stopped(tmp_path, decay, loss_scale):
    """Stopped after 6 batches, in the middle of a step of 4."""

    def run(output, epochs, **options):
        model = make_model(weight_decay=DECAY, decay=decay, accumulate=4, loss_scale=loss_scale)
        callbacks = [training.exponential_decay(RATE, 0.5)]
        training.fit(model, Batches(), epochs, str(tmp_path / output), callbacks=callbacks, verbose=0, **options)
        return model

    whole = run("whole", 4)
    run("parts", 2)
    parts = run("parts", 4, resume=True)
    check_same(parts.get_weights(), whole.get_weights())
    check_same(backend.training_state(parts), backend.training_state(whole))
    rate = model_rate(whole)
    assert rate == pytest.approx(RATE * 0.5**3)
    assert not np.allclose(whole.get_weights()[0], FIRST[0])


def model_rate(model):
    rate = model.optimizer.learning_rate
    return float(keras.backend.get_value(rate) if RUNTIME == "tensorflow1" else to_numpy(rate))


def test_the_state_has_sums_steps_and_loss_scale():
    options = dict(weight_decay=DECAY, accumulate=2, loss_scale="dynamic")
    model, again = make_model(**options), make_model(**options)
    weights_after(model, 1, 4)
    overflow(model)
    model.train_on_batch(INPUTS, TARGETS)
    backend.set_training_state(again, backend.training_state(model))
    backend.set_training_state(again, backend.training_state(model))  # which makes nothing twice
    again.set_weights(model.get_weights())
    assert [float(to_numpy(value)) for value in scale_and_count(again)] == [2.0**14, 1]
    check_same(weights_after(again, 1, 1), weights_after(model, 1, 1))
    with pytest.raises(ValueError, match="`arrays` must come from the same model and optimizer"):
        backend.set_training_state(make_model(), backend.training_state(model))


def test_a_saved_model_goes_on_with_its_optimizer(tmp_path):
    """Saved in the middle of a step."""
    model = make_model(weight_decay=DECAY, decay="decoupled", accumulate=2, loss_scale="dynamic")
    model.train_on_batch(INPUTS[:4], TARGETS[:4])
    path = str(tmp_path / ("model" + backend.SAVED_MODEL_SUFFIX))
    model.save(path)
    again = keras.saving.load_model(path)
    for either in (model, again):
        either.train_on_batch(INPUTS[4:], TARGETS[4:])
        check_same(either.get_weights(), expected_after(1, DECAY, "decoupled"))


# Numbers.


@pytest.mark.parametrize(
    "decay, accumulate, loss_scale",
    [("l2", 1, None), ("l2", 2, "dynamic"), ("l2", 4, 1024), ("decoupled", 1, "dynamic"), ("decoupled", 2, None)],
)
def test_three_steps_against_numpy(decay, accumulate, loss_scale):
    model = make_model(weight_decay=DECAY, decay=decay, accumulate=accumulate, loss_scale=loss_scale)
    for found, expected in zip(weights_after(model, 3, accumulate), expected_after(3, DECAY, decay)):
        assert relative_error(found, expected) < 1e-6


def test_other_arguments_against_numpy():
    model = make_model(beta_1=0.5, beta_2=0.9, epsilon=0.1)
    for found, expected in zip(weights_after(model), expected_after(3, 0.0, "l2", 0.5, 0.9, 0.1)):
        assert relative_error(found, expected) < 1e-6


@pytest.mark.parametrize("decay", ["l2", "decoupled"])
def test_the_expected_numbers_are_those_of_pytorch(decay):
    if RUNTIME != "torch":
        pytest.skip("PyTorch is not what runs")
    import torch

    weights = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in FIRST]
    groups = [{"params": weights[0::2], "weight_decay": DECAY}, {"params": weights[1:2], "weight_decay": 0.0}]
    optimizer = {"l2": torch.optim.Adam, "decoupled": torch.optim.AdamW}[decay](groups, lr=RATE, eps=1e-8)
    for _ in range(3):
        for weight, gradient in zip(weights, gradients([weight.detach().numpy() for weight in weights])):
            weight.grad = torch.tensor(gradient)
        optimizer.step()
    for found, expected in zip(weights, expected_after(3, DECAY, decay)):
        assert relative_error(found.detach().numpy(), expected) < 1e-6


# Laws.


def test_many_batches_are_one_large_batch():
    options = dict(weight_decay=DECAY, learning_rate=0.1)
    check_same(weights_after(make_model(accumulate=8, **options), 2, 8), weights_after(make_model(**options), 2, 1))


def test_nothing_changes_before_the_last_batch_of_a_step():
    model = make_model(weight_decay=DECAY, decay="decoupled", accumulate=8)
    check_same(weights_after(model, 1, 4), FIRST)


def test_a_number_scales_the_loss():
    """So far, here, that its gradients overflow: then a number, unlike a dynamic scale, goes on."""
    model = make_model(loss_scale=2.0**126)
    model.train_on_batch(100 * INPUTS, TARGETS)
    assert not np.isfinite(model.get_weights()[0]).all()


def test_a_batch_that_overflows_is_left_out():
    """And halves the scale: of the three batches here, the second does not count."""
    model = make_model(weight_decay=DECAY, accumulate=2, loss_scale="dynamic")
    model.train_on_batch(INPUTS[:4], TARGETS[:4])
    overflow(model)
    check_same(model.get_weights(), FIRST)
    assert [float(to_numpy(value)) for value in scale_and_count(model)] == [2.0**14, 0]
    model.train_on_batch(INPUTS[4:], TARGETS[4:])
    for found, expected in zip(model.get_weights(), expected_after(1, DECAY, "l2")):
        assert relative_error(found, expected) < 1e-6


def test_two_thousand_good_batches_double_the_scale():
    model = make_model(loss_scale="dynamic")
    model.train_on_batch(INPUTS, TARGETS)
    scale, count = scale_and_count(model)
    keras.backend.set_value(count, 1998) if RUNTIME == "tensorflow1" else count.assign(1998)
    model.train_on_batch(INPUTS, TARGETS)
    assert [float(to_numpy(scale)), int(to_numpy(count))] == [2.0**15, 1999]
    model.train_on_batch(INPUTS, TARGETS)
    assert [float(to_numpy(scale)), int(to_numpy(count))] == [2.0**16, 0]


# Mixed precision.


def test_a_network_trains_in_mixed_precision():
    backend.set_precision("mixed_float16")
    model = unet((8, 8, 1), 2, filters=2, depth=1)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(adam(1e-2, 5e-4, loss_scale="dynamic"), loss=loss, **backend.COMPILE_OPTIONS)
    images, labels = random(2, 8, 8, 1), random(2, 8, 8, 1, seed=1) > 0
    before = model.get_weights()
    losses = [float(model.train_on_batch(images, labels.astype("float32"))) for _ in range(3)]
    assert losses[2] < losses[0]
    assert all(array.dtype == "float32" and np.isfinite(array).all() for array in model.get_weights())
    assert all((new != old).any() for new, old in zip(model.get_weights(), before))
    assert model.predict_on_batch(images).dtype == "float32"
    assert float(to_numpy(scale_and_count(model)[0])) == 2.0**15


def test_no_other_loss_scale_takes_the_place_of_a_number():
    backend.set_precision("mixed_float16")
    optimizer = adam(loss_scale=1024)
    model = unet((8, 8, 1), 2, filters=2, depth=1)
    model.compile(optimizer, loss="mse", **backend.COMPILE_OPTIONS)
    assert model.optimizer is optimizer


def test_convolutions_compute_in_the_precision_that_was_set():
    for name, expected in [("mixed_float16", "float16"), ("float32", "float32")]:
        backend.set_precision(name)
        block = unet((8, 8, 1), 2, filters=2, depth=1).get_layer("top")
        layer = block.convolution_layers[0]
        assert (getattr(layer, "compute_dtype", None) or layer._compute_dtype) == expected


# Refusals.


@pytest.mark.parametrize(
    "argument, values, expected",
    [
        ("learning_rate", [0, -1e-3, float("nan"), "fast", True], "a number above 0"),
        ("weight_decay", [-1e-4, None, float("inf")], "a number at least 0"),
        ("decay", ["L2", None], "one of 'l2', 'decoupled'"),
        ("accumulate", [0, 1.5, True], "an integer from 1"),
        ("loss_scale", [0, -1, "static", True, float("nan")], "a number above 0, 'dynamic' or None"),
        ("beta_1", [1, -0.1], "a number from 0 to below 1"),
        ("beta_2", [1.5], "a number from 0 to below 1"),
        ("epsilon", [0, -1e-8], "a number above 0"),
    ],
)
def test_refusals(argument, values, expected):
    for value in values:
        with pytest.raises(ValueError, match="`{}` must be {}.*Received: {!r}".format(argument, expected, value)):
            adam(**{argument: value})


def test_refusals_of_precision():
    for name in ["float16", "half", None] + ["mixed_bfloat16"] * (RUNTIME == "tensorflow1"):
        with pytest.raises(ValueError, match="`name` must be 'float32'.*Received: {!r}".format(name)):
            backend.set_precision(name)
