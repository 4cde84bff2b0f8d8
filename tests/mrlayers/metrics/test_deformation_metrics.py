"""Jacobian determinants of maps that are known, and of random ones against NumPy's determinant and SciPy's differences."""

import inspect
import itertools

import numpy as np
import pytest
from scipy import ndimage

from mrlayers import metrics

SHAPES = [(11,), (9, 12), (8, 7, 9)]
DEFINITIONS = metrics.DEFINITIONS["jacobian_determinant"]

every_shape = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "{}-D".format(len(shape)))
every_definition = pytest.mark.parametrize("definition", DEFINITIONS)


def grid(shape):
    return np.stack(np.meshgrid(*[np.arange(float(size)) for size in shape], indexing="ij"), axis=-1)


def random_field(shape, amplitude=0.6):
    return amplitude * np.random.RandomState(len(shape)).normal(size=shape + (len(shape),))


def order_of_planes(shape, places):
    """The displacement that takes each plane along the first axis to the plane that `places` names for it."""
    displacement = np.zeros(shape + (len(shape),))
    displacement[..., 0] = np.reshape(places - np.arange(len(places)), (-1,) + (1,) * (len(shape) - 1))
    return displacement


# numbers


@every_shape
def test_central_differences_of_numpy(shape):
    displacement = random_field(shape)
    derivatives = [np.reshape(np.gradient(displacement[..., i]), (len(shape),) + shape) for i in range(len(shape))]
    matrix = np.moveaxis(np.array(derivatives), (0, 1), (-2, -1)) + np.eye(len(shape))
    np.testing.assert_allclose(metrics.jacobian_determinant(displacement), np.linalg.det(matrix), atol=1e-12)


@every_shape
def test_forward_differences_voxel_by_voxel(shape):
    displacement = random_field(shape)
    place = grid(shape) + displacement
    result = metrics.jacobian_determinant(displacement, "forward")
    assert result.shape == tuple(size - 1 for size in shape)
    for voxel in np.ndindex(result.shape):
        edges = [place[tuple(voxel + step)] - place[voxel] for step in np.eye(len(shape), dtype=int)]
        assert result[voxel] == pytest.approx(np.linalg.det(edges), abs=1e-12)


@every_shape
@pytest.mark.parametrize("masked", [False, True])
def test_sdlogj_of_learn2reg(shape, masked):
    displacement = random_field(shape)
    mask = np.random.RandomState(9).uniform(size=shape) < (0.7 if masked else 2)
    ndim, inside = len(shape), (slice(2, -2),) * len(shape)
    kernels = [np.reshape([-0.5, 0, 0.5], [3 if axis == i else 1 for axis in range(ndim)]) for i in range(ndim)]
    matrix = [[ndimage.correlate(displacement[..., i], kernel, mode="constant") for kernel in kernels] for i in range(ndim)]
    determinant = np.linalg.det(np.moveaxis(np.array(matrix), (0, 1), (-2, -1))[inside] + np.eye(ndim))
    expected = np.log((determinant + 3).clip(1e-9, 1e9))[mask[inside]].std()
    for definition in DEFINITIONS:
        found = metrics.jacobian_statistics(displacement, definition, mask if masked else None)
        assert found.sdlogj == pytest.approx(expected, rel=1e-12)


def test_sdlogj_by_hand():
    """Slope 1, then 3: J + 3 is 4 and 6, and 5 at the one voxel where they meet."""
    place = np.concatenate([np.arange(8.0), 10 + 3 * np.arange(8.0)])
    found = metrics.jacobian_statistics((place - np.arange(16))[:, np.newaxis])
    logarithms = np.log([4] * 5 + [5, 6] + [6] * 5)
    assert found.sdlogj == pytest.approx(logarithms.std(), rel=1e-12)


@every_definition
@every_shape
def test_statistics_are_those_of_the_determinant(shape, definition):
    displacement = random_field(shape)
    mask = np.random.RandomState(9).uniform(size=shape) < 0.5
    determinant = metrics.jacobian_determinant(displacement, definition)
    for chosen in (None, mask):
        counts = np.ones(shape, bool) if chosen is None else mask
        values = determinant[counts[tuple(slice(size) for size in determinant.shape)]]
        found = metrics.jacobian_statistics(displacement, definition, chosen)
        assert found.definition == definition and found.voxels == values.size
        assert found[2:6] == (values.mean(), values.std(), values.min(), values.max())
        assert found.folded == np.sum(values <= 0) > 0 and found.folded_fraction == found.folded / float(values.size)


