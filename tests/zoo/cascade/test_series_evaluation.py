"""Scores of series against plain NumPy, and what is written of them."""

import csv

import numpy as np
import pytest
from PIL import Image

from mrlayers.metrics import psnr
from runtime import random, to_complex
from zoo.cascade import series_evaluation

TRUTH = to_complex(random(2, 5, 18, 16, 2))
WORSE = TRUTH + 0.3 * to_complex(random(2, 5, 18, 16, 2, seed=1))
BETTER = TRUTH + 0.1 * to_complex(random(2, 5, 18, 16, 2, seed=2))


def test_psnr_of_series_and_of_frames():
    scores = series_evaluation.score_series(TRUTH, WORSE)
    for index in range(2):
        error, peak = np.mean(np.abs(TRUTH[index] - WORSE[index]) ** 2), np.abs(TRUTH[index]).max()
        assert scores[series_evaluation.WHOLE][index] == pytest.approx(10 * np.log10(peak**2 / error))
    assert scores["PSNR (complex-max)"].shape == (2, 5)
    assert scores["PSNR (complex-max)"][1, 3] == pytest.approx(psnr(TRUTH[1, 3], WORSE[1, 3]))


def test_report_says_what_was_gained_and_what_was_lost():
    gain = series_evaluation.report(TRUTH, WORSE, BETTER).splitlines()[-1]
    loss = series_evaluation.report(TRUTH, BETTER, WORSE).splitlines()[-1]
    assert gain.startswith("Gains 9.") and loss == gain.replace("Gains", "Loses")


def test_writes_table_figure_and_film(tmp_path):
    pytest.importorskip("matplotlib", reason="figures need matplotlib, which is not installed")
    said = series_evaluation.write_results(str(tmp_path), TRUTH, WORSE, BETTER, "test", "a title")
    assert said == "test.csv, test.png, test.gif in %s" % tmp_path
    with open(str(tmp_path / "test.csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["frame"] for row in rows] == ["0", "1", "2", "3", "4"] * 2 + ["all", "all"]
    whole = series_evaluation.score_series(TRUTH, BETTER)
    assert float(rows[-1]["PSNR (complex-max), reconstruction"]) == pytest.approx(whole[series_evaluation.WHOLE][1], rel=1e-5)
    assert float(rows[-2]["SSIM (magnitude-max), reconstruction"]) == pytest.approx(
        whole["SSIM (magnitude-max)"][0].mean(), rel=1e-5
    )
    with Image.open(str(tmp_path / "test.gif")) as film:
        assert film.n_frames == 5 and film.size == (4 * 16 * 8, 18 * 8) and film.info["loop"] == 0
    with Image.open(str(tmp_path / "test.png")) as figure:
        assert min(figure.size) > 300


def test_says_what_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(series_evaluation, "installed", lambda module: False)
    said = series_evaluation.write_results(str(tmp_path), TRUTH, WORSE, BETTER, "test", "a title")
    assert said == "test.csv, test.gif in %s; no figure without matplotlib: `pip install mrlayers[plots]`" % tmp_path


def test_column_that_moves_most():
    series = np.ones((4, 18, 16), complex)
    series[2, :, 11] = 3
    assert series_evaluation.moving_column(series) == 11
