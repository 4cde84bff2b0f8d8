"""Warp files: what ITK makes of them, what comes back, and what is refused. SimpleITK's own resampling is the oracle."""

import os

import nibabel
import numpy as np
import pytest
import scipy.ndimage

from mrlayers.warping import warp
from runtime import evaluate
from zoo.voxelmorph import warps

SHAPE = (17, 14, 12)


def rotation(*angles):
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        turn = np.eye(3)
        first, second = [other for other in range(3) if other != axis]
        turn[[first, second], [first, second]] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ turn
    return matrix


def affine_of(directions, spacing, origin):
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = directions * np.array(spacing), origin
    return affine


SPACING, ORIGIN = (0.9, 1.3, 2.5), (-31.0, 12.5, 77.0)
GRIDS = {
    "straight": affine_of(np.eye(3), SPACING, (0, 0, 0)),
    "oblique": affine_of(rotation(0.3, -0.2, 0.5), SPACING, ORIGIN),
    "flipped": affine_of(np.diag([-1, 1, 1]), SPACING, ORIGIN),
    "sagittal": affine_of(np.eye(3)[:, [1, 2, 0]] * [1, -1, 1], SPACING, ORIGIN),
    "oblique and flipped": affine_of(rotation(-0.6, 0.4, 0.1) * [1, -1, -1], SPACING, ORIGIN),
}


def smooth(shape, seed, sigma=2.0):
    return scipy.ndimage.gaussian_filter(np.random.RandomState(seed).standard_normal(shape), sigma)


def smooth_image(shape=SHAPE, seed=0):
    image = smooth(shape, seed, sigma=1.0)
    return ((image - image.min()) / np.ptp(image)).astype("float32")


def smooth_displacement(shape=SHAPE, seed=1, largest=2.5):
    field = np.stack([smooth(shape, seed + axis) for axis in range(len(shape))], -1)
    return (largest * field / np.abs(field).max()).astype("float32")


def save_image(path, array, affine):
    image = nibabel.Nifti1Image(array, affine)
    image.set_qform(affine, 1)  # without it ITK reads no image with axes that are not quite orthogonal
    nibabel.save(image, str(path))


def resampled_by_itk(folder, moving, moving_affine, fixed_shape, affine):
    """`warp.nii.gz` applied to `moving` by SimpleITK, both read from files, onto the grid of a fixed image."""
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK, the oracle, is not installed")
    save_image(folder / "moving.nii.gz", moving, moving_affine)
    save_image(folder / "fixed.nii.gz", np.zeros(fixed_shape, "float32"), affine)
    field = sitk.ReadImage(str(folder / "warp.nii.gz"), sitk.sitkVectorFloat64)
    transform = sitk.DisplacementFieldTransform(field)
    fixed = sitk.ReadImage(str(folder / "fixed.nii.gz"))
    result = sitk.Resample(sitk.ReadImage(str(folder / "moving.nii.gz")), fixed, transform, sitk.sitkLinear)
    return sitk.GetArrayFromImage(result).T


def inside(displacement, moving_shape):
    """Voxels that the displacement keeps inside the moving image: outside, ITK fills and we repeat the edge."""
    points = np.moveaxis(np.indices(displacement.shape[:-1]), 0, -1) + displacement
    return ((points > 0) & (points < np.array(moving_shape) - 1)).all(-1)


def warped(moving, displacement):
    return evaluate(lambda inputs: warp(*inputs), moving[None, ..., None], displacement[None])[0, ..., 0]


# --- numbers


@pytest.mark.parametrize("grid", sorted(GRIDS))
def test_itk_moves_an_image_as_we_do(tmp_path, grid):
    moving, displacement = smooth_image(), smooth_displacement()
    warps.write_warp(str(tmp_path / "warp.nii.gz"), displacement, GRIDS[grid])
    expected = resampled_by_itk(tmp_path, moving, GRIDS[grid], SHAPE, GRIDS[grid])
    where = inside(displacement, SHAPE)
    assert where.mean() > 0.6
    assert np.abs(expected - moving)[where].max() > 0.2
    assert np.abs(warped(moving, displacement) - expected)[where].max() < 1e-4