# laws


@every_definition
@every_shape
def test_affine_maps_have_their_own_determinant(shape, definition):
    """Identity and scaling exactly; rotation 1; the rest to rounding. Single precision is computed as double."""
    ndim, place = len(shape), grid(shape)
    zero = np.zeros(shape + (ndim,))
    assert (metrics.jacobian_determinant(zero, definition) == 1).all()
    assert (metrics.jacobian_determinant(zero + 2.7, definition) == 1).all()
    for scale in (0.5, 1.25, 3.0, -1.0):
        result = metrics.jacobian_determinant((scale - 1) * place, definition)
        assert (result == scale**ndim).all() and result.dtype == "float64"
        assert (metrics.jacobian_determinant(((scale - 1) * place).astype("float32"), definition) == scale**ndim).all()
    matrix = np.random.RandomState(0).normal(size=(ndim, ndim))
    result = metrics.jacobian_determinant(place.dot(matrix.T) - place, definition)
    np.testing.assert_allclose(result, np.linalg.det(matrix), atol=1e-12)
    rotation, _ = np.linalg.qr(matrix)
    rotation[0] *= np.sign(np.linalg.det(rotation))
    np.testing.assert_allclose(metrics.jacobian_determinant((place - 3).dot(rotation.T - np.eye(ndim)), definition), 1)


@every_shape
def test_folds_are_counted_exactly(shape):
    across, cells = np.prod(shape[1:], dtype=int), np.prod(np.array(shape[1:]) - 1, dtype=int)
    places = np.arange(shape[0])
    places[2:7] = [6, 5, 4, 3, 2]  # forward: 5 -1 -1 -1 -1 5; central: 3 2 -1 -1 -1 2 3
    forward = metrics.jacobian_statistics(order_of_planes(shape, places), "forward")
    central = metrics.jacobian_statistics(order_of_planes(shape, places), "central")
    assert (forward.folded, forward.voxels) == (4 * cells, (shape[0] - 1) * cells)
    assert (central.folded, central.voxels) == (3 * across, shape[0] * across)
    assert forward.minimum == central.minimum == -1


@every_shape
def test_planes_that_change_places_fold_and_central_differences_do_not_see_it(shape):
    cells = np.prod(np.array(shape[1:]) - 1, dtype=int)
    places = np.arange(shape[0])
    places[[4, 5]] = 5, 4
    displacement = order_of_planes(shape, places)
    assert metrics.jacobian_statistics(displacement, "forward").folded == cells
    assert metrics.jacobian_statistics(displacement, "central").folded == 0


def test_planes_that_coincide_count_as_folded():
    displacement = order_of_planes((7,), np.array([0, 1, 2, 2, 3, 4, 5]))
    assert metrics.jacobian_statistics(displacement, "forward")[4:7] == (0, 1, 1)


@every_shape
def test_axes_permuted_and_flipped(shape):
    displacement = random_field(shape)
    for definition, axes in itertools.product(DEFINITIONS, itertools.permutations(range(len(shape)))):
        expected = metrics.jacobian_determinant(displacement, definition).transpose(axes)
        moved = displacement.transpose(axes + (len(shape),))[..., list(axes)]
        np.testing.assert_allclose(metrics.jacobian_determinant(moved, definition), expected, atol=1e-12)
    flipped = np.flip(displacement, 0) * np.where(np.arange(len(shape)) == 0, -1, 1)
    expected = np.flip(metrics.jacobian_determinant(displacement), 0)
    np.testing.assert_allclose(metrics.jacobian_determinant(flipped), expected, atol=1e-12)


def test_millimetres_have_the_same_determinant():
    spacing, displacement = np.array([0.7, 2.0, 1.1]), random_field(SHAPES[2])
    derivatives = [np.gradient(displacement[..., i] * spacing[i], *spacing) for i in range(3)]
    matrix = np.moveaxis(np.array(derivatives), (0, 1), (-2, -1)) + np.eye(3)
    np.testing.assert_allclose(metrics.jacobian_determinant(displacement), np.linalg.det(matrix), atol=1e-12)


