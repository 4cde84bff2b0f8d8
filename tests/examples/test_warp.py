"""Applying a saved warp from the command line: images, labels, landmarks, inverses, and refusals that leave nothing behind."""

import os
import pathlib

import nibabel
import numpy as np
import pytest
import scipy.ndimage

import scripts
from zoo.voxelmorph import points, warps

SHAPE = (14, 12, 10)
AFFINE = np.array([[-0.96, 0.28, 0, 20], [0.28, 0.96, 0, -7], [0, 0, 1, 3], [0, 0, 0, 1]]) * [1, 1.3, 2, 1]
PLACE = np.array([1.0, -3.0, 7.0])
RNG = np.random.RandomState


def smooth(seed, sigma=2.0):
    values = scipy.ndimage.gaussian_filter(RNG(seed).standard_normal(SHAPE), sigma)
    return (values / np.abs(values).max()).astype("float32")


DISPLACEMENT = np.stack([1.5 * smooth(axis) for axis in range(3)], -1)
WHERE = np.moveaxis(np.indices(SHAPE), 0, -1) + DISPLACEMENT


@pytest.fixture
def mover(monkeypatch, tmp_path):
    """The script as a function of its command line, in a folder with a warp, an image, labels and landmarks."""
    module = scripts.load("warp")
    monkeypatch.chdir(tmp_path)
    warps.write_warp("warp.nii.gz", DISPLACEMENT, AFFINE)
    image = nibabel.Nifti1Image(smooth(7), AFFINE)
    image.header["descrip"] = b"kept"
    nibabel.save(image, "image.nii.gz")
    labels = (3 * (smooth(8) > 0.1) + 2**25 * (smooth(9) > 0.3)).astype("int32")
    nibabel.save(nibabel.Nifti1Image(labels, AFFINE), "labels.nii.gz")
    pathlib.Path("points.csv").write_text("name, x, y, z\nfirst, 4, 5, 6\nsecond, 7.25, 6.5, 3.75\n")
    module.run = lambda line: module.main(line.split())
    return module


def refusal(mover, capsys, line):
    before = sorted(os.listdir("."))
    with pytest.raises(SystemExit) as caught:
        mover.run(line)
    assert caught.value.code == 2 and sorted(os.listdir(".")) == before
    return capsys.readouterr().err.strip().splitlines()[-1]


def sampled(array, where=WHERE, order=1):
    return scipy.ndimage.map_coordinates(array, np.moveaxis(where, -1, 0), order=order, mode="nearest")


# --- numbers


def test_moves_an_image(mover, capsys):
    mover.run("--warp warp.nii.gz --image image.nii.gz --output moved.nii.gz")
    moved = nibabel.load("moved.nii.gz")
    np.testing.assert_allclose(np.asarray(moved.dataobj), sampled(smooth(7)), atol=1e-4)
    np.testing.assert_allclose(moved.affine, AFFINE, atol=1e-6)
    assert moved.header["descrip"].tobytes().startswith(b"kept") and moved.get_data_dtype() == np.float32
    assert "14x12x10" in capsys.readouterr().out


def test_moves_labels(mover):
    mover.run("--warp warp.nii.gz --image labels.nii.gz --labels --output moved.nii.gz")
    moved, labels = [nibabel.load(name) for name in ("moved.nii.gz", "labels.nii.gz")]
    moved, labels = np.asarray(moved.dataobj), np.asarray(labels.dataobj)
    assert moved.dtype.kind == "i" and set(np.unique(moved)) == set(np.unique(labels))
    np.testing.assert_array_equal(moved, labels[tuple(np.clip(np.rint(WHERE), 0, np.array(SHAPE) - 1).astype(int).T)].T)


