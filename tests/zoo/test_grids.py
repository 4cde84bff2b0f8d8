"""Grids of voxels in space: a formula in millimetres, sampled by nibabel's affines, is the oracle of resampling."""

import nibabel
import numpy as np
import pytest

from zoo.grids import grid_difference, match_grid, orientation, resample_to
from zoo.volumes import Volume, read_labels, read_volume

HEADER = nibabel.Nifti1Header()


def world(affine, shape):
    """Millimetres `shape + (3,)` of every voxel."""
    return nibabel.affines.apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))


def volume(affine, shape, function):
    return Volume(function(world(affine, shape)).astype(np.float32), np.asarray(affine, np.float64), HEADER)


def ramp(mm):
    return 40 + mm.dot([0.5, -0.25, 1.5])


def oblique(spacing=(1.5, 0.8, 2.0), origin=(-4, -3, -5), angles=(0.1, -0.05, 0.2)):
    return nibabel.affines.from_matvec(nibabel.eulerangles.euler2mat(*angles).dot(np.diag(spacing)), origin)


def refusal(call, *arguments, **named):
    with pytest.raises(ValueError) as caught:
        call(*arguments, **named)
    message = str(caught.value)
    assert " must " in message and ". Received: " in message and ". Try " in message and "\n" not in message
    return message


# --- numbers


def test_a_linear_image_is_resampled_exactly_through_oblique_anisotropic_affines():
    moving = volume(oblique((0.9, 1.1, 1.3), (-20, -20, -20), (0, 0.2, -0.1)), (44, 40, 36), ramp)
    fixed = volume(oblique(), (9, 10, 8), ramp)
    resampled = resample_to(moving, fixed)
    np.testing.assert_allclose(resampled.array, fixed.array, atol=1e-4)
    assert resampled.array.dtype == np.float32 and resampled.header is fixed.header and resampled.affine is fixed.affine


def test_nearest_voxel_for_labels():
    moving = volume(np.eye(4), (12, 13, 14), lambda mm: mm[..., 0] * 200 + mm[..., 1] * 14 + mm[..., 2])
    moving = moving._replace(array=moving.array.astype(np.int32))
    fixed = volume(nibabel.affines.from_matvec(np.diag([0.7, 0.7, 0.7]), [1.13, 2.13, 3.13]), (9, 9, 9), ramp)
    nearest = np.rint(world(fixed.affine, (9, 9, 9))).astype(int)
    resampled = resample_to(moving, fixed, labels=True)
    assert resampled.array.dtype == np.int32
    np.testing.assert_array_equal(resampled.array, moving.array[tuple(np.moveaxis(nearest, -1, 0))])


def test_outside_is_zero():
    moving = volume(np.eye(4), (6, 6, 6), lambda mm: 0 * mm[..., 0] + 5)
    fixed = volume(nibabel.affines.from_matvec(np.eye(3), [-3, 0, 0]), (12, 6, 6), ramp)
    np.testing.assert_array_equal(resample_to(moving, fixed).array[:, 2, 3], [0] * 3 + [5] * 6 + [0] * 3)


@pytest.mark.parametrize("code", ["RAS", "LPS", "PIR", "SLA", "ASR"])
def test_turned_and_flipped_volumes_come_back(code):
    image = nibabel.Nifti1Image(np.random.RandomState(0).uniform(1, 2, (5, 6, 7)).astype(np.float32), oblique(angles=(0, 0, 0)))
    turn = nibabel.orientations.ornt_transform(
        nibabel.orientations.axcodes2ornt("RAS"), nibabel.orientations.axcodes2ornt(code)
    )
    turned = image.as_reoriented(turn)
    moving, fixed = (Volume(np.asarray(each.dataobj), each.affine, each.header) for each in (turned, image))
    assert orientation(moving) == code and orientation(fixed) == "RAS"
    np.testing.assert_allclose(resample_to(moving, fixed).array, fixed.array, rtol=1e-6)
    np.testing.assert_allclose(resample_to(fixed, moving).array, moving.array, rtol=1e-6)


def test_two_dimensions():
    moving = volume(oblique(angles=(0, 0, 0), origin=(-9, -9, 0)), (20, 30, 1), lambda mm: ramp(mm * [1, 1, 0]))
    fixed = volume(oblique((1, 1, 2), (0, 0, 0), (0, 0, 0)), (6, 7, 1), lambda mm: ramp(mm * [1, 1, 0]))
    moving, fixed = (each._replace(array=each.array[..., 0]) for each in (moving, fixed))
    np.testing.assert_allclose(resample_to(moving, fixed).array, fixed.array, atol=1e-5)


