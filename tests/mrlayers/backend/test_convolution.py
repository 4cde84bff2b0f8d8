"""Convolutions that TensorFlow 1.15 gets from `tf1_layers` and PyTorch from `torch_kernels`: NumPy is the oracle on every runtime."""

import itertools

import numpy as np
import pytest

from mrlayers import backend
from mrlayers.backend import keras
from runtime import RUNTIME, evaluate, gradients, random


def correlate(image, kernel, gradient):
    """Value and both gradients of a convolution of stride 1 that keeps the size, one tap after the other."""
    half = [size // 2 for size in kernel.shape[:3]]
    sizes = image.shape[1:4]
    widths = [(0, 0)] + [(before, before) for before in half] + [(0, 0)]
    padded = np.pad(image, widths, mode="constant")
    value, to_padded, to_kernel = 0.0, np.zeros_like(padded), np.zeros_like(kernel)
    for tap in itertools.product(*[range(size) for size in kernel.shape[:3]]):
        window = (slice(None),) + tuple(slice(start, start + size) for start, size in zip(tap, sizes))
        value = value + padded[window] @ kernel[tap]
        to_padded[window] += gradient @ kernel[tap].T
        to_kernel[tap] = np.einsum("bijkc,bijko->co", padded[window], gradient)
    inner = (slice(None),) + tuple(slice(before, before + size) for before, size in zip(half, sizes))
    return value, to_padded[inner], to_kernel


@pytest.mark.parametrize("sizes", [(5, 6, 7), (1, 4, 3), (2, 1, 5)])
@pytest.mark.parametrize("kernel_size", [(3, 3, 3), (5, 3, 1), (1, 3, 3), (1, 1, 1)])
def test_values_and_gradients(sizes, kernel_size):
    image = random(2, *(sizes + (3,)), dtype="float64")
    layer = backend.without_copies(keras.layers.Conv3D(4, kernel_size, padding="same"))
    layer.build((None, None, None, None, 3))
    kernel, bias = random(*(kernel_size + (3, 4)), seed=1), random(4, seed=2)
    layer.set_weights([kernel, bias])
    gradient = random(2, *(sizes + (4,)), seed=3)
    value, to_image, to_kernel = correlate(image, kernel.astype("float64"), gradient.astype("float64"))
    (found,), (found_kernel, found_bias) = gradients(layer, [image.astype("float32")], gradient)
    np.testing.assert_allclose(found, to_image, atol=1e-4)
    np.testing.assert_allclose(found_kernel, to_kernel, atol=1e-3)
    np.testing.assert_allclose(found_bias, gradient.sum(axis=(0, 1, 2, 3)), atol=1e-3)


@pytest.mark.parametrize("options", [dict(padding="same"), dict(), dict(padding="same", strides=2), dict(use_bias=False)])
@pytest.mark.parametrize("kernel_size", [3, 2, (1, 3, 3)])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_without_copies_all_is_as_before(dimensions, kernel_size, options):
    kernel_size = kernel_size[-dimensions:] if isinstance(kernel_size, tuple) else kernel_size
    make = {2: keras.layers.Conv2D, 3: keras.layers.Conv3D}[dimensions]
    layer, plain = [make(4, kernel_size, **options) for _ in range(2)]
    image = random(2, *((5, 6, 7)[-dimensions:] + (3,)))
    expected = evaluate(plain, image)
    layer = backend.without_copies(layer)
    layer.build(image.shape)
    layer.set_weights(plain.get_weights())
    np.testing.assert_allclose(evaluate(layer, image), expected, atol=1e-5)
    upstream = random(*expected.shape, seed=1)
    (to_image,), to_weights = gradients(layer, [image], upstream)
    (plain_to_image,), plain_to_weights = gradients(plain, [image], upstream)
    for found, other in zip([to_image] + to_weights, [plain_to_image] + plain_to_weights):
        np.testing.assert_allclose(found, other, atol=1e-4)


@pytest.mark.skipif(RUNTIME != "tensorflow1", reason="the others need no help")
@pytest.mark.parametrize(
    "options, lean",
    [(dict(padding="same"), True), (dict(padding="same", strides=2), False), (dict(), False), (dict(kernel_size=2), False)],
)
def test_lean_gradient_is_taken_where_it_can_be(options, lean):
    """And equals TensorFlow's own; strides, valid and even convolutions keep that."""
    import tensorflow as tf

    ours = keras.layers.Conv3D(**dict(dict(filters=4, kernel_size=3), **options))
    plain = tf.keras.layers.Conv3D.from_config(dict(ours.get_config(), name="plain"))
    image = tf.constant(random(2, 5, 6, 7, 3))
    both = [ours(image), plain(image)]
    plain.set_weights(ours.get_weights())
    found = [tf.gradients(tf.reduce_sum(y * y), [image] + layer.weights) for y, layer in zip(both, (ours, plain))]
    session = keras.backend.get_session()
    values, expected = session.run([[both[0]] + found[0], [both[1]] + found[1]])
    assert np.array_equal(values[0], expected[0])
    for value, reference in zip(values[1:], expected[1:]):
        np.testing.assert_allclose(value, reference, rtol=1e-4, atol=1e-4)
    assert ("Conv2DBackpropFilter" in {operation.type for operation in image.graph.get_operations()}) == lean
