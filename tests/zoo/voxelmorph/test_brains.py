"""Brains of which the truth is known: the laws of flows, and SciPy's interpolation, say whether it is the truth."""

import numpy as np
import pytest
import scipy.integrate
import scipy.ndimage

from zoo.voxelmorph import brains
from zoo.voxelmorph.brains import brain_atlas, random_brains, random_pair, true_displacement

SHAPES = [(64, 48), (24, 28, 20)]


def warp(image, displacement, order=1):
    positions = np.moveaxis(displacement, -1, 0) + np.indices(image.shape)
    return scipy.ndimage.map_coordinates(image, positions, order=order, mode="nearest")


def jacobian(displacement):
    """Determinant of the gradient of `p + u(p)` by central differences, off the faces."""
    ndim = displacement.shape[-1]
    rows = [np.stack(np.gradient(displacement[..., axis].astype(np.float64)), axis=-1) for axis in range(ndim)]
    return np.linalg.det(np.stack(rows, axis=-2) + np.eye(ndim))[ndim * (slice(1, -1),)]


def refusal(call, *arguments, **named):
    with pytest.raises(ValueError) as caught:
        call(*arguments, **named)
    message = str(caught.value)
    assert " must " in message and ". Received: " in message and ". Try " in message and "\n" not in message
    return message


# --- numbers


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_types_and_ranges(shape):
    images, labels = random_brains(2, shape, seed=5)
    assert images.shape == labels.shape == (2,) + shape and images.dtype == np.float32 and labels.dtype == np.int32
    assert images.min() == 0 and 0.8 < images.max() <= 1
    known = set(brains.LABELS) if len(shape) == 3 else set(brains.LABELS) - {7, 8}
    assert all(set(np.unique(each)) == known | {0} for each in labels)
    pair = random_pair(shape, seed=5)
    np.testing.assert_array_equal(np.stack(pair[:2]), images)
    np.testing.assert_array_equal(np.stack(pair[2:4]), labels)
    assert pair.displacement.shape == shape + (len(shape),) and pair.displacement.dtype == np.float32


def test_the_flow_is_that_of_an_adaptive_solver():
    velocity = brains._velocity(3, 2, 0, 0.05)
    points = np.random.RandomState(0).uniform(-1, 1, (2, 12))

    def right_side(_, flat):
        return brains._velocity_at(velocity, flat.reshape(2, -1)).ravel()

    solved = scipy.integrate.solve_ivp(right_side, (0, 1), points.ravel(), rtol=1e-10, atol=1e-12).y[:, -1].reshape(2, -1)
    assert np.abs(solved - points).max() > 0.1
    np.testing.assert_allclose(brains._flow(points, [velocity]), solved, atol=1e-5)


@pytest.mark.parametrize("ndim", [2, 3])
def test_velocity_is_the_sum_of_products_of_sines(ndim):
    weights = brains._velocity(0, ndim, 1, 0.02)
    points = np.random.RandomState(0).uniform(-1, 1, (ndim, 5))
    sines = np.sin(np.arange(1, 1 + brains.WAVES)[:, None, None] * (points + 1) * np.pi / 2)
    last_axis_first = [sines[:, ndim - 1]] + [sines[:, axis] for axis in range(ndim - 1)]
    letters = "abc"[:ndim]
    expected = np.einsum("z%s,%s->zn" % (letters, ",".join(letter + "n" for letter in letters)), weights, *last_axis_first)
    np.testing.assert_allclose(brains._velocity_at(weights, points), expected, atol=1e-12)


def test_deformation_is_the_size_of_the_velocity():
    grid = brains._grid((200, 100))
    velocity = brains._velocity_at(brains._velocity(0, 2, 0, 0.03), grid)
    assert np.sqrt((velocity**2).sum(axis=0).mean()) / 2 == pytest.approx(0.03, rel=1e-3)


# --- laws: the truth


@pytest.mark.parametrize("shape", SHAPES)
def test_the_fixed_brain_is_the_moving_one_at_the_displaced_points_exactly(shape):
    pair = random_pair(shape, seed=2)
    size = np.array(shape)[:, None]
    voxels = np.indices(shape).reshape(len(shape), -1) + pair.displacement.reshape(-1, len(shape)).T
    points = (voxels + 0.5) * 2 / size - 1
    in_atlas = brains._flow(points, [brains._velocity(0, len(shape), 2, 0.02)])
    image, labels = brains._atlas(in_atlas, np.mean(shape) / 2)
    np.testing.assert_allclose(image.reshape(shape), pair.fixed, atol=1e-4)
    assert (labels.reshape(shape) == pair.fixed_labels).mean() > 0.999


