"""NCC and MSE: NumPy window by window, the laws of correlation, hard cases of rounding, refusals."""

import itertools

import numpy as np
import pytest
from scipy import ndimage

from applied import gradients_of, values
from mrlayers.backend import keras
from mrlayers.losses import MSE, NCC
from mrlayers.losses.windows import box_size, box_sum
from runtime import evaluate, gradients, random, relative_error, second_gradient

SIZES = [(20,), (9, 7), (6, 5, 7)]


def windows_around(shape, windows):
    """The slices of the window around each voxel, cut at the border."""
    for place in itertools.product(*[range(size) for size in shape]):
        yield tuple(slice(max(index - window // 2, 0), index + window // 2 + 1) for index, window in zip(place, windows))


def brute_force(true, prediction, windows, squared=True, epsilon=1e-6):
    """One channel: moments of what each window has inside, epsilon relative to the variances of both images."""
    total, epsilon = 0.0, epsilon * true.var() * prediction.var()
    for window in windows_around(true.shape, windows):
        x, y = true[window] - true[window].mean(), prediction[window] - prediction[window].mean()
        product = np.mean(x * x) * np.mean(y * y) + epsilon
        total += np.mean(x * y) ** 2 / product if squared else np.mean(x * y) / np.sqrt(product)
    return -total / true.size


def published(true, prediction, windows, squared=True, epsilon=1e-5):
    """One channel, as VoxelMorph: sums over windows filled up with zeros, divided by the whole window."""
    total, size = 0.0, np.prod(windows)
    for window in windows_around(true.shape, windows):
        x, y = true[window], prediction[window]
        mean_x, mean_y = x.sum() / size, y.sum() / size
        cross = (x * y).sum() - mean_y * x.sum() - mean_x * y.sum() + mean_x * mean_y * size
        variance_x = (x * x).sum() - 2 * mean_x * x.sum() + mean_x**2 * size
        variance_y = (y * y).sum() - 2 * mean_y * y.sum() + mean_y**2 * size
        product = variance_x * variance_y + epsilon
        total += cross**2 / product if squared else cross / np.sqrt(product)
    return -total / true.size


def each_channel(function, true, prediction, *arguments):
    true, prediction = true.astype("float64"), prediction.astype("float64")
    return [
        np.mean([function(x[..., channel], y[..., channel], *arguments) for channel in range(x.shape[-1])])
        for x, y in zip(true, prediction)
    ]


# numbers


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("window", [3, 5])
def test_equals_brute_force(shape, window):
    true, prediction = random(2, *shape + (2,)), random(2, *shape + (2,), seed=1)
    prediction = prediction + true
    windows = (window,) * len(shape)
    for squared in (True, False):
        expected = each_channel(brute_force, true, prediction, windows, squared)
        np.testing.assert_allclose(values(NCC(window, squared), true, prediction), expected, rtol=1e-5)
        expected = each_channel(published, true, prediction, windows, squared)
        np.testing.assert_allclose(values(NCC(window, squared, "zeros"), true, prediction), expected, rtol=1e-5)


def test_equals_brute_force_with_nine_voxels_and_other_epsilons():
    true, prediction = random(1, 11, 12, 1) + 2, random(1, 11, 12, 1, seed=1)
    for epsilon in (1e-3, 10.0):
        expected = each_channel(brute_force, true, prediction, (9, 9), True, epsilon)
        np.testing.assert_allclose(values(NCC(epsilon=epsilon), true, prediction), expected, rtol=1e-5)
        expected = each_channel(published, true, prediction, (9, 9), True, epsilon)
        np.testing.assert_allclose(values(NCC(border="zeros", epsilon=epsilon), true, prediction), expected, rtol=1e-5)


def test_a_window_for_each_axis():
    true, prediction = random(2, 9, 7, 1), random(2, 9, 7, 1, seed=1)
    expected = each_channel(brute_force, true, prediction, (5, 1))
    np.testing.assert_allclose(values(NCC((5, 1)), true, prediction), expected, rtol=1e-5)


@pytest.mark.parametrize("windows", [(1, 3), (5, 7), (9, 11), (13, 5)])
def test_box_sums_of_scipy(windows):
    x = random(2, 13, 12, 3)
    expected = ndimage.uniform_filter(x.astype("float64"), (1,) + windows + (1,), mode="constant") * np.prod(windows)
    assert relative_error(evaluate(lambda x: box_sum(x, windows), x), expected) < 1e-6
    ones = ndimage.uniform_filter(np.ones((1, 13, 12, 1)), (1,) + windows + (1,), mode="constant") * np.prod(windows)
    np.testing.assert_allclose(evaluate(lambda x: box_size(x, windows), x), ones, rtol=1e-6)


def test_gradient_of_a_box_sum_is_a_box_sum():
    x, y = random(2, 6, 7, 1), random(2, 6, 7, 1, seed=1)

    class BoxSum(keras.layers.Layer):
        def call(self, inputs):
            return box_sum(inputs, (3, 5))

    (found,), _ = gradients(BoxSum(), [x], y)
    np.testing.assert_allclose(found, evaluate(lambda y: box_sum(y, (3, 5)), y), rtol=1e-6)
    twice = evaluate(lambda y: box_sum(box_sum(y, (3, 5)), (3, 5)), y)
    np.testing.assert_allclose(second_gradient(lambda x: box_sum(x, (3, 5)), x, y), twice, rtol=1e-5)


def test_mse():
    true, prediction = random(2, 5, 6, 7, 2), random(2, 5, 6, 7, 2, seed=1)
    expected = np.square(true - prediction).mean(axis=(1, 2, 3, 4))
    np.testing.assert_allclose(values(MSE(), true, prediction), expected, rtol=1e-5)
    np.testing.assert_allclose(values(MSE(0.02), true, prediction), expected / 0.0004, rtol=1e-5)


# laws


def test_an_image_agrees_with_itself():
    image = random(2, 10, 11, 1)
    for border in ("counted", "zeros"):
        for squared in (True, False):
            np.testing.assert_allclose(values(NCC(border=border, squared=squared), image, image), -1.0, atol=2e-5)


def test_gain_and_offset_do_not_matter():
    """Also near the border, where zeros outside would be seen: one sample for each gain and offset."""
    gains, offsets = np.array([1.0, 1.0, 0.001, 2000.0, -3.0]), np.array([0.0, 1000.0, 0.0, -70.0, 5.0])
    true = np.repeat(random(1, 9, 10, 1), 5, axis=0)
    prediction = true + np.repeat(random(1, 9, 10, 1, seed=1), 5, axis=0)
    moved = (prediction * gains.reshape(5, 1, 1, 1) + offsets.reshape(5, 1, 1, 1)).astype("float32")
    for squared in (True, False):
        for pair in [(true, moved), (moved, true)]:
            found = values(NCC(5, squared), *pair)
            expected = found[0] * (np.ones(5) if squared else np.sign(gains))
            np.testing.assert_allclose(found[2:], expected[2:], rtol=1e-4)
            np.testing.assert_allclose(found[1], expected[1], rtol=1e-3)  # float32 has only four digits left there
    found = values(NCC(5, border="zeros"), true, moved)
    assert abs(found[1] - found[0]) > 0.1 and abs(found[4] - found[0]) > 0.1


def test_gradient_with_an_offset_of_1000():
    true, prediction = random(1, 9, 10, 1), random(1, 9, 10, 1, seed=1)
    _, expected = gradients_of(NCC(5), [true, prediction], np.ones(1, "float32"))
    _, found = gradients_of(NCC(5), [true + 1000, prediction + 1000], np.ones(1, "float32"))
    assert relative_error(found, expected) < 5e-3


def test_independent_noise_is_not_correlated():
    true, prediction = random(1, 14, 15, 16, 1), random(1, 14, 15, 16, 1, seed=1)
    assert abs(values(NCC(9, squared=False), true, prediction)[0]) < 0.01
    assert -0.01 < values(NCC(9), true, prediction)[0] < 0  # one over the number of voxels, on average
    bright = true + 100  # which zeros outside turn into an edge at the border of both images
    assert values(NCC(9), bright, prediction + 100)[0] > -0.01
    assert values(NCC(9, border="zeros"), bright, prediction + 100)[0] < -0.5


def test_symmetric():
    true, prediction = random(2, 9, 10, 1), random(2, 9, 10, 1, seed=1)
    for loss in (NCC(5), NCC(5, squared=False), NCC(5, border="zeros")):
        np.testing.assert_allclose(values(loss, true, prediction), values(loss, prediction, true), rtol=1e-6)


@pytest.mark.parametrize("border", ["counted", "zeros"])
@pytest.mark.parametrize("squared", [True, False])
def test_constant_images(squared, border):
    """Correlated with nothing, with finite gradients; zeros outside give a constant an edge, so only finite there."""
    flat = np.ones((5, 10, 11, 1), "float32") * np.array([0.0, 1.0, 0.1, 1000.1, -3e5], "float32").reshape(5, 1, 1, 1)
    image = random(5, 10, 11, 1)
    arrays = [np.concatenate(arrays) for arrays in [(image, flat, flat), (flat, image, flat)]]
    loss = NCC(squared=squared, border=border)
    result = values(loss, *arrays)
    assert np.isfinite(result).all()
    if border == "counted":
        np.testing.assert_allclose(result, 0.0, atol=1e-3)
    for gradient in gradients_of(loss, arrays, np.ones(15, "float32")):
        assert np.isfinite(gradient).all()


def test_flat_background_does_not_count():
    """A brain on zeros: windows without contrast have the value 0, and no gradient to speak of."""
    true, prediction = np.zeros((1, 20, 20, 1), "float32"), np.zeros((1, 20, 20, 1), "float32")
    true[:, :7, :7], prediction[:, :7, :7] = random(1, 7, 7, 1), random(1, 7, 7, 1, seed=1)
    _, gradient = gradients_of(NCC(3), [true, prediction], np.ones(1, "float32"))
    assert np.abs(gradient[:, 9:, 9:]).max() < 1e-6 * np.abs(gradient[:, :7, :7]).max()


# refusals


def test_refusals_of_windows():
    for window, fix in [(4, 5), (0, 9), (-3, 9), (3.0, 9), (True, 9), (1, 9), ((3, 2), 3), ((), 9), ("9", 9)]:
        with pytest.raises(ValueError, match="`window` must be an odd integer of at least 3, .* Try window={}.".format(fix)):
            NCC(window)
    image = random(1, 9, 6, 1)
    expected = r"`window` must not be larger than the volume, shape \(9, 6\). Received: window=9. Try window=\(9, 5\)."
    with pytest.raises(ValueError, match=expected):
        values(NCC(), image, image)
    with pytest.raises(ValueError, match="`window` must not be larger than the volume.* Try a larger volume."):
        values(NCC(), image[:, :1, :2], image[:, :1, :2])
    with pytest.raises(
        ValueError, match=r"`window` must be one number, or one for each of the 2 axes.*\(3, 3, 3\).*Try window=3"
    ):
        values(NCC((3, 3, 3)), image, image)


def test_refusals_of_arguments():
    for epsilon in (0.0, -1e-5, float("nan")):
        with pytest.raises(ValueError, match="`epsilon` must be a number above 0, or None. Received"):
            NCC(epsilon=epsilon)
    with pytest.raises(ValueError, match="`border` must be one of 'counted', 'zeros'. Received: 'edge'."):
        NCC(border="edge")
    for noise in (0.0, -1.0, float("inf")):
        with pytest.raises(ValueError, match="`noise` must be a number above 0. Received: .* Try noise=1.0."):
            MSE(noise)
