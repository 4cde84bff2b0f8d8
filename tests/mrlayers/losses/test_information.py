"""MutualInformation: NumPy voxel by voxel, limits, laws, refusals."""

import numpy as np
import pytest

from applied import gradients_of, values
from mrlayers.losses import MutualInformation
from runtime import random


def spline(distance):
    distance = abs(distance)
    if distance >= 2:
        return 0.0
    return (2 - distance) ** 3 / 6 if distance >= 1 else 2 / 3.0 - distance**2 + distance**3 / 2


def entropies(true, prediction, bins, value_range=None):
    """Of the first, of the second and of both: one channel of one sample, voxel by voxel."""
    places = []
    for image in (true.astype("float64").ravel(), prediction.astype("float64").ravel()):
        lowest, highest = (image.min(), image.max()) if value_range is None else value_range
        places.append(1 + (bins - 3) * (np.clip(image, lowest, highest) - lowest) / (highest - lowest))
    joint = np.zeros((bins, bins))
    for x, y in zip(*places):
        joint += np.outer([spline(x - centre) for centre in range(bins)], [spline(y - centre) for centre in range(bins)])
    joint /= joint.sum()
    return [-sum(p * np.log(p) for p in table.ravel() if p > 0) for table in (joint.sum(axis=1), joint.sum(axis=0), joint)]


# numbers


@pytest.mark.parametrize("shape, bins, value_range", [((23,), 4, None), ((5, 8), 9, (-0.5, 1.5)), ((3, 4, 5), 6, None)])
def test_equals_brute_force(shape, bins, value_range):
    true, noise = random(2, *shape + (2,)), random(2, *shape + (2,), seed=1)
    prediction = true**2 + 0.3 * noise
    found = [values(MutualInformation(bins, value_range, normalized), true, prediction) for normalized in (False, True)]
    for sample in range(2):
        all_three = [
            entropies(true[sample, ..., channel], prediction[sample, ..., channel], bins, value_range) for channel in range(2)
        ]
        assert found[0][sample] == pytest.approx(-np.mean([h[0] + h[1] - h[2] for h in all_three]), rel=1e-5, abs=1e-6)
        assert found[1][sample] == pytest.approx(-np.mean([(h[0] + h[1]) / h[2] for h in all_three]), rel=1e-5, abs=1e-6)


# laws


def test_of_an_image_with_itself_is_its_entropy():
    """Exactly so where its values are four bins apart, so that their Parzen windows do not overlap; normalised it is 2 if the
    windows were narrow, and less by their own entropy."""
    levels = np.array([0, 0, 0, 4, 4, 8, 12, 12], "float32")
    image = np.random.RandomState(0).permutation(np.tile(levels, 8)).reshape(1, 8, 8, 1)
    entropy = -sum(p * np.log(p) for p in (3 / 8.0, 2 / 8.0, 1 / 8.0, 2 / 8.0))
    assert values(MutualInformation(15), image, image)[0] == pytest.approx(-entropy, rel=1e-5)
    window = -sum(p * np.log(p) for p in (1 / 6.0, 4 / 6.0, 1 / 6.0))
    expected = -2 * (entropy + window) / (entropy + 2 * window)
    assert values(MutualInformation(15, normalized=True), image, image)[0] == pytest.approx(expected, rel=1e-5)


def test_of_independent_images_is_zero():
    """Every pair of intensities equally often: exactly independent, at any number of bins."""
    first, second = np.meshgrid(random(12), random(9, seed=1), indexing="ij")
    first, second = first[None, ..., None], second[None, ..., None]
    assert values(MutualInformation(16), first, second)[0] == pytest.approx(0.0, abs=2e-6)
    assert values(MutualInformation(16, normalized=True), first, second)[0] == pytest.approx(-1.0, abs=2e-6)


def test_indifferent_to_order_gain_offset_and_contrast():
    true = random(1, 9, 10, 1)
    prediction = np.sin(true) + 0.1 * random(1, 9, 10, 1, seed=1)
    loss = MutualInformation(12)
    expected = values(loss, true, prediction)
    np.testing.assert_allclose(values(loss, prediction, true), expected, rtol=1e-5)
    np.testing.assert_allclose(values(loss, true, 1000 * prediction + 300), expected, rtol=1e-4)
    np.testing.assert_allclose(values(loss, true, -prediction), expected, rtol=1e-4)
    order = np.random.RandomState(0).permutation(90)
    shuffled = [image.reshape(1, 90, 1)[:, order].reshape(image.shape) for image in (true, prediction)]
    np.testing.assert_allclose(values(loss, *shuffled), expected, rtol=1e-4)


def test_alignment_is_the_best_shift():
    image = np.cumsum(random(1, 60, 1), axis=1)
    shifted = np.concatenate([np.cos(np.roll(image, shift, axis=1)) for shift in range(-3, 4)])
    assert np.argmin(values(MutualInformation(8), np.repeat(image, 7, axis=0), shifted)) == 3


def test_gradient_takes_the_extremes_for_constants_and_ends_outside_the_range():
    true, prediction = random(1, 6, 7, 1), random(1, 6, 7, 1, seed=1)
    span = (float(prediction.min()), float(prediction.max()))
    true = np.interp(true, (true.min(), true.max()), span).astype("float32")
    arrays, one = [true, prediction], np.ones(1, "float32")
    _, free = gradients_of(MutualInformation(8), arrays, one)
    _, fixed = gradients_of(MutualInformation(8, span), arrays, one)
    inside = (prediction > span[0]) & (prediction < span[1])
    np.testing.assert_allclose(free[inside], fixed[inside], rtol=1e-3, atol=1e-6)
    _, narrow = gradients_of(MutualInformation(8, (-0.5, 0.5)), arrays, one)
    assert not np.any(narrow[np.abs(prediction) > 0.5]) and np.all(narrow[np.abs(prediction) < 0.5])


def test_constant_images_tell_nothing():
    image, flat = random(2, 6, 7, 1), np.ones((2, 6, 7, 1), "float32") * np.array([0, 1000.1], "float32").reshape(2, 1, 1, 1)
    arrays = [np.concatenate(arrays) for arrays in [(image, flat, flat), (flat, image, flat)]]
    np.testing.assert_allclose(values(MutualInformation(), *arrays), 0.0, atol=1e-5)
    for gradient in gradients_of(MutualInformation(), arrays, np.ones(6, "float32")):
        assert np.isfinite(gradient).all()


# refusals


def test_refusals():
    for bins in (3, 0, 8.0):
        with pytest.raises(ValueError, match="`bins` must be an integer from 4 to .* Try bins=4"):
            MutualInformation(bins)
    for value_range in [(1.0, 0.0), (0.0,), (0.0, float("nan")), (2.0, 2.0)]:
        with pytest.raises(ValueError, match=r"`value_range` must be \(lowest, highest\).*Received.*Try \(0.0, 1.0\)."):
            MutualInformation(value_range=value_range)