def test_itk_moves_an_image_with_a_grid_of_its_own(tmp_path):
    affine, moving_affine = GRIDS["oblique"], affine_of(rotation(0.5, 0.1, 0.4), (1.1, 1.0, 1.7), (-30, 11, 75.0))
    moving_shape = (18, 20, 22)
    moving, displacement = smooth_image(moving_shape), smooth_displacement()
    warps.write_warp(str(tmp_path / "warp.nii.gz"), displacement, affine, moving_affine)
    expected = resampled_by_itk(tmp_path, moving, moving_affine, SHAPE, affine)
    where = inside(displacement, moving_shape)
    points = np.moveaxis(np.indices(SHAPE), 0, -1) + displacement
    ours = scipy.ndimage.map_coordinates(moving, np.moveaxis(points, -1, 0), order=1)
    assert where.mean() > 0.4
    assert np.abs(ours - expected)[where].max() < 1e-4
    read = warps.read_warp(str(tmp_path / "warp.nii.gz"), moving_affine)
    np.testing.assert_allclose(read.displacement, displacement, atol=1e-4)


def test_itk_moves_a_plane_as_we_do(tmp_path):
    shape, affine = (21, 16), affine_of(rotation(0, 0, 0.4) * [-1, 1, 1], (0.8, 1.7, 4.0), (9, -4, 33))
    moving, displacement = smooth_image(shape), smooth_displacement(shape)
    warps.write_warp(str(tmp_path / "warp.nii.gz"), displacement, affine)
    expected = resampled_by_itk(tmp_path, moving, affine, shape, affine)
    where = inside(displacement, shape)
    assert where.mean() > 0.6
    assert np.abs(warped(moving, displacement) - expected)[where].max() < 1e-4
    assert nibabel.load(str(tmp_path / "warp.nii.gz")).shape == shape + (1, 1, 2)


def test_the_header_says_vector_in_millimetres(tmp_path):
    affine = GRIDS["oblique"]
    warps.write_warp(str(tmp_path / "warp.nii.gz"), np.ones(SHAPE + (3,)), affine)
    image = nibabel.load(str(tmp_path / "warp.nii.gz"))
    assert image.shape == SHAPE + (1, 3) and image.get_data_dtype() == np.float32
    assert int(image.header["intent_code"]) == 1007 and image.header.get_intent()[0] == "vector"
    assert image.header.get_xyzt_units()[0] == "mm"
    for stored, code in (image.header.get_sform(coded=True), image.header.get_qform(coded=True)):
        assert code == 1
        np.testing.assert_allclose(stored, affine, atol=1e-5)
    one_voxel_each = affine[:3, :3].sum(axis=1) * [-1, -1, 1]
    np.testing.assert_allclose(np.asarray(image.dataobj)[3, 4, 5, 0], one_voxel_each, rtol=1e-6)


@pytest.mark.parametrize("code, sign", [(1007, [-1, -1, 1]), (1006, [1, 1, 1])])
def test_reads_the_fields_of_others(tmp_path, code, sign):
    world = smooth_displacement().astype("float64")
    image = nibabel.Nifti1Image((world * sign)[:, :, :, None], GRIDS["sagittal"])
    image.header.set_intent(code)
    nibabel.save(image, str(tmp_path / "other.nii"))
    read = warps.read_warp(str(tmp_path / "other.nii"))
    np.testing.assert_allclose(read.displacement, world @ np.linalg.inv(GRIDS["sagittal"][:3, :3]).T, atol=1e-5)
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK, the oracle, is not installed")
    if code == 1007 or sitk.Version_MajorVersion() * 100 + sitk.Version_MinorVersion() >= 203:
        itk = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "other.nii"))).transpose(2, 1, 0, 3)
        np.testing.assert_allclose(itk * [-1, -1, 1], world, atol=1e-5)


