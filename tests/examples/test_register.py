"""Registering from file to file: the numbers, what the files say of space, refinement, and refusals that leave nothing behind."""

import functools
import os
import pathlib
import shutil

import nibabel
import numpy as np
import pytest

import scripts
from zoo import training
from zoo.runs import write_arguments
from zoo.voxelmorph import voxelmorph, voxelmorph_diffeomorphic, warps
from zoo.voxelmorph.brains import random_pair

SHAPE = (16, 17, 18)
SHIFT = (1, 0, -2)
AFFINE = np.array([[-0.96, 0.28, 0, 20], [0.28, 0.96, 0, -7], [0, 0, 1, 3], [0, 0, 0, 1]]) * [1, 1.3, 2, 1]
PAIR = random_pair(SHAPE, seed=3)
COMMAND = "--moving moving.nii.gz --fixed fixed.nii.gz --weights shift.npz --variant vm1 --moved out/moved.nii.gz "


def save(path, array, affine=AFFINE, description=b""):
    image = nibabel.Nifti1Image(array, affine)
    image.header["descrip"] = description
    nibabel.save(image, path)


def shifting(volume_shape=SHAPE, shift=SHIFT):
    """vm1 with weights that answer any pair with one displacement."""
    model = voxelmorph(volume_shape, "vm1")
    head = model.get_layer("flow")
    head.set_weights([np.zeros_like(head.get_weights()[0]), np.array(shift, "float32")])
    return model


def shifted(array, shift=SHIFT):
    where = [np.clip(np.arange(size) + step, 0, size - 1) for size, step in zip(array.shape, shift)]
    return array[np.ix_(*where)]


def array_of(path):
    return np.asarray(nibabel.load(path).dataobj)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("weights") / "shift.npz")
    training.save_weights(shifting(), path)
    return path


@pytest.fixture
def register(weights, monkeypatch, tmp_path):
    """The script as a function of its command line, in a folder with a pair, labels and weights."""
    monkeypatch.chdir(tmp_path)
    save("moving.nii.gz", 700 * PAIR.moving)
    save("fixed.nii.gz", 300 * PAIR.fixed, description=b"kept")
    for name in ("moving", "fixed"):
        save(name + "_labels.nii.gz", getattr(PAIR, name + "_labels").astype("int16"))
    shutil.copy(weights, "shift.npz")
    return functools.partial(scripts.run, "register")


# --- numbers


def test_registers_from_file_to_file(register, capsys):
    labels = "--labels moving_labels.nii.gz --moved-labels out/labels.nii.gz --fixed-labels fixed_labels.nii.gz "
    register(COMMAND + labels + "--warp out/warp.nii.gz")
    printed = capsys.readouterr().out
    for words in ("MSE (intensities 0..1)", "NCC (local, squared, windows of 9x9x9)", "Dice (", "folded voxels, %", "seconds"):
        assert words in printed
    assert "0 of 4896 voxels folded" in printed
    moved = nibabel.load("out/moved.nii.gz")
    np.testing.assert_allclose(np.asarray(moved.dataobj), shifted(700 * PAIR.moving), rtol=1e-5)
    np.testing.assert_array_equal(moved.affine, nibabel.load("fixed.nii.gz").affine)
    assert moved.header["descrip"].tobytes().startswith(b"kept") and moved.get_data_dtype() == np.float32
    np.testing.assert_array_equal(array_of("out/labels.nii.gz"), shifted(PAIR.moving_labels))
    np.testing.assert_allclose(warps.read_warp("out/warp.nii.gz").displacement, np.broadcast_to(SHIFT, SHAPE + (3,)), atol=1e-4)


def test_itk_moves_the_image_as_we_do(register):
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK, the oracle, is not installed")
    register(COMMAND + "--warp out/warp.nii.gz")
    field = sitk.ReadImage("out/warp.nii.gz", sitk.sitkVectorFloat64)
    images = [sitk.ReadImage(name) for name in ("moving.nii.gz", "fixed.nii.gz")]
    moved = sitk.GetArrayFromImage(sitk.Resample(*images, sitk.DisplacementFieldTransform(field), sitk.sitkLinear)).T
    inner = (slice(2, -2),) * 3  # ITK fills what comes from outside with 0
    np.testing.assert_allclose(array_of("out/moved.nii.gz")[inner], moved[inner], atol=0.02)