@pytest.mark.parametrize("shape, share, overlap", [((128, 96), 0.1, 0.93), ((40, 48, 44), 0.3, 0.82)])
def test_warping_the_moving_brain_gives_the_fixed_one_up_to_interpolation(shape, share, overlap):
    moving, fixed, moving_labels, fixed_labels, displacement = random_pair(shape, deformation=0.03)
    after = np.abs(warp(moving, displacement) - fixed).mean()
    assert after < share * np.abs(moving - fixed).mean()
    assert after < 0.2 * np.abs(warp(fixed, displacement) - moving).mean()  # the wrong direction
    brain = fixed_labels > 0
    assert (moving_labels == fixed_labels)[brain].mean() < 0.7
    assert (warp(moving_labels, displacement, order=0) == fixed_labels)[brain].mean() > overlap


@pytest.mark.parametrize("shape", SHAPES)
def test_no_folding_and_the_faces_stay(shape):
    for seed in range(3):
        displacement = true_displacement(0, 1, shape, seed, deformation=0.03)
        assert 0.2 < jacobian(displacement).min() and jacobian(displacement).max() < 5
        assert np.abs(displacement).max() > 0.03 * min(shape)
        for axis in range(len(shape)):
            faces = np.take(displacement, [0, -1], axis)
            assert np.abs(faces).max() < 1.5  # half a voxel inside of the face


def test_there_and_back_and_by_way_of_a_third():
    shape = (64, 64)
    there, back = true_displacement(0, 1, shape), true_displacement(1, 0, shape)
    second, direct = true_displacement(1, 2, shape), true_displacement(0, 2, shape)

    def after(first, second):
        """`second + first(p + second)`: first 0 onto 1, then 1 onto 2."""
        both = second + np.stack([warp(first[..., axis], second, order=3) for axis in range(2)], axis=-1)
        return both[2:-2, 2:-2]  # SciPy repeats the edge where the displacement goes on to zero at the face

    assert np.abs(after(there, back)).max() < 0.02 < 1 < np.abs(there).max()
    assert np.abs(after(there, second) - direct[2:-2, 2:-2]).max() < 0.02


def test_atlas_and_no_deformation():
    image, labels = brain_atlas((48, 48))
    images, all_labels = random_brains(2, (48, 48), deformation=0)
    np.testing.assert_array_equal(images, np.stack([image] * 2))
    np.testing.assert_array_equal(all_labels, np.stack([labels] * 2))
    assert not true_displacement(None, None, (48, 48)).any() and np.abs(true_displacement(1, 1, (48, 48))).max() < 1e-4
    subject = random_brains(4, (48, 48))[0][3]
    to_atlas = warp(subject, true_displacement(3, None, (48, 48)))
    assert np.abs(to_atlas - image).mean() < 0.3 * np.abs(subject - image).mean()


# --- laws: the brains


def test_a_subject_depends_on_seed_and_index_only():
    many, few = random_brains(3, (32, 32), seed=7), random_brains(2, (32, 32), seed=7)
    np.testing.assert_array_equal(many[0][:2], few[0])
    others = random_brains(3, (32, 32), seed=8)[0]
    distance = np.abs(np.concatenate([many[0], others])[:, None] - np.concatenate([many[0], others])).mean(axis=(2, 3))
    assert distance[~np.eye(6, dtype=bool)].min() > 0.01


def test_air_surrounds_a_brain_of_nested_tissues():
    images, labels = random_brains(4, (96, 96), seed=1)
    border = np.concatenate([images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]], axis=1)
    assert not border.any()
    means = [images[labels == label].mean() for label in range(1, 7)]
    assert means[2] < 0.2 < means[0] < means[3] < means[4] < means[5] < means[1]
    for each in labels:
        sizes = np.bincount(each.ravel(), minlength=7) / each.size
        assert 0.3 < 1 - sizes[0] < 0.6 and sizes[2] > sizes[1] > sizes[3] > 0.01 and sizes[1:].min() > 0.003
        deep = scipy.ndimage.binary_dilation(each > 2)
        assert np.isin(each[deep], [0, 1, 2, 3, 4, 5, 6]).all() and (each[deep] == 1).mean() < 0.1


# --- refusals


def test_arguments_out_of_range():
    for shape in ((8, 64), (64,), (64, 64, 64, 64), "64", (64.0, 64), (True, 64)):
        assert "`shape` must be" in refusal(random_brains, 1, shape)
    assert "`shape` must be" in refusal(brain_atlas, (64, 8)) and "`shape` must be" in refusal(true_displacement, 0, 1, (8, 8))
    assert "`count` must be" in refusal(random_brains, 0)
    assert "`seed` must be" in refusal(random_brains, 1, seed=-1)
    assert "`index` must be" in refusal(true_displacement, 0.5, 1)
    for deformation in (-0.1, 0.06, np.nan):
        assert "`deformation` must be" in refusal(random_pair, deformation=deformation)
