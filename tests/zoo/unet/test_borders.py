"""Weights of borders between cells: the formula with the distance of every pixel to every pixel of every cell."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import distance

from zoo.unet.borders import border_weights
from zoo.unet.cells import random_cells


def brute_force(labels, w0, sigma):
    """The second term."""
    cells, count = ndimage.label(labels)
    pixels = np.argwhere(np.ones_like(labels))
    distances = [distance.cdist(pixels, np.argwhere(cells == number)).min(axis=1) for number in range(1, count + 1)]
    first, second = np.sort(distances, axis=0)[:2]
    return (w0 * np.exp(-((first + second) ** 2) / (2 * sigma**2))).reshape(labels.shape)


def share(labels):
    """The pixels over twice those of the class."""
    return np.where(labels == 1, labels.size / (2.0 * labels.sum()), labels.size / (2.0 * (labels == 0).sum()))


# --- numbers


@pytest.mark.parametrize("shape", [(48, 61), (16, 18, 17)], ids=["2-D", "3-D"])
def test_the_formula_pixel_by_pixel(shape):
    noise = ndimage.gaussian_filter(np.random.RandomState(0).normal(size=shape), 1.5)
    labels = (noise > 0.7 * noise.std()).astype(int)
    assert ndimage.label(labels)[1] > 8
    for w0, sigma in [(10.0, 5.0), (3.0, 1.5), (1.0, 40.0)]:
        expected = brute_force(labels, w0, sigma)
        assert expected.min() < 0.97 * expected.max()
        found = border_weights(labels, w0, sigma, class_balance=False)
        assert found.dtype == np.float32 and found.shape == shape
        np.testing.assert_allclose(found, 1 + expected, rtol=1e-6)
        np.testing.assert_allclose(border_weights(labels, w0, sigma), share(labels) + expected, rtol=1e-6)


def test_a_gap_by_hand():
    """A row of two cells with three pixels between them, and with one."""
    for gap, near in [(3, 4), (1, 2)]:
        labels = np.array([[1] * 4 + [0] * gap + [1] * 4])
        weights = border_weights(labels, 10.0, 2.0, class_balance=False)[0]
        np.testing.assert_allclose(weights[4 : 4 + gap], 1 + 10 * np.exp(-(near**2) / 8.0), rtol=1e-6)
        np.testing.assert_allclose(weights[:4], 1 + 10 * np.exp(-((gap + np.arange(4, 0, -1)) ** 2) / 8.0), rtol=1e-6)
        np.testing.assert_allclose(weights, weights[::-1], rtol=1e-6)


# --- laws


def test_both_classes_weigh_the_same():
    labels = random_cells(1, (48, 61))[1][0]
    weights = border_weights(labels, w0=0.0)
    assert weights[labels == 1].sum() == pytest.approx(weights[labels == 0].sum(), rel=1e-5)
    assert weights.mean() == pytest.approx(1.0, rel=1e-5)


def test_symmetries():
    labels = random_cells(1, (48, 61))[1][0]
    expected = border_weights(labels)
    np.testing.assert_array_equal(border_weights(labels.T), expected.T)
    np.testing.assert_array_equal(border_weights(labels[::-1]), expected[::-1])
    for same in (labels == 1, labels.astype("float32"), labels.tolist()):
        np.testing.assert_array_equal(border_weights(same), expected)
    np.testing.assert_allclose(border_weights(labels[None])[0], expected, rtol=1e-6)


def test_fewer_than_two_cells_have_no_border():
    nothing, one = np.zeros((2, 9, 8), int)
    one[2:5, 3:6] = 1
    np.testing.assert_allclose(border_weights(one), share(one), rtol=1e-6)
    for labels in (nothing, 1 - nothing):
        np.testing.assert_array_equal(border_weights(labels), 1)
    one[6, 6] = 1
    assert border_weights(one)[5, 6] > 4


# --- refusals


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (dict(w0=-1.0), "`w0` must be a number of at least 0. Received: -1.0. Try w0=10.0."),
        (dict(sigma=0), "`sigma` must be a number of pixels above 0. Received: 0. Try sigma=5.0."),
        (dict(sigma=float("inf")), "`sigma`"),
        (dict(labels=np.zeros((2, 4, 4, 1))), "`labels` must have the shape (height, width) or (depth, height, width). Rec"),
        (dict(labels=np.zeros((0, 4))), "`labels`"),
        (
            dict(labels=np.full((4, 4), 255)),
            "`labels` must be zeros and ones. Received: 255 and 15 others. Try labels == 255 for",
        ),
        (dict(labels=np.full((4, 4), 0.5)), "`labels` must be zeros and ones. Received: 0.5 and"),
    ],
)
def test_refusals(arguments, expected):
    with pytest.raises(ValueError) as caught:
        border_weights(**dict(dict(labels=np.zeros((4, 4), int)), **arguments))
    assert expected in str(caught.value)
