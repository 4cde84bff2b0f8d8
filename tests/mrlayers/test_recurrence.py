"""ConvRecurrent2D and BidirectionalConvRecurrent2D: contract, numbers, laws, refusals."""

import itertools

import numpy as np
import pytest

from contract import check_layer
from mrlayers import BidirectionalConvRecurrent2D, ConvRecurrent2D
from mrlayers.backend import keras
from plain_recurrence import bidirectional, recurrent
from runtime import RUNTIME, evaluate, gradients, random, relative_error

LAYERS = [ConvRecurrent2D, BidirectionalConvRecurrent2D]
PUBLISHED = {
    "i2h": "input_convolution",
    "ih2ih": "iteration_convolution",
    "h2h": "time_convolution",
    "conv1_x": "input_convolution",
    "conv1_h": "iteration_convolution",
}


def seeded():
    """An initializer with the same values for every layer that asks, as the contract compares two of them."""
    return keras.initializers.RandomNormal(0.0, 0.3, seed=1)


def published(names, channels, filters):
    """Random weights in the authors' layout `(out, in, rows, columns)` as `(kernel, bias)` in that of Keras."""
    weights = {}
    for index, name in enumerate(names):
        tensor = 0.3 * random(filters, channels if name in ("i2h", "conv1_x") else filters, 3, 3, seed=index)
        weights[name] = (tensor.transpose(2, 3, 1, 0), random(filters, seed=10 + index))
    return weights


def loaded(layer, weights, *arrays):
    """The layer with those weights, after a first call that builds it."""
    evaluate(layer, *arrays)
    for name, values in weights.items():
        getattr(layer, PUBLISHED[name]).set_weights(list(values))
    return layer


@pytest.mark.parametrize("layer_type", LAYERS)
def test_contract(layer_type, tmp_path):
    def make(**more):
        return layer_type(3, kernel_initializer=seeded(), activation="tanh", name="recurrent", **more)

    check_layer(make, [random(3, 3, 5, 4, 2), random(3, 3, 5, 4, 3, seed=1)], tmp_path, half=True)


def test_iterations_equal_the_formula():
    """Three iterations of one cell; the first has no hidden state."""
    weights, x = published(["conv1_x", "conv1_h"], 3, 4), random(2, 5, 6, 7, 3)
    layer = loaded(ConvRecurrent2D(4), weights, x)
    hidden, expected = None, np.zeros((2, 5, 6, 7, 4))
    for _ in range(3):
        hidden = evaluate(layer, *([x] if hidden is None else [x, hidden]))
        expected = recurrent(x, expected, weights)
        assert relative_error(hidden, expected) < 1e-5


