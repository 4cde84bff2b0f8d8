"""U-Net blocks: contract, numbers, laws, refusals."""

import itertools
import zlib

import numpy as np
import pytest

from contract import check_layer
from mrlayers import backend
from mrlayers.backend import keras
from mrlayers.unet import ConvBlock, CropConcatenate, DownBlock, GroupNormalization, ResidualBlock, UpBlock
from runtime import RUNTIME, evaluate, gradients, random

NORMALIZATIONS = [None, "batch", "instance", "group"]
PLANE, SPACE = (9, 8), (5, 8, 6)


def seeded():
    """An initializer with the same values for every layer that asks, as the contract compares two of them."""
    return keras.initializers.RandomNormal(0.0, 0.3, seed=1)


@pytest.mark.parametrize(
    "sizes, options",
    [
        (SPACE, {"padding": "valid", "kernel_size": 2, "num_convolutions": 3}),
        (PLANE, {"normalization": "batch", "activation": "leaky_relu"}),
        (SPACE, {"normalization": "instance", "dropout": 0.5, "activation": "elu"}),
        pytest.param(PLANE, {"normalization": "group", "groups": 2, "activation": None}, marks=pytest.mark.slow),
    ],
)
def test_contract_of_convolutions(sizes, options, tmp_path):
    def make(**more):
        return ConvBlock(4, kernel_initializer=seeded(), name="block", **dict(options, **more))

    check_layer(make, [random(3, *sizes + (2,))], tmp_path, half=True)


@pytest.mark.parametrize("block, sizes", [(DownBlock, PLANE), (ResidualBlock, SPACE)])
def test_contract_of_down_and_residual_blocks(block, sizes, tmp_path):
    def make(**more):
        return block(4, normalization="batch", kernel_initializer=seeded(), name="block", **more)

    check_layer(make, [random(3, *sizes + (2,))], tmp_path, half=True)