@pytest.mark.parametrize("space", ["voxel", "ras", "lps"])
def test_moves_landmarks(mover, space):
    start = np.array([[4, 5, 6], [7.25, 6.5, 3.75]])
    expected = start + np.stack([sampled(DISPLACEMENT[..., axis], start) for axis in range(3)], -1)
    sign = {"ras": [1, 1, 1], "lps": [-1, -1, 1]}.get(space)
    like = points.read_points("points.csv")
    if sign:
        start, expected = [(x @ AFFINE[:3, :3].T + AFFINE[:3, 3]) * sign for x in (start, expected)]
        points.write_points("points.csv", start, like)
    mover.run("--warp warp.nii.gz --points points.csv --point-space %s --output out.csv" % space)
    out = points.read_points("out.csv")
    np.testing.assert_allclose(out.points, expected, atol=2e-4)
    assert out.columns == ["name", "x", "y", "z"] and [row[0] for row in out.rows] == ["first", "second"]


def test_itk_moves_landmarks_as_we_do(mover):
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK, the oracle, is not installed")
    transform = sitk.DisplacementFieldTransform(sitk.ReadImage("warp.nii.gz", sitk.sitkVectorFloat64))
    start = points.voxels_to_points(np.array([[4, 5, 6], [7.25, 6.5, 3.75]]), AFFINE, "lps")
    points.write_points("points.csv", start, points.read_points("points.csv"))
    mover.run("--warp warp.nii.gz --points points.csv --point-space lps --output out.csv")
    expected = [transform.TransformPoint(point.tolist()) for point in start]
    np.testing.assert_allclose(points.read_points("out.csv").points, expected, atol=2e-4)


# --- laws


def coordinates():
    """An image of places, all three in one number: what linear interpolation finds in it says where it looked."""
    return (np.moveaxis(np.indices(SHAPE), 0, -1) @ PLACE).astype("float32")


@pytest.mark.parametrize("inverse", ["", " --inverse --iterations 10"])
def test_landmarks_agree_with_images(mover, inverse):
    nibabel.save(nibabel.Nifti1Image(coordinates(), AFFINE), "image.nii.gz")
    mover.run("--warp warp.nii.gz --image image.nii.gz --output moved.nii.gz" + inverse)
    pathlib.Path("points.csv").write_text("x,y,z\n6,5,4\n7,8,5\n")
    mover.run("--warp warp.nii.gz --points points.csv --point-space voxel --output out.csv" + inverse)
    moved = np.asarray(nibabel.load("moved.nii.gz").dataobj)
    np.testing.assert_allclose(points.read_points("out.csv").points @ PLACE, moved[[6, 7], [5, 8], [4, 5]], atol=1e-3)


def test_the_inverse_takes_landmarks_back(mover, capsys):
    mover.run("--warp warp.nii.gz --points points.csv --point-space ras --output out.csv")
    mover.run("--warp warp.nii.gz --points out.csv --point-space ras --inverse --iterations 10 --output back.csv")
    assert "there and back: off by" in capsys.readouterr().out
    there, out, back = [points.read_points(name + ".csv").points for name in ("points", "out", "back")]
    assert np.abs(back - there).max() < 0.1 < np.abs(out - there).max()


def test_the_inverse_takes_an_image_back(mover):
    nibabel.save(nibabel.Nifti1Image(coordinates(), AFFINE), "image.nii.gz")
    mover.run("--warp warp.nii.gz --image image.nii.gz --output moved.nii.gz")
    mover.run("--warp warp.nii.gz --image moved.nii.gz --inverse --iterations 10 --output back.nii.gz")
    back, image, moved = [np.asarray(nibabel.load(name + ".nii.gz").dataobj) for name in ("back", "image", "moved")]
    inner = (slice(3, -3),) * 3
    assert np.abs(back - image)[inner].max() < 0.2 * np.abs(moved - image)[inner].mean()


def test_other_formats(mover):
    warps.write_warp("warp.npz", DISPLACEMENT[:, :, 4, :2], np.eye(4))
    np.savez("image.npz", vol=smooth(7)[:, :, 4])
    mover.run("--warp warp.npz --image image.npz --output moved.npz")
    expected = sampled(smooth(7)[:, :, 4], WHERE[:, :, 4, :2])
    np.testing.assert_allclose(np.load("moved.npz")["vol"], expected, atol=1e-4)