def test_takes_arrays_and_draws(register, monkeypatch):
    pytest.importorskip("matplotlib", reason="figures need matplotlib, which is not installed")
    pair = random_pair((20, 24), seed=1)
    np.savez("moving.npz", vol=pair.moving)
    np.savez("fixed.npz", vol_data=pair.fixed)
    training.save_weights(shifting((20, 24), (2, -1)), "run/best.npz")
    write_arguments({"variant": "vm1", "diffeomorphic": False, "intensity_level": 0.5}, "run/arguments.json")
    register("--moving moving.npz --fixed fixed.npz --weights run/best.npz --moved moved.npz --warp warp.npz --figure a.png")
    np.testing.assert_allclose(np.load("moved.npz")["vol"], shifted(pair.moving, (2, -1)), atol=1e-6)
    np.testing.assert_array_equal(np.load("warp.npz")["affine"], np.eye(4))
    assert pathlib.Path("a.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.slow
def test_refinement_comes_closer(register, capsys):
    training.save_weights(shifting((24, 24), (0, 0)), "start.npz")
    pair = random_pair((24, 24), seed=1)
    np.savez("moving.npz", vol=pair.moving)
    np.savez("fixed.npz", vol=pair.fixed)
    line = "--moving moving.npz --fixed fixed.npz --weights start.npz --variant vm1 --moved moved.npz --refine 10 "
    register(line)
    assert "refined in 10 steps: loss" in capsys.readouterr().out
    before, after = [np.mean((image - pair.fixed) ** 2) for image in (pair.moving, np.load("moved.npz")["vol"])]
    assert after < 0.7 * before
    training.save_weights(voxelmorph_diffeomorphic((24, 24)), "start.npz")
    register(line.replace("--variant vm1", "--diffeomorphic --similarity ncc --lambda 0.5"))


def test_resamples_the_moving_image_when_told(register, capsys):
    flip = np.diag([-1.0, 1, 1, 1])
    flip[0, 3] = SHAPE[0] - 1
    save("moving.nii.gz", 700 * PAIR.moving[::-1], AFFINE @ flip)
    register(COMMAND + "--resample")
    np.testing.assert_allclose(array_of("out/moved.nii.gz"), shifted(700 * PAIR.moving), atol=0.05)


# --- refusals


@pytest.mark.parametrize(
    "change, words",
    [
        ("--moving shape.nii.gz", "Received: shape (15, 17, 18) and (16, 17, 18)"),
        ("--moving affine.nii.gz", "`--moving` must lie on the grid of `--fixed`. Received: spacing"),
        ("--moving flat.nii.gz", "Received: shape (16, 17) and (16, 17, 18)"),
        (
            "--moving flat.nii.gz --fixed flat.nii.gz",
            "of another shape: decoder1/kernel (3, 3, 3, 32, 32) instead of (3, 3, 32, 32)",
        ),
        ("--moving keys.npz", "which holds `image`, `mask`"),
        ("--moving truncated.nii.gz", "must be a complete, readable file"),
        ("--moving nan.nii.gz", "finite voxels"),
        ("--moving constant.nii.gz", "not constant"),
        ("--moving absent.nii.gz", "must exist"),
        ("--labels moving.nii.gz --moved-labels out/labels.nii.gz", "must hold integer labels"),
        ("--labels labels.nii.gz --fixed-labels flat.nii.gz", "must hold integer labels"),
        ("--fixed-labels fixed_labels.nii.gz", "`--fixed-labels` goes with `--labels`"),
        ("--variant vm2", "missing: decoder7/bias"),
        ("--diffeomorphic", "`variant` is for networks that are not diffeomorphic"),
        ("--weights moving.nii.gz", "cannot be read"),
        ("--weights absent.npz", "must exist"),
        ("--moved out/moved.txt", "`--moved` must end in one of .nii"),
        ("--moved fixed.nii.gz", "`--moved` must be a file of its own"),
        ("--moved fixed.nii.gz/moved.nii.gz", "`--moved` must be a folder or lie in one"),
        ("--warp /proc/nothing/warp.nii.gz", "`--warp` must lie in a folder that can be written"),
        ("--warp out/moved.nii.gz", "`--warp` must be a file of its own"),
        ("--warp out/warp.mgz", "`--warp` must end in one of .nii.gz .nii .npz"),
        ("--moving sheared.nii.gz --fixed sheared.nii.gz --warp out/warp.nii.gz", "must have orthogonal axes"),
        ("--refine -1", "`iterations` must be"),
        ("--refine 2 --similarity mi", "`smoothness_weight` must be given"),
        ("--moving thin.nii.gz --fixed thin.nii.gz --refine 2 --similarity ncc", "`window` must not be larger than the volume"),
        ("--label-values 0,2", "`--label-values` must be labels above 0"),
    ],
)
def test_refuses_and_leaves_nothing(register, capsys, change, words):
    if "/proc" in change and not os.path.isdir("/proc"):
        pytest.skip("no /proc here")
    image = 700 * PAIR.moving
    save("shape.nii.gz", image[1:])
    save("affine.nii.gz", image, AFFINE @ np.diag([1, 1, 1.1, 1]))
    save("flat.nii.gz", image[:, :, 8])
    save("thin.nii.gz", image[:, :, 5:12])
    save("sheared.nii.gz", image, AFFINE + np.eye(4, k=1) * [0, 0.3, 0, 0])
    save("labels.nii.gz", PAIR.moving_labels.astype("int16"))
    np.savez("keys.npz", image=image, mask=image)
    pathlib.Path("truncated.nii.gz").write_bytes(pathlib.Path("moving.nii.gz").read_bytes()[:-300])
    save("nan.nii.gz", np.where(image == image.max(), np.nan, image))
    save("constant.nii.gz", np.ones_like(image))
    before = sorted(str(path) for path in pathlib.Path(".").rglob("*"))
    with pytest.raises(SystemExit) as caught:
        register(COMMAND + change)
    assert caught.value.code == 2 and sorted(str(path) for path in pathlib.Path(".").rglob("*")) == before
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("register.py: ") and words in message and "Received: " in message