def test_frames_and_single_images_are_the_same():
    x, hidden = random(2, 3, 6, 5, 2), random(2, 3, 6, 5, 4, seed=1)
    layer = ConvRecurrent2D(4)
    together = evaluate(layer, x, hidden)
    for frame in range(3):
        alone = evaluate(layer, x[:, frame], hidden[:, frame])
        np.testing.assert_allclose(alone, together[:, frame], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_time_and_iterations_equal_the_formula(frames):
    weights, x = published(["i2h", "h2h", "ih2ih"], 2, 4), random(2, frames, 6, 7, 2)
    layer = loaded(BidirectionalConvRecurrent2D(4), weights, x)
    hidden, expected = None, np.zeros((2, frames, 6, 7, 4))
    for _ in range(2):
        hidden = evaluate(layer, *([x] if hidden is None else [x, hidden]))
        expected = bidirectional(x, expected, weights)
        assert relative_error(hidden, expected) < 1e-5


def test_published_tensors_fit():
    """The shapes and the number of parameters of CRNN-MRI: three convolutions over time, two in each later layer."""
    layers = [BidirectionalConvRecurrent2D(64), ConvRecurrent2D(64)]
    for layer, channels, names in zip(layers, (2, 64), (["i2h", "h2h", "ih2ih"], ["conv1_x", "conv1_h"])):
        layer(keras.Input((1, 4, 4, channels)))
        for name in names:
            inner = getattr(layer, PUBLISHED[name])
            assert [weight.shape for weight in inner.get_weights()] == [(3, 3, channels, 64), (64,)]
            channels = 64
    assert layers[0].count_params() + 3 * layers[1].count_params() + 1154 == 297794


def test_numbers_with_the_published_weights(shared):
    """One iteration over four frames of the known point test's image, in float64 by the formula."""
    if RUNTIME != "torch":
        pytest.skip("the published file is one of PyTorch's")
    import torch

    tensors = torch.load(shared("weights/crnn_mri_d5_c5.pth"), map_location="cpu", weights_only=True)
    weights = {}
    for name in ("i2h", "h2h", "ih2ih"):
        kernel, bias = [tensors["bcrnn.CRNN_model.%s.%s" % (name, kind)].numpy() for kind in ("weight", "bias")]
        weights[name] = (kernel.transpose(2, 3, 1, 0), bias)
    a, b, t = np.meshgrid(np.arange(8), np.arange(8), np.arange(4), indexing="ij")
    image = np.stack([((3 * a + 5 * b + 2 * t) % 7) / 6, ((2 * a + b + t) % 5) / 10], axis=-1)
    x = image.transpose(2, 0, 1, 3)[np.newaxis].astype("float32")
    layer = loaded(BidirectionalConvRecurrent2D(64), weights, x)
    expected = bidirectional(x, np.zeros((1, 4, 8, 8, 64)), weights)
    assert relative_error(evaluate(layer, x), expected) < 1e-5


def test_time_runs_either_way():
    """A series that runs backwards gives the output that runs backwards."""
    x, hidden = random(2, 5, 6, 4, 2), random(2, 5, 6, 4, 3, seed=1)
    layer = BidirectionalConvRecurrent2D(3)
    forward = evaluate(layer, x, hidden)
    backward = evaluate(layer, x[:, ::-1].copy(), hidden[:, ::-1].copy())
    np.testing.assert_allclose(backward, forward[:, ::-1], rtol=1e-5, atol=1e-5)


def test_the_last_frame_reaches_the_first():
    """And the first the last, which one direction alone would not do."""
    x = random(1, 4, 6, 4, 2)
    layer = BidirectionalConvRecurrent2D(3, activation=None)
    before = evaluate(layer, x)
    for changed in (0, 3):
        other = x.copy()
        other[:, changed] += 1
        assert (np.abs(evaluate(layer, other) - before).max(axis=(0, 2, 3, 4)) > 1e-4).all()


@pytest.mark.parametrize("layer_type", LAYERS)
def test_a_hidden_state_of_zeros_is_none_at_all(layer_type):
    x = random(2, 3, 5, 4, 2)
    layer = loaded(layer_type(3), {"conv1_h": published(["conv1_h"], 3, 3)["conv1_h"]}, x)  # its bias is not 0
    np.testing.assert_allclose(evaluate(layer, x), evaluate(layer, x, np.zeros((2, 3, 5, 4, 3), "float32")), atol=1e-5)


def test_gradients_equal_finite_differences():
    """To the series, to the hidden state and to every weight, along one direction each."""
    arrays = [random(2, 4, 5, 3, 2), random(2, 4, 5, 3, 3, seed=1)]
    layer = BidirectionalConvRecurrent2D(3, activation="tanh", kernel_initializer=seeded())
    y = random(2, 4, 5, 3, 3, seed=2)
    to_inputs, to_weights = gradients(layer, arrays, y)
    names = {"input_convolution": "i2h", "time_convolution": "h2h", "iteration_convolution": "ih2ih"}
    start = {names[name]: getattr(layer, name).get_weights() for name in names}

    def value(x, hidden, weights):
        return np.sum(bidirectional(x, hidden, weights, np.tanh) * y)

    step, exact = 1e-5, [array.astype("float64") for array in arrays]
    for index, gradient in enumerate(to_inputs):
        direction = random(*gradient.shape, seed=7, dtype="float64")
        moved = []
        for sign in (1, -1):
            there = list(exact)
            there[index] = exact[index] + sign * step * direction
            moved.append(value(*there, weights=start))
        assert np.sum(gradient * direction) == pytest.approx((moved[0] - moved[1]) / (2 * step), rel=1e-3)
    order = [(names[name], place) for name in order_of_weights(layer) for place in (0, 1)]
    for (name, place), gradient in zip(order, to_weights):
        direction = random(*gradient.shape, seed=8, dtype="float64")
        moved = []
        for sign in (1, -1):
            weights = {key: [array.astype("float64") for array in pair] for key, pair in start.items()}
            weights[name][place] += sign * step * direction
            moved.append(value(*exact, weights=weights))
        assert np.sum(gradient * direction) == pytest.approx((moved[0] - moved[1]) / (2 * step), rel=1e-3)


def order_of_weights(layer):
    """The names of the convolutions in the order of the layer's weights."""
    names = ["input_convolution", "iteration_convolution", "time_convolution"]
    inner = [weight for name in names for weight in getattr(layer, name).trainable_weights]
    assert [id(weight) for weight in inner] == [id(weight) for weight in layer.trainable_weights]
    return names


def test_frozen():
    layer = BidirectionalConvRecurrent2D(2)
    evaluate(layer, random(1, 2, 3, 3, 2))
    assert len(layer.trainable_weights) == 6
    layer.trainable = False
    assert not layer.trainable_weights and len(layer.weights) == 6


def test_graph_grows_with_the_frames_on_tensorflow1():
    """Linearly, and no gradient is as large as the whole series for every frame."""
    if RUNTIME != "tensorflow1":
        pytest.skip("only TensorFlow 1.15 keeps one graph to look at")
    counts, whole = [], []
    for frames in (8, 16):
        keras.backend.clear_session()
        gradients(BidirectionalConvRecurrent2D(2), [random(1, frames, 3, 3, 2)], random(1, frames, 3, 3, 2))
        operations = keras.backend.get_session().graph.get_operations()
        counts.append(len(operations))
        slices = [op for op in operations if op.type == "StridedSliceGrad"]
        whole.append(sum(op.outputs[0].shape.num_elements() or 0 for op in slices) / frames)
    assert counts[1] < 2.2 * counts[0]
    assert whole[1] < 1.5 * whole[0]


def test_refusals_of_shapes():
    with pytest.raises(ValueError, match="`x` must have the shape \\(batch, height, width, channels\\) or \\(batch, time, "):
        ConvRecurrent2D(3)(keras.Input((6, 4)))
    with pytest.raises(ValueError, match="`x` must have the shape \\(batch, time, .*Try `numpy.expand_dims\\(x, 1\\)`"):
        BidirectionalConvRecurrent2D(3)(keras.Input((6, 4, 2)))
    with pytest.raises(ValueError, match="`x` must have a known number of frames"):
        BidirectionalConvRecurrent2D(3)(keras.Input((None, 6, 4, 2)))
    for layer_type, shape in itertools.product(LAYERS, [(3, 6, 4, 2), (4, 6, 4, 3), (6, 4, 3), (3, 6, 4, 3, 7)]):
        with pytest.raises(ValueError, match="The hidden state must have the shape .*Received: shape"):
            layer_type(3)([keras.Input((3, 6, 4, 2)), keras.Input(shape)])
    with pytest.raises(ValueError, match="`inputs` must be one list of two tensors.*Received: 3 tensors"):
        ConvRecurrent2D(3)([keras.Input((6, 4, 3))] * 3)


def test_refusals_of_arguments():
    for layer_type in LAYERS:
        with pytest.raises(ValueError, match="`filters` must be an integer from 1"):
            layer_type(0)
        with pytest.raises(ValueError, match="`kernel_size` must be odd. Received: 2. Try kernel_size=3"):
            layer_type(3, kernel_size=2)
        with pytest.raises(ValueError, match="`activation` must be the name of a Keras activation, or None"):
            layer_type(3, activation="rellu")