@pytest.mark.parametrize("angles", [(0, 0, 0), (0.3, -0.2, 0.5), (1.5, 0.1, -3)])
def test_orientation_equals_nibabel(angles):
    affine = oblique(angles=angles)
    assert orientation(volume(affine, (2, 2, 2), ramp)) == "".join(nibabel.aff2axcodes(affine))


def test_templates_lie_on_each_other(shared):
    brain, atlas = read_volume(shared("data/templates/ch2bet.nii.gz")), read_labels(shared("data/templates/aal.nii.gz"))
    head = read_volume(shared("data/templates/mni152_t1_1mm.nii.gz"))
    assert grid_difference(brain, atlas) == ""
    assert "shape (181, 217, 181) and (197, 233, 189), origin" in grid_difference(atlas, head)
    resampled = match_grid(atlas, head, resample=True, labels=True)
    # Both are 1 mm with whole origins, so that resampling is cutting and padding.
    np.testing.assert_array_equal(resampled.array[8:189, 9:226, 1:182], atlas.array)
    assert np.count_nonzero(resampled.array) == np.count_nonzero(atlas.array)


# --- laws


def test_the_same_grid_is_left_alone():
    moving, fixed = volume(oblique(), (4, 5, 6), ramp), volume(oblique(origin=(-4, -3, -5.001)), (4, 5, 6), ramp)
    assert grid_difference(moving, fixed) == ""
    assert match_grid(moving, fixed) is moving
    assert match_grid(moving._replace(affine=np.eye(4), header=None), fixed).array is moving.array


def test_resampling_onto_itself_is_the_identity():
    moving = volume(oblique(), (4, 5, 6), ramp)
    np.testing.assert_array_equal(resample_to(moving, moving).array, moving.array)


# --- refusals


@pytest.mark.parametrize(
    "affine, said",
    [
        (oblique(spacing=(1.5, 0.8, 2.2)), "spacing 1.5x0.8x2.2 mm and 1.5x0.8x2 mm, corners"),
        (oblique(origin=(-4, 3, -5)), "origin (-4, 3, -5) mm and (-4, -3, -5) mm, corners"),
        (oblique().dot(np.diag([-1, -1, 1, 1])), "orientation LPS and RAS"),
        (oblique(angles=(0.1, -0.05, 0.1)), "degrees and "),
    ],
)
def test_each_difference_is_said(affine, said):
    moving, fixed = volume(affine, (4, 5, 6), ramp), volume(oblique(), (4, 5, 6), ramp)
    message = refusal(match_grid, moving, fixed, names=("a.nii", "atlas"))
    assert said in message and "`a.nii` must lie on the grid of `atlas`" in message and "Try `--resample`" in message
    assert "shape" not in message


def test_distance_is_in_voxels_of_the_reference():
    fixed = volume(np.diag([2.0, 4, 1, 1]), (4, 5, 6), ramp)
    moving = fixed._replace(affine=nibabel.affines.from_matvec(np.diag([2.0, 4, 1]), [6, 0, 0]))
    assert "corners up to 3 voxels apart" in grid_difference(moving, fixed)
    assert grid_difference(moving, fixed, tolerance=3) == ""


def test_shapes_and_ranks():
    moving, fixed = volume(oblique(), (4, 5, 6), ramp), volume(oblique(), (4, 5, 8), ramp)
    assert "shape (4, 5, 6) and (4, 5, 8)" in refusal(match_grid, moving, fixed)
    flat = moving._replace(array=moving.array[..., 0])
    assert "shape (4, 5) and (4, 5, 8)" in refusal(match_grid, flat, fixed)
    assert "as many axes" in refusal(match_grid, flat, fixed, resample=True)
    lost = refusal(match_grid, moving._replace(header=None), fixed, resample=True)
    assert "in a file without affine" in lost and "`moving` must have an affine" in lost


def test_volumes_without_overlap():
    moving, fixed = volume(oblique(), (4, 5, 6), ramp), volume(oblique(origin=(100, 0, 0)), (4, 5, 6), ramp)
    assert "`moving` must overlap `fixed`" in refusal(match_grid, moving, fixed, resample=True)