def test_says_which_landmarks_are_outside(mover, capsys):
    pathlib.Path("points.csv").write_text("x,y,z\n-3,5,6\n4,5,6\n")
    mover.run("--warp warp.nii.gz --points points.csv --point-space voxel --output out.csv")
    assert "1 of them lie outside" in capsys.readouterr().out
    expected = np.array([-3, 5, 6]) + DISPLACEMENT[0, 5, 6]
    np.testing.assert_allclose(points.read_points("out.csv").points[0], expected, atol=1e-4)


def test_resamples_an_image_on_another_grid(mover):
    nibabel.save(nibabel.Nifti1Image(smooth(7)[::-1], AFFINE @ affine_of_flip()), "other.nii.gz")
    mover.run("--warp warp.nii.gz --image other.nii.gz --resample --output other_moved.nii.gz")
    mover.run("--warp warp.nii.gz --image image.nii.gz --output moved.nii.gz")
    other, moved = nibabel.load("other_moved.nii.gz"), nibabel.load("moved.nii.gz")
    np.testing.assert_allclose(np.asarray(other.dataobj), np.asarray(moved.dataobj), atol=1e-4)
    np.testing.assert_allclose(other.affine, AFFINE, atol=1e-6)


def affine_of_flip():
    flip = np.diag([-1.0, 1, 1, 1])
    flip[0, 3] = SHAPE[0] - 1
    return flip


# --- refusals


@pytest.mark.parametrize(
    "line, said",
    [
        ("", "required"),
        ("--warp warp.nii.gz --output a.nii.gz", "one of the arguments --image --points is required"),
        ("--warp warp.nii.gz --image image.nii.gz --points points.csv --output a.nii.gz", "not allowed with"),
        ("--warp warp.nii.gz --points points.csv --output a.csv", "`--point-space` must be one of voxel, ras, lps"),
        ("--warp warp.nii.gz --points image.nii.gz --point-space ras --output a.csv", "must be a CSV file"),
        ("--warp image.nii.gz --image image.nii.gz --output a.nii.gz", "must hold a displacement field"),
        ("--warp nothing.nii.gz --image image.nii.gz --output a.nii.gz", "must exist"),
        ("--warp warp.nii.gz --image image.nii.gz --labels --output a.nii.gz", "integer labels"),
        ("--warp warp.nii.gz --image image.nii.gz --output a.png", "must end in"),
        ("--warp warp.nii.gz --image image.nii.gz --inverse --iterations 0 --output a.nii.gz", "`iterations` must be"),
        ("--warp warp.nii.gz --image image.nii.gz --output image.nii.gz/a.nii.gz", "must be a folder"),
    ],
)
def test_refuses_and_leaves_nothing(mover, capsys, line, said):
    assert said in refusal(mover, capsys, line)


def test_refuses_an_image_on_another_grid(mover, capsys):
    line = "--warp warp.nii.gz --image other.nii.gz --output a.nii.gz"
    for array, affine, said in (
        (smooth(7)[1:], AFFINE, "shape (13, 12, 10) and (14, 12, 10)"),
        (smooth(7), AFFINE @ np.diag([1, 1, 1.1, 1]), "spacing 1x1.3x2.2 mm and 1x1.3x2 mm"),
        (smooth(7), np.eye(4), "orientation RAS and LAS"),
    ):
        nibabel.save(nibabel.Nifti1Image(array, affine), "other.nii.gz")
        message = refusal(mover, capsys, line)
        assert "`--image` must lie on the grid of `--warp`" in message and said in message and "Try `--resample`" in message


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "columns x, y, z"),
        ("1,2,3\n", "with the columns 1, 2, 3"),
        ("x,y\n1,2\n", "with the columns x, y"),
        ("x,y,z\n", "must hold a landmark"),
        ("x,y,z\n1,2,3\n4,five,6\n", "4,five,6 for landmark 2"),
        ("x,y,z\n1,2\n", "1,2 for landmark 1"),
        ("x,y,z\n1,2,nan\n", "nan for landmark 1"),
    ],
)
def test_refuses_landmarks(mover, capsys, text, said):
    pathlib.Path("points.csv").write_text(text)
    assert said in refusal(mover, capsys, "--warp warp.nii.gz --points points.csv --point-space voxel --output out.csv")