def test_reads_what_itk_writes(tmp_path):
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK, the oracle, is not installed")
    displacement = smooth_displacement()
    warps.write_warp(str(tmp_path / "warp.nii.gz"), displacement, GRIDS["oblique"])
    sitk.WriteImage(sitk.ReadImage(str(tmp_path / "warp.nii.gz")), str(tmp_path / "again.nii"))
    read = warps.read_warp(str(tmp_path / "again.nii"))
    np.testing.assert_allclose(read.displacement, displacement, atol=1e-5)
    np.testing.assert_allclose(read.affine, GRIDS["oblique"], atol=1e-5)


# --- laws


@pytest.mark.parametrize("grid", sorted(GRIDS))
@pytest.mark.parametrize("name", ["warp.nii", "warp.nii.gz", "warp.npz"])
def test_comes_back(tmp_path, name, grid):
    path, displacement = str(tmp_path / name), smooth_displacement()
    warps.write_warp(path, displacement, GRIDS[grid])
    read = warps.read_warp(path)
    assert read.displacement.dtype == np.float32
    np.testing.assert_allclose(read.displacement, displacement, atol=1e-6)
    np.testing.assert_allclose(read.affine, GRIDS[grid], atol=1e-5)
    assert os.listdir(str(tmp_path)) == [name]


@pytest.mark.parametrize("shape", [(9,), (9, 8)])
def test_fewer_dimensions_come_back(tmp_path, shape):
    displacement, affine = smooth_displacement(shape), GRIDS["oblique"]
    warps.write_warp(str(tmp_path / "warp.npz"), displacement, affine)
    read = warps.read_warp(str(tmp_path / "warp.npz"))
    np.testing.assert_array_equal(read.displacement, displacement)
    np.testing.assert_array_equal(read.affine, affine)


def test_both_formats_say_the_same_of_two_grids(tmp_path):
    displacement, affine, moving_affine = smooth_displacement(), GRIDS["oblique"], GRIDS["sagittal"]
    for name in ("warp.nii", "warp.npz"):
        warps.write_warp(str(tmp_path / name), displacement, affine, moving_affine)
        read = warps.read_warp(str(tmp_path / name), moving_affine)
        np.testing.assert_allclose(read.displacement, displacement, atol=1e-4)
    one, other = [warps.read_warp(str(tmp_path / name)).displacement for name in ("warp.nii", "warp.npz")]
    np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("shear", [5e-5, 2e-3])
def test_itk_reads_axes_that_are_almost_orthogonal(tmp_path, shear):
    affine = GRIDS["oblique"] @ (np.eye(4) + shear * np.eye(4, k=1) * [1, 1, 1, 0])
    moving, displacement = smooth_image(), smooth_displacement()
    warps.write_warp(str(tmp_path / "warp.nii.gz"), displacement, affine)
    read = warps.read_warp(str(tmp_path / "warp.nii.gz"))
    np.testing.assert_allclose(read.affine, affine, atol=1e-5)
    np.testing.assert_allclose(read.displacement, displacement, atol=1e-5)
    expected = resampled_by_itk(tmp_path, moving, affine, SHAPE, affine)
    assert np.abs(warped(moving, displacement) - expected)[inside(displacement, SHAPE)].max() < shear


# --- refusals


def refused(match, function, *arguments):
    with pytest.raises((ValueError, OSError), match=match) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value) and "Try" in str(caught.value)


def test_refuses_what_itk_cannot_hold(tmp_path):
    sheared = GRIDS["oblique"].copy()
    sheared[:3, :3] = sheared[:3, :3] @ [[1, 0.1, 0], [0, 1, 0], [0, 0, 1]]
    field, path = smooth_displacement(), str(tmp_path / "warp.nii.gz")
    refused("orthogonal axes for ITK.*voxels at a corner.*npz", warps.write_warp, path, field, sheared)
    refused("more than one voxel along the last", warps.write_warp, path, np.zeros((4, 5, 1, 3)), np.eye(4))
    refused("two or three axes", warps.write_warp, path, np.zeros((4, 1)), np.eye(4))
    refused("2-D image must keep to its own axes", warps.write_warp, path, np.zeros((5, 4, 2)), GRIDS["oblique"])
    refused("must end in .nii, .nii.gz or .npz", warps.write_warp, path + ".h5", field, np.eye(4))
    assert os.listdir(str(tmp_path)) == []
    warps.write_warp(str(tmp_path / "warp.npz"), field, sheared)
    np.testing.assert_allclose(warps.read_warp(str(tmp_path / "warp.npz")).displacement, field, atol=1e-6)


