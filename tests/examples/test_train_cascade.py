"""The trainer and the evaluator as a user runs them: a small run, a resumed one, a scored one, and every refusal."""

import csv
import json
import os
import pathlib

import numpy as np
import pytest

from mrlayers.complexes import to_pairs
from scripts import refusal, run
from zoo.cascade.packed import write_mask
from zoo.cascade.phantoms import random_phantoms

SMALL = "--image-size 32 --cascades 1 --convolutions 2 --filters 2 --center-lines 4 --checkpoint-every 1"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("images.npy", random_phantoms(12, (32, 40)))
    return tmp_path


def test_trains_resumes_and_evaluates(folder, capsys):
    run("train_cascade", SMALL + " --epochs 1 --output run")
    printed = capsys.readouterr().out
    assert "PSNR (complex-max)" in printed and "NMSE (magnitude)" in printed and "SSIM (magnitude-max)" in printed
    assert {"best.npz", "last.npz", "history.csv", "arguments.json", "test.csv"} <= set(os.listdir("run"))
    assert json.loads((folder / "run" / "arguments.json").read_text())["filters"] == 2

    run("train_cascade", SMALL + " --epochs 2 --output run --resume")
    with open("run/history.csv") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["0", "1"]

    run(
        "evaluate_cascade",
        "--weights run/best.npz --data images.npy --image-size 32 --center-lines 4 --output scores",
    )
    assert "12 images" in capsys.readouterr().out
    with open("scores/scores.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12 and "PSNR (complex-max), reconstruction" in rows[0]


def test_trains_on_files_from_given_weights(folder, capsys):
    options = " --cascades 1 --convolutions 2 --filters 2 --center-lines 4 --epochs 1 --data images.npy"
    run("train_cascade", "--output first" + options)
    run("train_cascade", "--output second --weights first/best.npz --test-data images.npy" + options)
    assert "12 to test" in capsys.readouterr().out


def test_resume_finds_the_default_folder_and_equals_one_run(folder, capsys):
    """The exact command a user types: fewer epochs first, then more with --resume."""
    run("train_cascade", SMALL + " --epochs 1")
    run("train_cascade", SMALL + " --epochs 2 --resume")
    run("train_cascade", SMALL + " --epochs 2")
    assert sorted(os.listdir("outputs")) == ["cascade", "cascade-2"]
    with np.load("outputs/cascade/last.npz") as parts, np.load("outputs/cascade-2/last.npz") as whole:
        for name in whole.files:
            np.testing.assert_allclose(parts[name], whole[name], rtol=1e-6, atol=1e-6)


def test_one_stored_mask_for_all_images(folder, capsys):
    write_mask("mask.hdf5", np.tile(np.arange(32)[:, np.newaxis] % 2 == 0, (1, 32)))
    run("train_cascade", SMALL + " --epochs 1 --output run --mask mask.hdf5")
    assert "acceleration 2.00" in capsys.readouterr().out
    run("evaluate_cascade", "--weights run/best.npz --image-size 32 --mask mask.hdf5 --output scores")
    assert "acceleration 2.00" in capsys.readouterr().out


def test_evaluates_weights_in_the_authors_layout(folder, capsys):
    np.savez("authors.npz", np.zeros((4, 2, 3, 3)), np.zeros(4), np.zeros((2, 4, 3, 3)), np.zeros(2))
    sizes = " --cascades 1 --convolutions 2 --filters 4 --image-size 32 --center-lines 4"
    run("evaluate_cascade", "--weights authors.npz --output scores" + sizes)
    rows = list(csv.DictReader(open("scores/scores.csv")))
    assert all(row["PSNR (complex-max), zero-filled"][:5] == row["PSNR (complex-max), reconstruction"][:5] for row in rows)


def test_composes_a_network_of_its_own(folder, capsys):
    run("compose_custom", "--epochs 1")
    assert "PSNR (complex-max)" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, words",
    [
        ("--acceleration 0.5", "`acceleration` must be"),
        ("--center-lines 30", "center"),
        ("--cascades 0", "`num_cascades` must be a whole number of at least 1. Received: 0"),
        ("--batch-size 0", "`batch_size` must be"),
        ("--learning-rate -1", "`learning_rate` must be a positive number. Received: -1.0"),
        ("--epochs 0", "`epochs` must be a whole number of at least 1"),
        ("--seed -1", "`seed` must be"),
        ("--data absent.npy", "absent.npy"),
        ("--data empty", "empty"),
        ("--data other.txt", "other.txt"),
        ("--data broken.npy", "broken.npy"),
        ("--data nan.npy", "finite pixels"),
        ("--data images.npy --image-size 64", "`size` must fit into the images"),
        ("--data images.npy --test-data square.npy", "`--test-data` must hold images of 32x40"),
        ("--data two.npy", "`--data` must hold an image to train with"),
        ("--output file", "`file` must be a folder"),
        ("--output absent --resume", "`output` must hold a checkpoint to resume from"),
        ("--weights absent.npz", "no such file"),
        ("--weights broken.npz", "cannot be read"),
    ],
)
def test_refusals_of_the_trainer(folder, capsys, arguments, words):
    os.mkdir("empty")
    pathlib.Path("file").write_text("")
    pathlib.Path("other.txt").write_text("text")
    pathlib.Path("broken.npy").write_bytes(pathlib.Path("images.npy").read_bytes()[:300])
    pathlib.Path("broken.npz").write_bytes(b"PK\x03\x04")
    images = np.load("images.npy")
    np.save("two.npy", images[:2])
    np.save("square.npy", images[:, :, :32])
    np.save("nan.npy", np.where(np.arange(40) == 3, np.nan, images))
    size = "" if "images.npy" in arguments or "--data" in arguments else SMALL + " "
    assert words in refusal(capsys, "train_cascade", size + "--epochs 1 --output out " + arguments)


def test_refuses_to_write_over_a_run_or_to_resume_another(folder, capsys):
    run("train_cascade", SMALL + " --epochs 1 --output run")
    again = SMALL + " --epochs 2 --output run"
    assert "`output` must not hold another run" in refusal(capsys, "train_cascade", again)
    assert "`--seed` must be 0 as when the run began. Received: 1" in refusal(
        capsys, "train_cascade", again + " --resume --seed 1"
    )


def test_refusals_of_the_evaluator(folder, capsys):
    assert "no such file" in refusal(capsys, "evaluate_cascade", "--weights absent.npz")
    np.savez("other.npz", weight=np.zeros(3))
    message = refusal(capsys, "evaluate_cascade", "--weights other.npz --image-size 32 --center-lines 4")
    assert "missing: " in message and "left over: weight" in message


def test_modelzoo_file_is_read_as_data(folder, capsys):
    import h5py

    with h5py.File("wrong.hdf5", "w") as file:
        file["images"] = to_pairs(np.load("images.npy"))
    assert "holds images" in refusal(capsys, "train_cascade", "--data wrong.hdf5 --output out")