@every_definition
def test_only_voxels_of_the_mask_count(definition):
    shape = (10, 9)
    displacement = order_of_planes(shape, np.array([0, 1, 2, 5, 4, 3, 6, 7, 8, 9]))
    outside = np.arange(10)[:, np.newaxis] + np.zeros(9) >= 6
    assert metrics.jacobian_statistics(displacement, definition).folded > 0
    found = metrics.jacobian_statistics(displacement, definition, outside)
    assert (found.folded, found.folded_fraction, found.minimum) == (0, 0, 1)


def test_sdlogj_of_a_volume_that_is_all_margin():
    found = metrics.jacobian_statistics(np.zeros((4, 9, 2)))
    assert np.isnan(found.sdlogj) and found.standard_deviation == 0 and found.voxels == 36
    mask = np.zeros((9, 9), bool)
    mask[0] = True
    assert np.isnan(metrics.jacobian_statistics(np.zeros((9, 9, 2)), mask=mask).sdlogj)


def test_input_stays_as_it_is_and_the_result_is_a_line():
    displacement = random_field((6, 6))
    before = displacement.copy()
    found = metrics.jacobian_statistics(displacement, "forward")
    np.testing.assert_array_equal(displacement, before)
    assert str(found) == "%d of 25 voxels folded (%.3g %%, forward), SDlogJ %.4g" % (
        found.folded,
        4 * found.folded,
        found.sdlogj,
    )


@pytest.mark.parametrize("name", ["jacobian_determinant", "jacobian_statistics"])
def test_the_first_definition_is_the_default(name):
    assert inspect.signature(getattr(metrics, name)).parameters["definition"].default == metrics.DEFINITIONS[name][0]


# refusals

REFUSED = [
    (np.zeros((8, 8, 3)), r"`displacement` must be real, of one field .* Received: float64 of shape \(8, 8, 3\)"),
    (np.zeros((3, 8, 8, 8)), "Try numpy.moveaxis where the components come first"),
    (np.zeros((2, 8, 8, 2)), r"Received: float64 of shape \(2, 8, 8, 2\). Try displacement\[0\]"),
    (np.zeros((8, 1, 2)), "two voxels or more along every axis"),
    (np.zeros(8), r"Received: float64 of shape \(8,\)"),
    (np.zeros(()), r"Received: float64 of shape \(\)"),
    (np.zeros((8, 8, 2), complex), "Received: complex128"),
    (np.where(np.arange(2) == 1, np.nan, np.zeros((8, 8, 2))), "`displacement` must be finite. Received: 64 values"),
    (np.full((8, 1), np.inf), "`displacement` must be finite. Received: 8 values"),
]


@pytest.mark.parametrize("name", ["jacobian_determinant", "jacobian_statistics"])
@pytest.mark.parametrize("displacement, message", REFUSED, ids=range(len(REFUSED)))
def test_refuses_fields(name, displacement, message):
    with pytest.raises(ValueError, match=message):
        getattr(metrics, name)(displacement)


@pytest.mark.parametrize("name", ["jacobian_determinant", "jacobian_statistics"])
def test_refuses_an_unknown_definition(name):
    with pytest.raises(ValueError, match="`definition` must be one of 'central', 'forward'. Received: 'sdlogj'"):
        getattr(metrics, name)(np.zeros((8, 8, 2)), "sdlogj")


MASKS = [
    (
        np.ones((8, 8)),
        r"`mask` must be boolean, of the volume's shape, \(8, 8\). Received: float64 of shape \(8, 8\). Try `mask",
    ),
    (np.ones((8, 8, 1), bool), r"`mask` must be boolean, .* Received: bool of shape \(8, 8, 1\)"),
    (np.zeros((8, 8), bool), "`mask` must be true somewhere"),
    (np.arange(64).reshape(8, 8) == 63, "`mask` must be true somewhere, the last voxel along each axis aside"),
]


@pytest.mark.parametrize("mask, message", MASKS, ids=range(len(MASKS)))
def test_refuses_masks(mask, message):
    with pytest.raises(ValueError, match=message):
        metrics.jacobian_statistics(np.zeros((8, 8, 2)), "forward", mask)
