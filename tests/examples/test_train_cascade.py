"""The trainer and the evaluator as a user runs them: a small run, a resumed one, a scored one, and every refusal."""

import csv
import importlib.util
import json
import os
import pathlib
import sys

import numpy as np
import pytest

from mrlayers.backend import RUNTIME, keras
from mrlayers.complexes import to_pairs
from zoo.cascade.packed import write_mask
from zoo.cascade.phantoms import random_phantoms

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"
SMALL = "--image-size 32 --cascades 1 --convolutions 2 --filters 2 --center-lines 4 --checkpoint-every 1"


def run(monkeypatch, name, arguments):
    """Runs `examples/name.py` in this process; dies with TensorFlow 1.15: a graph of its own for each run there."""
    if RUNTIME == "tensorflow1":
        keras.backend.clear_session()
    specification = importlib.util.spec_from_file_location(name, str(EXAMPLES / (name + ".py")))
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    monkeypatch.setattr(sys, "argv", [name + ".py"] + arguments.split())
    module.main()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("images.npy", random_phantoms(12, (32, 40)))
    return tmp_path


def refusal(monkeypatch, capsys, name, arguments):
    """The one sentence of a refused run, which must leave nothing behind."""
    before = sorted(str(path) for path in pathlib.Path(".").rglob("*"))
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, name, arguments)
    assert caught.value.code == 2
    assert sorted(str(path) for path in pathlib.Path(".").rglob("*")) == before
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith(name + ".py: ") and "Received: " in message
    return message


def test_trains_resumes_and_evaluates(folder, monkeypatch, capsys):
    run(monkeypatch, "train_cascade", SMALL + " --epochs 1 --output run")
    printed = capsys.readouterr().out
    assert "PSNR (complex-max)" in printed and "NMSE (magnitude)" in printed and "SSIM (magnitude-max)" in printed
    assert {"best.npz", "last.npz", "history.csv", "arguments.json", "test.csv"} <= set(os.listdir("run"))
    assert json.loads((folder / "run" / "arguments.json").read_text())["filters"] == 2

    run(monkeypatch, "train_cascade", SMALL + " --epochs 2 --output run --resume")
    with open("run/history.csv") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["0", "1"]

    run(
        monkeypatch,
        "evaluate_cascade",
        "--weights run/best.npz --data images.npy --image-size 32 --center-lines 4 --output scores",
    )
    assert "12 images" in capsys.readouterr().out
    with open("scores/scores.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12 and "PSNR (complex-max), reconstruction" in rows[0]


def test_trains_on_files_from_given_weights(folder, monkeypatch, capsys):
    options = " --cascades 1 --convolutions 2 --filters 2 --center-lines 4 --epochs 1 --data images.npy"
    run(monkeypatch, "train_cascade", "--output first" + options)
    run(monkeypatch, "train_cascade", "--output second --weights first/best.npz --test-data images.npy" + options)
    assert "12 to test" in capsys.readouterr().out


def test_resume_finds_the_default_folder_and_equals_one_run(folder, monkeypatch, capsys):
    """The exact command a user types: fewer epochs first, then more with --resume."""
    run(monkeypatch, "train_cascade", SMALL + " --epochs 1")
    run(monkeypatch, "train_cascade", SMALL + " --epochs 2 --resume")
    run(monkeypatch, "train_cascade", SMALL + " --epochs 2")
    assert sorted(os.listdir("outputs")) == ["cascade", "cascade-2"]
    with np.load("outputs/cascade/last.npz") as parts, np.load("outputs/cascade-2/last.npz") as whole:
        for name in whole.files:
            np.testing.assert_allclose(parts[name], whole[name], rtol=1e-6, atol=1e-6)


def test_one_stored_mask_for_all_images(folder, monkeypatch, capsys):
    write_mask("mask.hdf5", np.tile(np.arange(32)[:, np.newaxis] % 2 == 0, (1, 32)))
    run(monkeypatch, "train_cascade", SMALL + " --epochs 1 --output run --mask mask.hdf5")
    assert "acceleration 2.00" in capsys.readouterr().out
    run(monkeypatch, "evaluate_cascade", "--weights run/best.npz --image-size 32 --mask mask.hdf5 --output scores")
    assert "acceleration 2.00" in capsys.readouterr().out


def test_evaluates_weights_in_the_authors_layout(folder, monkeypatch, capsys):
    np.savez("authors.npz", np.zeros((4, 2, 3, 3)), np.zeros(4), np.zeros((2, 4, 3, 3)), np.zeros(2))
    sizes = " --cascades 1 --convolutions 2 --filters 4 --image-size 32 --center-lines 4"
    run(monkeypatch, "evaluate_cascade", "--weights authors.npz --output scores" + sizes)
    rows = list(csv.DictReader(open("scores/scores.csv")))
    assert all(row["PSNR (complex-max), zero-filled"][:5] == row["PSNR (complex-max), reconstruction"][:5] for row in rows)


def test_composes_a_network_of_its_own(folder, monkeypatch, capsys):
    run(monkeypatch, "compose_custom", "--epochs 1")
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
def test_refusals_of_the_trainer(folder, monkeypatch, capsys, arguments, words):
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
    assert words in refusal(monkeypatch, capsys, "train_cascade", size + "--epochs 1 --output out " + arguments)


def test_refuses_to_write_over_a_run_or_to_resume_another(folder, monkeypatch, capsys):
    run(monkeypatch, "train_cascade", SMALL + " --epochs 1 --output run")
    again = SMALL + " --epochs 2 --output run"
    assert "`output` must not hold another run" in refusal(monkeypatch, capsys, "train_cascade", again)
    assert "`--seed` must be 0 as when the run began. Received: 1" in refusal(
        monkeypatch, capsys, "train_cascade", again + " --resume --seed 1"
    )


def test_refusals_of_the_evaluator(folder, monkeypatch, capsys):
    assert "no such file" in refusal(monkeypatch, capsys, "evaluate_cascade", "--weights absent.npz")
    np.savez("other.npz", weight=np.zeros(3))
    message = refusal(monkeypatch, capsys, "evaluate_cascade", "--weights other.npz --image-size 32 --center-lines 4")
    assert "missing: " in message and "left over: weight" in message


def test_modelzoo_file_is_read_as_data(folder, monkeypatch, capsys):
    import h5py

    with h5py.File("wrong.hdf5", "w") as file:
        file["images"] = to_pairs(np.load("images.npy"))
    assert "holds images" in refusal(monkeypatch, capsys, "train_cascade", "--data wrong.hdf5 --output out")