def test_refuses_arguments(tmp_path):
    path, field = str(tmp_path / "warp.nii.gz"), smooth_displacement()
    refused("`displacement` must be real.*float32 \\(1, 17", warps.write_warp, path, field[None], np.eye(4))
    refused("`displacement` must be real.*int64", warps.write_warp, path, np.zeros((4, 4, 4, 3), "int64"), np.eye(4))
    refused("`displacement` must be finite", warps.write_warp, path, np.where(field > 0, field, np.nan), np.eye(4))
    refused("shape \\(4, 4\\). Received: shape \\(3, 3\\)", warps.write_warp, path, field, np.eye(3))
    refused("`affine` must be an invertible", warps.write_warp, path, field, np.zeros((4, 4)))
    refused("`affine` must be an invertible", warps.write_warp, path, field, np.eye(4), np.zeros((4, 4)))
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize(
    "shape, code, name, said",
    [
        ((5, 4, 3), 0, "", "shape \\(5, 4, 3\\) with intent code 0 \\(none\\)"),
        ((5, 4, 3, 3), 0, "", "shape \\(5, 4, 3, 3\\)"),
        ((5, 4, 3, 3), 2006, "", "2006 \\(fnirt disp field\\)"),
        ((5, 4, 3, 1, 3), 0, "", "intent code 0"),
        ((5, 4, 3, 2, 3), 1007, "", "\\(5, 4, 3, 2, 3\\)"),
        ((5, 4, 3, 1, 2), 1007, "", "\\(5, 4, 3, 1, 2\\)"),
        ((5, 4, 3, 1, 6), 1005, "", "1005 \\(symmetric matrix\\)"),
        ((5, 4, 3, 1, 3), 1007, "NREG_TRANS", "NREG_TRANS"),
    ],
)
def test_refuses_a_file_that_is_no_field(tmp_path, shape, code, name, said):
    image = nibabel.Nifti1Image(np.zeros(shape, "float32"), np.eye(4))
    image.header.set_intent(code, name=name, allow_unknown=True)
    nibabel.save(image, str(tmp_path / "a.nii.gz"))
    refused("must hold a displacement field.*" + said, warps.read_warp, str(tmp_path / "a.nii.gz"))


def test_refuses_damaged_files(tmp_path):
    path = tmp_path / "warp.nii.gz"
    refused("`path` must exist", warps.read_warp, str(path))
    warps.write_warp(str(path), smooth_displacement(), np.eye(4))
    whole = path.read_bytes()
    for rest in (whole[: len(whole) // 2], whole[:200], b"", b"not NIfTI"):
        path.write_bytes(rest)
        refused("complete, readable", warps.read_warp, str(path))
    (tmp_path / "a.npz").write_bytes(b"PK")
    refused("complete, readable", warps.read_warp, str(tmp_path / "a.npz"))
    np.savez(str(tmp_path / "b.npz"), vol=np.zeros(3))
    refused("`displacement` and `affine`.*holds vol", warps.read_warp, str(tmp_path / "b.npz"))
    nan = nibabel.Nifti1Image(np.full((4, 4, 4, 1, 3), np.nan, "float32"), np.eye(4))
    nan.header.set_intent(1007)
    nibabel.save(nan, str(path))
    refused("must be finite", warps.read_warp, str(path))


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "warp.nii.gz"
    warps.write_warp(str(path), smooth_displacement(), np.eye(4))
    before = path.read_bytes()
    refused("must be finite", warps.write_warp, str(path), np.full((4, 4, 4, 3), np.inf), np.eye(4))
    assert path.read_bytes() == before and os.listdir(str(tmp_path)) == ["warp.nii.gz"]
