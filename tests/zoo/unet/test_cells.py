"""The embedded cells: what they depend on, how much membrane they have, and that they look the part."""

import numpy as np
import pytest
import scipy.ndimage

from zoo.unet.cells import random_cells

IMAGES, LABELS = random_cells(4, (96, 112), seed=1)


# --- numbers


def test_shapes_types_and_ranges():
    assert IMAGES.shape == LABELS.shape == (4, 96, 112)
    assert IMAGES.dtype == np.float32 and LABELS.dtype == np.uint8
    assert IMAGES.min() >= 0 and IMAGES.max() <= 1 and np.unique(LABELS).tolist() == [0, 1]


def test_as_much_membrane_as_in_real_tissue():
    """ISBI 2012 has 22 % of membrane, a mean of 0.49 and a standard deviation of 0.17."""
    shares = 1 - LABELS.mean(axis=(1, 2))
    assert 0.12 < shares.min() and shares.max() < 0.4
    assert 0.45 < IMAGES.mean() < 0.7 and 0.1 < IMAGES.std() < 0.2


def test_membranes_are_dark_and_intensity_alone_does_not_tell_them():
    best = max(((IMAGES > level) == LABELS).mean() for level in np.linspace(0.2, 0.8, 61))
    assert IMAGES[LABELS == 1].mean() - IMAGES[LABELS == 0].mean() > 0.1
    assert 0.75 < best < 0.95


def test_membranes_separate_cells_and_are_thick_enough_to_learn():
    for labels in LABELS:
        cells, count = scipy.ndimage.label(labels)
        sizes = np.bincount(cells.ravel())[1:]
        assert count >= 8 and sizes.max() < 0.5 * labels.size
        thickness = 2 * scipy.ndimage.distance_transform_edt(np.pad(labels == 0, 1, mode="edge")).max()
        assert 3 < thickness < 20


def test_in_three_dimensions():
    images, labels = random_cells(1, (20, 24, 28))
    assert images.shape == labels.shape == (1, 20, 24, 28)
    assert 0.1 < 1 - labels.mean() < 0.6 and images[labels == 0].mean() < images[labels == 1].mean() - 0.05


# --- laws


def test_an_image_depends_on_seed_and_index_only():
    more, labels = random_cells(5, (96, 112), seed=1)
    assert np.array_equal(more[:4], IMAGES) and np.array_equal(labels[:4], LABELS)
    other = random_cells(4, (96, 112), seed=2)[1]
    assert len(np.unique(np.concatenate([LABELS, other]).reshape(8, -1), axis=0)) == 8
    before = np.random.get_state()[1].tolist()
    random_cells(1, (16, 16))
    assert np.random.get_state()[1].tolist() == before


@pytest.mark.parametrize("shape", [(16, 16), (17, 300), (16, 16, 16)])
def test_any_shape(shape):
    for seed in range(5):
        images, labels = random_cells(1, shape, seed)
        assert images.shape == (1,) + shape and np.isfinite(images).all()


# --- refusals


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (dict(count=0), "`count` must be an integer from 1"),
        (dict(shape=(8, 64)), "`shape` must be two or three integers of 16 or more. Received: (8, 64)"),
        (dict(shape=64), "`shape`"),
        (dict(shape=(64.0, 64)), "`shape`"),
        (dict(seed=-1), "`seed` must be an integer from 0"),
    ],
)
def test_refusals(arguments, expected):
    with pytest.raises(ValueError) as caught:
        random_cells(**dict(dict(count=1), **arguments))
    assert expected in str(caught.value)
