"""Refinement of one pair: the loss falls, a known shift is found, the start is never lost, refusals."""

import numpy as np
import pytest

from runtime import random
from zoo.voxelmorph import refine, voxelmorph, voxelmorph_diffeomorphic

SMALL_HALF = dict(encoder=(4, 4), decoder=(4, 4, 4))


def blob(centre, shape):
    """A smooth bump of six voxels' width."""
    lattice = np.stack(np.meshgrid(*[np.arange(size) for size in shape], indexing="ij"), axis=-1)
    return np.exp(-np.sum((lattice - np.asarray(centre)) ** 2, axis=-1) / 32)[np.newaxis, ..., np.newaxis].astype("float32")


def shuffled(model, scale):
    model.set_weights([scale * random(*weight.shape, seed=index) for index, weight in enumerate(model.get_weights())])
    return model


@pytest.mark.parametrize("similarity", ["mse", pytest.param("ncc", marks=pytest.mark.slow)])
def test_finds_a_shift(similarity):
    """Two voxels along the first axis, from a displacement of zero."""
    moving, fixed = blob((12, 11), (22, 23)), blob((10, 11), (22, 23))
    zero = np.zeros((1, 22, 23, 2), "float32")
    weight = 0.001 if similarity == "mse" else 0.1
    result = refine(zero, moving, fixed, 60, similarity, weight, learning_rate=0.2)
    assert len(result.losses) == 61 and result.velocity is None
    assert np.abs(result.moved - fixed).max() < 0.25 * np.abs(moving - fixed).max()
    assert result.displacement[0, 10, 11] == pytest.approx([2, 0], abs=0.4)
    if similarity == "mse":
        assert result.losses[0] == pytest.approx(np.mean((moving - fixed) ** 2), rel=1e-4)
        smoothness = np.mean([np.mean(np.diff(result.displacement, axis=axis) ** 2) for axis in (1, 2)])
        assert min(result.losses) == pytest.approx(np.mean((result.moved - fixed) ** 2) + weight * smoothness, rel=1e-3)


def test_a_diffeomorphism_stays_one():
    """The velocity is what changes: displacement and moved image are those of the model's own integration."""
    model = shuffled(voxelmorph_diffeomorphic((14, 13), 4, **SMALL_HALF), 0.1)
    moving, fixed = blob((8, 6), (14, 13)), blob((6, 6), (14, 13))
    start = [np.asarray(x) for x in model.predict([moving, fixed], verbose=0)]
    result = refine(model, moving, fixed, 12, learning_rate=0.05)
    assert result.velocity.shape == (1, 7, 7, 2) and result.displacement.shape == (1, 14, 13, 2)
    assert result.losses[0] >= np.mean((start[0] - fixed) ** 2)
    assert min(result.losses) < 0.9 * result.losses[0]
    assert np.mean((result.moved - fixed) ** 2) < np.mean((start[0] - fixed) ** 2)


def test_never_worse_than_the_start():
    """With a learning rate far too large the start comes back."""
    model = shuffled(voxelmorph((9, 8, 7), encoder=(4,), decoder=(4, 4, 4)), 0.1)
    moving, fixed = blob((5, 4, 4), (9, 8, 7)), blob((4, 4, 4), (9, 8, 7))
    moved, displacement = [np.asarray(x) for x in model.predict([moving, fixed], verbose=0)]
    for start, expected in [(model, (moved, displacement)), (0 * displacement, (moving, 0 * displacement))]:
        result = refine(start, moving, fixed, 3, learning_rate=1e3)
        assert min(result.losses[1:]) > result.losses[0]
        np.testing.assert_allclose(result.moved, expected[0], atol=1e-6)
        assert np.array_equal(result.displacement, expected[1])


def test_one_dimension():
    moving, fixed = blob((12,), (24,)), blob((10,), (24,))
    result = refine(np.zeros((1, 24, 1), "float32"), moving, fixed, 40, smoothness_weight=1e-3, learning_rate=0.2)
    assert min(result.losses) < 0.2 * result.losses[0]


def test_refusals():
    volume, zero = blob((4, 4), (8, 9)), np.zeros((1, 8, 9, 2), "float32")
    for start, moving, fixed, options, message in [
        (
            zero,
            volume,
            volume[:, 1:],
            {},
            "`moving` and `fixed` must be one pair, both .* Received: .1, 8, 9, 1. and .1, 7, 9, 1.",
        ),
        (zero, volume[0], volume[0], {}, "`moving` and `fixed` must be one pair"),
        (zero[:, 1:], volume, volume, {}, "`start` must be a displacement of .1, 8, 9, 2.. Received: .1, 7, 9, 2."),
        (zero, volume, np.nan * volume, {}, "`moving`, `fixed` and `start` must be finite. Received: a loss of nan"),
        (zero, volume, volume, dict(iterations=0), "`iterations` must be an integer"),
        (zero, volume, volume, dict(similarity="mi"), "`similarity` must be one of"),
    ]:
        with pytest.raises(ValueError, match=message):
            refine(start, moving, fixed, **options)
