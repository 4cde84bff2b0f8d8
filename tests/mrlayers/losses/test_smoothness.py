"""Gradient and BendingEnergy: known answers, NumPy, laws, refusals."""

import numpy as np
import pytest

from applied import values
from mrlayers.losses import BendingEnergy, Gradient
from runtime import random

LOSSES = [Gradient("l1"), Gradient("l2"), BendingEnergy()]


def grid(*shape):
    """Coordinates `(1, *shape, ndim)`."""
    return np.stack(np.meshgrid(*[np.arange(size) for size in shape], indexing="ij"), axis=-1)[None].astype("float32")


# numbers


def test_known_answers():
    """A ramp of 0.5 per voxel in one of three channels along one axis of 4^3."""
    field = np.zeros((1, 4, 4, 4, 3), "float32")
    field[..., 1] = 0.5 * grid(4, 4, 4)[..., 2]
    assert values(Gradient("l2"), field)[0] == pytest.approx(0.02777778, abs=1e-8)
    assert values(Gradient("l1"), field)[0] == pytest.approx(0.05555556, abs=1e-8)


@pytest.mark.parametrize("shape", [(11,), (6, 9), (4, 5, 7)])
@pytest.mark.parametrize("spacing", [None, 1.7, (0.8, 1.0, 3.0)])
def test_equals_numpy(shape, spacing):
    field = random(2, *shape + (len(shape),))
    spacing = spacing[: len(shape)] if isinstance(spacing, tuple) else spacing
    sizes = np.broadcast_to(1.0 if spacing is None else spacing, len(shape))
    axes = range(1, len(shape) + 1)
    every = tuple(axes) + (-1,)

    def slope(x, axis):
        return np.diff(x, axis=axis) / sizes[axis - 1]

    for penalty, function in [("l1", np.abs), ("l2", np.square)]:
        expected = np.mean([function(slope(field, axis)).mean(axis=every) for axis in axes], axis=0)
        np.testing.assert_allclose(values(Gradient(penalty, spacing), field), expected, rtol=1e-5)
    expected = sum(np.square(slope(slope(field, first), second)).mean(axis=every) for first in axes for second in axes)
    np.testing.assert_allclose(values(BendingEnergy(spacing), field), expected, rtol=1e-5)


def test_bending_of_a_saddle_and_of_a_bowl():
    """x y has one mixed derivative of 1, counted twice; x^2 + 3 y^2 has second derivatives of 2 and 6."""
    x, y = grid(6, 5)[..., :1], grid(6, 5)[..., 1:]
    assert values(BendingEnergy(), x * y)[0] == pytest.approx(2.0, rel=1e-6)
    assert values(BendingEnergy(), x**2 + 3 * y**2)[0] == pytest.approx(4.0 + 36.0, rel=1e-6)
    assert values(BendingEnergy((2.0, 0.5)), x * y)[0] == pytest.approx(2.0, rel=1e-6)
    assert values(BendingEnergy((2.0, 0.5)), x**2 + 3 * y**2)[0] == pytest.approx(4.0 / 2**4 + 36.0 / 0.5**4, rel=1e-6)


# laws


@pytest.mark.parametrize("shape", [(9,), (6, 5), (4, 5, 6)])
def test_affine_fields(shape):
    """No energy of bending; a gradient that only the matrix decides; none at all for a constant."""
    places, ndim = grid(*shape), len(shape)
    matrix = random(ndim, ndim)
    field = places @ matrix.T + random(ndim, seed=1)
    assert values(BendingEnergy(), field)[0] == pytest.approx(0.0, abs=1e-10)
    assert values(Gradient("l2"), field)[0] == pytest.approx(np.square(matrix).mean(), rel=1e-5)
    assert values(Gradient("l1"), field)[0] == pytest.approx(np.abs(matrix).mean(), rel=1e-5)
    for loss in LOSSES:
        assert values(loss, np.full_like(field, 7.3))[0] == 0.0


def test_axes_may_be_exchanged_and_flipped():
    field = random(2, 5, 5, 5, 3)
    for loss in LOSSES:
        expected = values(loss, field)
        np.testing.assert_allclose(values(loss, np.ascontiguousarray(field.transpose(0, 3, 1, 2, 4))), expected, rtol=1e-5)
        np.testing.assert_allclose(values(loss, np.ascontiguousarray(field[:, ::-1, :, ::-1])), expected, rtol=1e-5)


def test_scales_with_the_field_and_with_the_spacing():
    field = random(1, 5, 6, 2)
    for make, power, order in [(lambda s: Gradient("l1", s), 1, 1), (lambda s: Gradient("l2", s), 2, 1), (BendingEnergy, 2, 2)]:
        expected = values(make(None), field)
        np.testing.assert_allclose(values(make(None), 3 * field), 3**power * expected, rtol=1e-5)
        np.testing.assert_allclose(values(make(2.0), field), expected / 2.0 ** (power * order), rtol=1e-5)


def test_target_is_not_used():
    field = random(2, 5, 6, 2)
    for loss in LOSSES:
        result = values(loss, np.full_like(field, np.nan), field)
        assert np.array_equal(result, values(loss, field))


# refusals


def test_refusals():
    with pytest.raises(ValueError, match="`penalty` must be one of 'l1', 'l2'. Received: 'l3'."):
        Gradient("l3")
    for make in (Gradient, BendingEnergy):
        for spacing in (0.0, -1.0, (1.0, float("nan")), (), [[1.0]]):
            with pytest.raises(ValueError, match="`spacing` must be positive: one number, .*Received.*Try spacing=1.0."):
                make(spacing=spacing)
        with pytest.raises(ValueError, match=r"`spacing` must have one number for each of the 2 axes.*\(1.0, 2.0, 3.0\).*Try"):
            values(make(spacing=(1, 2, 3)), random(1, 5, 6, 2))
    with pytest.raises(
        ValueError, match=r"at least 2 voxels along each axis.*Received: shape \(1, 5, 1, 2\).*squeeze\(array, 2\)"
    ):
        values(Gradient(), random(1, 5, 1, 2))
    with pytest.raises(ValueError, match="at least 3 voxels along each axis"):
        values(BendingEnergy(), random(1, 2, 5, 2))