@pytest.mark.parametrize(
    "up, sizes", [("transpose2", SPACE), pytest.param("transpose3", PLANE, marks=pytest.mark.slow), ("nearest", PLANE)]
)
def test_contract_of_up_blocks(up, sizes, tmp_path):
    def make(**more):
        return UpBlock(4, up, up != "nearest", num_convolutions=1, kernel_initializer=seeded(), name="block", **more)

    lower = tuple(size // 2 for size in sizes)
    check_layer(make, [random(3, *lower + (3,)), random(3, *sizes + (2,), seed=1)], tmp_path, half=True)


def test_contract_of_the_skip(tmp_path):
    arrays = [random(3, 5, 4, 3, 3), random(3, 8, 5, 3, 2, seed=1)]
    check_layer(lambda **more: CropConcatenate(name="skip", **more), arrays, tmp_path, half=True)


def test_contract_of_normalization(tmp_path):
    check_layer(lambda **more: GroupNormalization(2, name="group", **more), [random(3, 9, 7, 4)], tmp_path, half=True)


def correlate(image, kernel, stride=1):
    """Valid cross-correlation of one image `(*sizes, in)` with `(*window, in, out)`, one tap after the other."""
    window, sizes = kernel.shape[:-2], image.shape[:-1]
    output = [size - length + 1 for size, length in zip(sizes, window)]
    result = np.zeros(output + [kernel.shape[-1]])
    for tap in itertools.product(*map(range, window)):
        result += image[tuple(slice(start, start + size) for start, size in zip(tap, output))] @ kernel[tap]
    return result


def transposed(image, kernel):
    """Stride 2: every pixel puts its kernel `(*window, out, in)` down, cropped at the far ends to twice the size."""
    window, sizes = kernel.shape[:-2], image.shape[:-1]
    result = np.zeros([2 * size + length for size, length in zip(sizes, window)] + [kernel.shape[-2]])
    for place in itertools.product(*map(range, sizes)):
        for tap in itertools.product(*map(range, window)):
            result[tuple(2 * start + offset for start, offset in zip(place, tap))] += kernel[tap] @ image[place]
    return result[tuple(slice(2 * size) for size in sizes)]


def padded(image):
    return np.pad(image, [(1, 1)] * (image.ndim - 1) + [(0, 0)], mode="constant")


def relu(x):
    return np.maximum(x, 0)


def weights_of(layer, *arrays):
    """The layer's weights by the end of their names, after it has been called, every one of them with a value of its own."""
    evaluate(layer, *arrays)
    names = ["/".join(getattr(weight, "path", weight.name).split(":")[0].split("/")[-2:]) for weight in layer.weights]
    values = [random(*weight.shape, seed=zlib.crc32(name.encode())) for name, weight in zip(names, layer.get_weights())]
    values = [np.abs(value) + 0.1 if name.endswith("variance") else 0.5 * value for name, value in zip(names, values)]
    layer.set_weights(values)
    return {name: value.astype("float64") for name, value in zip(names, values)}


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("sizes", [PLANE, SPACE, (5, 5)])
def test_convolutions_equal_numpy(sizes, padding):
    image = random(1, *sizes + (2,))
    layer = ConvBlock(3, padding=padding)
    weights = weights_of(layer, image)
    x = image[0].astype("float64")
    for name in ("convolution1", "convolution2"):
        x = padded(x) if padding == "same" else x
        x = relu(correlate(x, weights[name + "/kernel"]) + weights[name + "/bias"])
    np.testing.assert_allclose(evaluate(layer, image)[0], x, atol=1e-4)


@pytest.mark.parametrize("sizes", [PLANE, SPACE, (7, 5)])
def test_down_equals_numpy(sizes):
    """The largest of every 2x2, the last pixel of an odd size left out."""
    image = random(1, *sizes + (2,))
    layer = DownBlock(3, num_convolutions=1)
    weights = weights_of(layer, image)
    half = [size // 2 for size in sizes]
    corners = [
        image[0][tuple(slice(start, 2 * size, 2) for start, size in zip(corner, half))]
        for corner in itertools.product((0, 1), repeat=len(sizes))
    ]
    pooled = np.max(corners, axis=0).astype("float64")
    x = relu(correlate(padded(pooled), weights["convolution1/kernel"]) + weights["convolution1/bias"])
    np.testing.assert_allclose(evaluate(layer, image)[0], x, atol=1e-4)


@pytest.mark.parametrize("up", ["transpose2", "transpose3", "nearest"])
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("sizes", [(4, 3), (3, 4, 4)])
def test_up_equals_numpy(sizes, padding, up):
    x, skip = random(1, *sizes + (3,)), random(1, *[2 * size + 3 for size in sizes] + [2], seed=1)
    layer = UpBlock(2, up, padding=padding, num_convolutions=1)
    weights = weights_of(layer, x, skip)
    assert len(weights) == 4
    kernel, low = weights["upsampling/kernel"], x[0].astype("float64")
    if up == "nearest":
        for axis in range(len(sizes)):
            low = np.repeat(low, 2, axis=axis)
        raised = correlate(padded(low) if padding == "same" else low, kernel)
    else:
        raised = transposed(low, kernel)
    raised = relu(raised + weights["upsampling/bias"])
    starts = [(full - size) // 2 for full, size in zip(skip.shape[1:-1], raised.shape)]
    cropped = skip[0][tuple(slice(start, start + size) for start, size in zip(starts, raised.shape))]
    both = np.concatenate([raised, cropped], axis=-1)
    expected = correlate(padded(both) if padding == "same" else both, weights["convolution1/kernel"])
    np.testing.assert_allclose(evaluate(layer, x, skip)[0], relu(expected + weights["convolution1/bias"]), atol=1e-4)


@pytest.mark.parametrize("channels", [2, 3])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_residual_equals_numpy(padding, channels):
    """The input itself where the channels stay, its projection where they change, the middle of it with valid convolutions."""
    image = random(1, 9, 8, channels)
    layer = ResidualBlock(3, padding=padding)
    weights = weights_of(layer, image)
    x = shortcut = image[0].astype("float64")
    for name in ("convolution1", "convolution2"):
        x = correlate(padded(x) if padding == "same" else x, weights[name + "/kernel"]) + weights[name + "/bias"]
        x = relu(x) if name == "convolution1" else x
    shortcut = shortcut[2:-2, 2:-2] if padding == "valid" else shortcut
    if channels != 3:
        shortcut = correlate(shortcut, weights["shortcut/kernel"]) + weights["shortcut/bias"]
    assert len(weights) == (4 if channels == 3 else 6)
    np.testing.assert_allclose(evaluate(layer, image)[0], relu(x + shortcut), atol=1e-4)


@pytest.mark.parametrize("sizes", [PLANE, SPACE])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_normalization_equals_numpy(groups, sizes):
    """Also far from zero, where the mean of squares has no digits left."""
    image = random(2, *sizes + (4,)) + np.array([0, 3, -2, 1], "float32")
    layer = GroupNormalization(groups, epsilon=1e-3)
    weights = weights_of(layer, image)
    gamma, beta = [next(value for name, value in weights.items() if name.endswith(end)) for end in ("gamma", "beta")]
    for offset in (0, 1000):
        x = (image + np.float32(offset)).astype("float64").reshape((2, -1, groups, 4 // groups))
        x = (x - x.mean(axis=(1, 3), keepdims=True)) / np.sqrt(x.var(axis=(1, 3), keepdims=True) + 1e-3)
        expected = x.reshape(image.shape) * gamma + beta
        np.testing.assert_allclose(evaluate(layer, image + np.float32(offset)), expected, atol=1e-3 if offset else 1e-5)


@pytest.mark.skipif(RUNTIME == "tensorflow1", reason="TensorFlow 1.15 has no such layer to compare with")
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_normalization_equals_that_of_keras(groups):
    image, cotangent = random(2, 9, 8, 4), random(2, 9, 8, 4, seed=1)
    ours, theirs = GroupNormalization(groups, epsilon=1e-3), keras.layers.GroupNormalization(groups)
    evaluate(theirs, image)
    weights_of(ours, image)
    theirs.set_weights(ours.get_weights())
    np.testing.assert_allclose(evaluate(ours, image), evaluate(theirs, image), atol=1e-5)
    found, expected = [gradients(layer, [image], cotangent) for layer in (ours, theirs)]
    for value, reference in zip(found[0] + found[1], expected[0] + expected[1]):
        np.testing.assert_allclose(value, reference, atol=1e-4)


@pytest.mark.parametrize(
    "full, size, offset", [(568, 392, 88), (280, 200, 40), (136, 104, 16), (64, 56, 4), (9, 4, 2), (5, 5, 0)]
)
def test_skips_are_cropped_about_their_middle(full, size, offset):
    """The published offsets are literals; of an odd surplus the far end loses more."""
    skip = np.broadcast_to(np.arange(full, dtype="float32")[:, np.newaxis, np.newaxis], (1, full, 3, 1))
    result = evaluate(CropConcatenate(), np.full((1, size, 3, 2), -1, "float32"), np.ascontiguousarray(skip))
    assert result.shape == (1, size, 3, 3) and (result[..., :2] == -1).all()
    assert np.array_equal(result[0, :, 0, 2], np.arange(offset, offset + size))


def test_skips_of_unknown_size():
    """Sizes that only the images tell, cropped when the model runs."""
    x, skip = random(2, 4, 6, 3), random(2, 7, 6, 1, seed=1)
    inputs = [keras.Input((None, None, channels)) for channels in (3, 1)]
    model = keras.Model(inputs, CropConcatenate()(inputs))
    assert np.array_equal(model.predict([x, skip], verbose=0), np.concatenate([x, skip[:, 1:5]], axis=-1))


@pytest.mark.parametrize("sizes", [(16, 12), (9, 11, 10)])
def test_valid_is_the_middle_of_same(sizes):
    image = random(1, *sizes + (2,))
    same, valid = ConvBlock(3), ConvBlock(3, padding="valid")
    evaluate(valid, image)
    weights_of(same, image)
    valid.set_weights(same.get_weights())
    middle = (slice(None),) + (slice(2, -2),) * len(sizes)
    np.testing.assert_allclose(evaluate(valid, image), evaluate(same, image)[middle], atol=1e-5)


def test_blocks_follow_a_flip():
    """Nothing in a block knows left from right but its kernels: flipped kernels give the flipped image."""
    x, skip = random(1, 4, 6, 3), random(1, 8, 12, 2, seed=1)
    for up in ("transpose2", "nearest"):
        layer = UpBlock(3, up, normalization="instance")
        weights_of(layer, x, skip)
        straight = evaluate(layer, x, skip)
        layer.set_weights([w[:, ::-1] if w.ndim == 4 else w for w in layer.get_weights()])
        np.testing.assert_allclose(
            evaluate(layer, x[:, :, ::-1].copy(), skip[:, :, ::-1].copy())[:, :, ::-1], straight, atol=1e-5
        )


@pytest.mark.parametrize("normalization", ["instance", "group"])
def test_normalized_blocks_do_not_see_brightness_or_contrast(normalization):
    image = random(2, 9, 8, 4)
    layer = ConvBlock(4, num_convolutions=1, padding="valid", normalization=normalization, groups=2, activation=None)
    expected = evaluate(layer, image)
    np.testing.assert_allclose(evaluate(layer, 300 * image), expected, atol=1e-4)
    assert len(layer.weights) == 3


def test_batch_normalization_learns_its_statistics():
    image = 3 + random(4, 6, 6, 1)
    inputs = keras.Input((6, 6, 1))
    model = keras.Model(inputs, ConvBlock(2, num_convolutions=1, normalization="batch", name="block")(inputs))
    model.compile(keras.optimizers.SGD(0.0), loss="mse", **backend.COMPILE_OPTIONS)
    before = model.get_weights()
    model.train_on_batch(image, np.zeros((4, 6, 6, 2), "float32"))
    changed = [np.abs(new - old).max() > 1e-3 for new, old in zip(model.get_weights(), before)]
    assert changed == [False, False, False, True, True]
    model.layers[-1].trainable = False
    frozen = ConvBlock.from_config(model.layers[-1].get_config())
    model = keras.Model(inputs, frozen(keras.layers.Dense(1)(inputs)))
    model.compile(keras.optimizers.SGD(1.0), loss="mse", **backend.COMPILE_OPTIONS)
    before = model.get_weights()
    model.train_on_batch(image, np.ones((4, 6, 6, 2), "float32"))
    changed = [not np.array_equal(new, old) for new, old in zip(model.get_weights(), before)]
    assert sum(changed) == 2 and len(model.trainable_weights) == 2


def test_dropout_in_training_only():
    image = np.ones((1, 40, 40, 1), "float32")
    layer = ConvBlock(1, num_convolutions=1, kernel_size=1, dropout=0.25, kernel_initializer="ones")
    assert np.array_equal(evaluate(layer, image), image)
    dropped = evaluate(lambda x: layer(x, training=True), image)
    assert set(np.unique(dropped.round(5))) == {0, np.float32(4 / 3).round(5)}
    assert 0.2 < (dropped == 0).mean() < 0.3


def test_kernels_of_a_block_start_differently():
    layer = ConvBlock(4, num_convolutions=3)
    evaluate(layer, random(1, 6, 6, 4))
    kernels = [weight for weight in layer.get_weights() if weight.ndim == 4]
    assert len(kernels) == 3 and all(np.abs(a - b).max() > 0.1 for a, b in itertools.combinations(kernels, 2))


def test_names_of_weights():
    """The same on every runtime, and in a second model of the same names: weights cross by them."""
    from zoo.training import _weights

    for _ in range(2):
        x, skip = keras.Input((4, 4, 2)), keras.Input((8, 8, 1))
        model = keras.Model([x, skip], UpBlock(2, normalization="batch", num_convolutions=1, name="up")([x, skip]))
        assert sorted(_weights(model)) == ["up/convolution1/kernel"] + [
            "up/normalization1/" + name for name in ("beta", "gamma", "moving_mean", "moving_variance")
        ] + ["up/upsampling/bias", "up/upsampling/kernel"]


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: ConvBlock(0), "`filters` must be an integer from 1"),
        (lambda: ConvBlock(4, num_convolutions=0), "`num_convolutions` must be an integer from 1"),
        (lambda: ConvBlock(4, kernel_size=2.5), "`kernel_size` must be an integer .* Received: 2.5"),
        (lambda: ConvBlock(4, padding="reflect"), "`padding` must be one of 'same', 'valid'. Received: 'reflect'"),
        (lambda: ConvBlock(4, normalization="layer"), "`normalization` must be one of None, 'batch', 'instance', 'group'"),
        (lambda: ConvBlock(6, normalization="group"), "`groups` must divide the 6 channels. Received: 8. Try groups=6"),
        (lambda: ConvBlock(4, dropout=1.0), "`dropout` must be from 0 to below 1. Received: 1.0"),
        (lambda: ConvBlock(4, activation="rectifier"), "`activation` must be the name .* Received: 'rectifier'. Try"),
        (lambda: ConvBlock(4, activation=abs), "`activation` must be the name of a Keras activation"),
        (lambda: UpBlock(4, "bilinear"), "`up` must be one of 'transpose2', 'transpose3', 'nearest'. Received: 'bilinear'"),
        (lambda: GroupNormalization(0), "`groups` must be an integer from 1"),
    ],
)
def test_refusals_of_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "make, shapes, message",
    [
        (
            lambda: ConvBlock(4),
            [(8, 8)],
            "`inputs` must have the shape .batch, height.* Received: shape .*Try `numpy.expand_dims",
        ),
        (lambda: DownBlock(4), [(2, 2, 2, 2, 1)], "`inputs` must have the shape"),
        (
            lambda: ConvBlock(4, padding="valid"),
            [(9, 4, 1)],
            "larger than the 4 pixels that valid .* Received: shape .*9, 4, 1",
        ),
        (lambda: DownBlock(4), [(1, 8, 1)], "`inputs` must have at least 2 pixels along every axis to be pooled"),
        (lambda: UpBlock(4), [(4, 4, 2), (8, 7, 1)], "`skip` must have at least .*8, 8, 4.* Received: shape .*8, 7, 1"),
        (lambda: UpBlock(4), [(4, 4, 2)], "`inputs` must be one list of two tensors, .x, skip"),
        (lambda: CropConcatenate(), [(4, 4, 2), (3, 4, 1)], "`skip` must have at least the size .* Received: shape"),
        (lambda: CropConcatenate(), [(4, 4, 2), (4, 4, 4, 1)], "`skip` must have at least the size"),
        (lambda: GroupNormalization(4), [(5, 5, 6)], "`groups` must divide the 6 channels. Received: 4. Try groups=3"),
    ],
)
def test_refusals_of_shapes(make, shapes, message):
    with pytest.raises(ValueError, match=message):
        evaluate(make(), *[random(2, *shape) for shape in shapes])
    inputs = [keras.Input(shape) for shape in shapes]
    with pytest.raises(ValueError, match=message):
        make()(inputs if len(inputs) > 1 else inputs[0])
    with pytest.raises(ValueError, match=message):
        shapes = [(None,) + shape for shape in shapes]
        made = make()
        made.compute_output_shape(shapes if len(shapes) > 1 else shapes[0]), made.build(shapes[0])
