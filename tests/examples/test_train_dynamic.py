"""The scripts for series as a user runs them: small runs of each network, a resumed one, scores, files reconstructed, refusals."""

import csv
import json
import os
import pathlib

import numpy as np
import pytest

from mrlayers import sampling
from scripts import refusal, run
from zoo.cascade.hearts import random_hearts
from zoo.cascade.trained import MODELS, settings_of

SMALL = "--cascades 2 --convolutions 2 --filters 2 --checkpoint-every 1 --center-lines 2 --acceleration 4 "
PHANTOMS = SMALL + "--frames 3 --image-size 16 "


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Four series, time last, as others store them; k-space and mask of the first."""
    monkeypatch.chdir(tmp_path)
    series = random_hearts(4, (3, 20, 24), seed=5)
    np.savez("hearts.npz", cine=np.moveaxis(series, (1, 0), (-1, -2)), other=np.zeros(3))
    mask = sampling.cartesian_mask((3, 20, 24), 4, 2, seed=1)
    np.save("kspace.npy", 37 * np.fft.fft2(series[0], norm="ortho") * mask[..., 0])
    np.save("mask.npy", mask[:, :, 0, 0])
    return tmp_path


def read_csv(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_trains_resumes_evaluates_and_reconstructs(folder, capsys):
    line = SMALL + "--model sharing --data hearts.npz --axes hwnt --patch-width 16 --stochastic 0.2 --noise-level 0.01 "
    run("train_dynamic", line + "--epochs 1")
    printed = capsys.readouterr().out
    for words in (
        "4 series of 3 frames of 20x16 to train, 2 to validate, 1 to test",
        "Trained for",
        "SSIM",
        "dB over zero-filled",
    ):
        assert words in printed
    output = pathlib.Path("outputs/dynamic-sharing")
    assert {"best.npz", "last.npz", "history.csv", "arguments.json", "test.csv"} <= set(os.listdir(str(output)))
    assert json.loads((output / "arguments.json").read_text())["model"] == "sharing"
    assert [row["frame"] for row in read_csv(str(output / "test.csv"))] == ["0", "1", "2", "all"]

    run("train_dynamic", line + "--epochs 2 --resume")
    assert [row["epoch"] for row in read_csv(str(output / "history.csv"))] == ["0", "1"]
    assert "`--filters` must be 2 as when the run began" in refusal(
        capsys, "train_dynamic", line.replace("--filters 2", "--filters 3") + "--epochs 3 --resume"
    )
    assert "`output` must not hold another run" in refusal(capsys, "train_dynamic", line + "--epochs 1 --output " + str(output))

    weights = "--weights outputs/dynamic-sharing/best.npz "
    run(
        "evaluate_dynamic",
        weights + "--data hearts.npz --axes hwnt --acceleration 4 --center-lines 2 --frames 2 --output scores",
    )
    assert "4 series of 2 frames" in capsys.readouterr().out and len(read_csv("scores/scores.csv")) == 12

    run("reconstruct", weights + "--kspace kspace.npy --mask mask.npy --axes thw --output out/series.npz --film out/series.gif")
    assert "1 series of 3 frames of 20x24; lines, acceleration 4.00" in capsys.readouterr().out
    with np.load("out/series.npz") as archive:
        series = archive["series"]
    kspace, mask = np.load("kspace.npy"), np.load("mask.npy")[..., np.newaxis]
    np.testing.assert_allclose(np.fft.fft2(series[0], norm="ortho") * mask, kspace, atol=1e-3)
    assert pathlib.Path("out/series.gif").read_bytes()[:4] == b"GIF8"
    for wrong, words in [
        ("--output series.txt", "`--output` must end in one of"),
        ("--output mask.npy", "`--output` must be a file of its own"),
        ("--output a.npz --film a.mp4", "`--film` must end in one of .gif"),
        ("--output a.npz --peak 0", "`--peak` must be above 0"),
        ("--output a.npz --mask-axes ht", "`mask` must have as many frames"),
    ]:
        line = weights + "--kspace kspace.npy --mask mask.npy --axes thw " + wrong
        assert words in refusal(capsys, "reconstruct", line)


@pytest.mark.parametrize("model", [name for name in MODELS if name != "sharing"])
def test_trains_every_network(folder, capsys, model):
    run("train_dynamic", PHANTOMS + "--model %s --epochs 1 --no-augmentation --batch-size 8 --output run" % model)
    assert "%s: " % model in capsys.readouterr().out
    run(
        "evaluate_dynamic",
        "--weights run/last.npz --data hearts.npz --axes hwnt --acceleration 4 --center-lines 2 --output scores",
    )
    assert "%s, lines" % model in capsys.readouterr().out


def test_strips_of_one_series_from_given_weights(folder, capsys):
    """As the authors train: columns of one series, other columns of it to test."""
    np.save("one.npy", random_hearts(1, (3, 20, 64), seed=1)[0])
    line = SMALL + "--model sharing --epochs 1 --not-periodic --pattern shear "
    run("train_dynamic", line + "--data one.npy --axes thw --patch-width 8 --output first")
    printed = capsys.readouterr().out
    assert "One series: a quarter of its columns is to test" in printed and "a sixth of its columns is to validate" in printed
    assert "9 series of 3 frames of 20x8 to train, 1 to validate, 1 to test" in printed
    run("train_dynamic", line + "--data hearts.npz --axes hwnt --test-data hearts.npz --weights first/last.npz --output second")
    assert "3 series of 3 frames of 20x24 to train, 1 to validate, 4 to test" in capsys.readouterr().out
    assert settings_of("second/last.npz")["boundary"] == "clipped"
    run("evaluate_dynamic", "--weights second/last.npz --data hearts.npz --axes hwnt --pattern shear --output scores")
    assert "4 series of 3 frames" in capsys.readouterr().out


def test_the_authors_file_beside_another_run(folder, tmp_path):
    """`arguments.json` beside it tells of something else."""
    pathlib.Path("arguments.json").write_text('{"model": "sharing"}')
    np.savez("authors.npz", arr_0=np.zeros(3))
    assert settings_of("authors.npz")["model"] == "static"


def test_published_weights_score(folder, shared, capsys):
    weights = "--weights %s " % shared("weights/d5_c5.npz")
    run("evaluate_dynamic", weights + "--data hearts.npz --axes hwnt --acceleration 2 --center-lines 4 --output scores")
    assert "Gains" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, words",
    [
        ("--data hearts.npz --axes hwn", "`axes` must have t, h and w"),
        ("--data hearts.npz --axes hwt", "`axes` must have a letter for each axis"),
        ("--data hearts.npz --key cin --axes hwnt", "`key` must name an array of the file"),
        ("--data hearts.npz --axes hwnt --image-size 32", "`--image-size` must be left to phantoms"),
        ("--data hearts.npz --axes hwnt --patch-width 32", "`width` must fit into the series"),
        ("--data hearts.npz --axes hwnt --acceleration 30", "`acceleration` must be"),
        ("--data absent.npz", "`path` must exist"),
        ("--data hearts.npz --axes hwnt --patch-width 0", "`--patch-width` must be an integer from 1"),
        ("--data hearts.npz --axes hwnt --frames -2", "`--frames` must be an integer from 1"),
        ("--seed -1", "`--seed` must be an integer from 0"),
        ("--weights absent.npz", "`path` must exist"),
        ("--model crnn --stochastic 0.5", "`--stochastic` must be left to cascades"),
        ("--pattern shear --acceleration 2.5", "`acceleration` must be a whole number"),
        ("--frames 3 --image-size 8", "`shape` must be"),
        ("--frames 3 --image-size 16 --center-lines 9", "`center_lines` must be"),
        ("--frames 3 --image-size 16 --center-lines 1 --filters 0", "`filters` must be an integer from 1"),
        ("--frames 3 --image-size 16 --center-lines 1 --stochastic 1", "`stochastic` must be"),
        ("--frames 3 --image-size 16 --center-lines 1 --learning-rate 0", "`learning_rate` must be"),
    ],
)
def test_refusals_of_the_trainer(folder, capsys, arguments, words):
    assert words in refusal(capsys, "train_dynamic", arguments)


def test_refuses_weights_of_something_else(folder, capsys):
    np.savez("loose.npz", kernel=np.zeros(3))
    assert "`weights` must lie beside the `arguments.json`" in refusal(capsys, "evaluate_dynamic", "--weights loose.npz")
    assert "`path` must exist" in refusal(capsys, "evaluate_dynamic", "--weights absent.npz")
