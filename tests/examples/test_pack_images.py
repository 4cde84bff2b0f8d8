"""The packer: what it writes, what it shares between training and test set, and that a refusal leaves nothing behind."""

import os
import pathlib

import h5py
import numpy as np
import pytest
from PIL import Image

import scripts
from mrlayers import sampling
from zoo.cascade.packed import load_mask
from zoo.images import load_images

IMAGES = np.random.RandomState(0).randint(0, 256, (3, 32, 40)).astype(np.uint8)


@pytest.fixture
def packer(monkeypatch, tmp_path):
    module = scripts.load("pack_images")
    monkeypatch.chdir(tmp_path)
    os.mkdir("images")
    for index, image in enumerate(IMAGES):
        Image.fromarray(image).save("images/%d.png" % index)
    return module


def refusal(packer, capsys, *arguments):
    with pytest.raises(SystemExit) as caught:
        packer.main(list(arguments))
    assert caught.value.code == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert "must" in message and "Received: " in message and "Try " in message
    return message


def stored(path, key):
    with h5py.File(path, "r") as file:
        return file[key][()]


# --- numbers


def test_packs_images_and_mask(packer, capsys):
    packer.main("--images images --output train.hdf5 --acceleration 2 --center-lines 6 --seed 5".split())
    np.testing.assert_array_equal(stored("train.hdf5", "label"), IMAGES)
    mask = sampling.cartesian_mask((32, 40), 2, 6, seed=5)
    plane = np.broadcast_to(mask[..., 0], (32, 40))
    np.testing.assert_array_equal(stored("mask.hdf5", "mask"), plane)
    np.testing.assert_array_equal(stored("train.hdf5", "mask"), np.stack([plane] * 3))
    np.testing.assert_array_equal(load_mask("train.hdf5"), mask)
    assert sorted(os.listdir(".")) == ["images", "mask.hdf5", "train.hdf5"]
    assert "3 images of 32x40" in capsys.readouterr().out


def test_without_arguments_packs_phantoms(packer):
    packer.main([])
    images = load_images("outputs/train.hdf5")
    assert images.shape == (64, 256, 256)
    assert load_mask("outputs/mask.hdf5").sum() == 85  # as ModelZoo's mask_acc3.hdf5


# --- laws


def test_the_test_set_gets_the_mask_of_the_training_set(packer, capsys):
    packer.main("--images images --output train.hdf5 --mask shared.hdf5 --seed 1".split())
    before = pathlib.Path("shared.hdf5").read_bytes()
    packer.main("--images images --output test.hdf5 --mask shared.hdf5 --seed 2".split())
    assert pathlib.Path("shared.hdf5").read_bytes() == before
    np.testing.assert_array_equal(stored("test.hdf5", "mask"), stored("train.hdf5", "mask"))
    output = capsys.readouterr().out
    assert "shared.hdf5 (new)" in output and "shared.hdf5 (used again)" in output


def test_another_seed_draws_another_mask(packer):
    packer.main("--images images --output a.hdf5 --mask a_mask.hdf5 --seed 1".split())
    packer.main("--images images --output b.hdf5 --mask b_mask.hdf5 --seed 2".split())
    assert not np.array_equal(stored("a.hdf5", "mask"), stored("b.hdf5", "mask"))


# --- refusals


@pytest.mark.parametrize(
    "arguments, expected",
    [
        ("--images nothing --output a.hdf5", "nothing"),
        ("--images images --output a.hdf5 --image-size 32", "--image-size"),
        ("--images images --output a.hdf5 --acceleration 0.5", "`acceleration`"),
        ("--images images --output a.hdf5 --center-lines 30", "`center_lines`"),
        ("--images images --output a.npz", ".hdf5"),
        ("--images images --output a.hdf5 --mask a.npy", ".hdf5"),
        ("--images images --output a.hdf5 --mask ./a.hdf5", "another file"),
        ("--images images --output a.hdf5 --seed -1", "`seed`"),
        ("--images images --output images/0.png/a.hdf5", "folder"),
        ("--images images --output images/0.png/a.hdf5 --mask mask.hdf5", "folder"),
    ],
)
def test_refuses_and_leaves_nothing(packer, capsys, arguments, expected):
    assert expected in refusal(packer, capsys, *arguments.split())
    assert os.listdir(".") == ["images"]


def test_refuses_images_it_cannot_read(packer, capsys):
    pathlib.Path("images/1.png").write_bytes(pathlib.Path("images/1.png").read_bytes()[:300])
    assert "1.png" in refusal(packer, capsys, "--images", "images", "--output", "a.hdf5")
    assert os.listdir(".") == ["images"]


@pytest.mark.parametrize(
    "mask, expected",
    [
        (sampling.cartesian_mask((32, 40), 2, 4, seed=0), "--acceleration 2"),
        (sampling.cartesian_mask((32, 40), 3, 4, seed=0, centered=True), "index 0"),
        (sampling.cartesian_mask((30, 40), 3, 4, seed=0), "32x40"),
        (sampling.cartesian_mask((2, 32, 40), 3, 4, seed=0), "one mask"),
    ],
)
def test_refuses_a_mask_that_does_not_fit(packer, capsys, mask, expected):
    with h5py.File("mask.hdf5", "w") as file:
        file["mask"] = np.broadcast_to(mask[..., 0], mask.shape[:-2] + (40,))
    assert expected in refusal(packer, capsys, "--images", "images", "--output", "a.hdf5")
    assert sorted(os.listdir(".")) == ["images", "mask.hdf5"]
