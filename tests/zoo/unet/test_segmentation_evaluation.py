"""Scores, tables and files of segmentations."""

import csv
import importlib.util

import numpy as np
import pytest

from mrlayers import metrics
from zoo.unet import evaluation, figures
from zoo.unet.cells import random_cells
from zoo.unet.reading import make_examples


class Blurred:
    """A segmenter that knows the truth, and is less sure of it the larger `doubt`."""

    def __init__(self, examples, doubt):
        self.known = {image.tobytes(): labels for image, labels in zip(examples.images, examples.labels)}
        self.doubt = doubt

    def predict(self, image, tile=None):
        sure = np.eye(2, dtype="float32")[self.known[image.tobytes()]]
        return (1 - self.doubt) * sure + self.doubt * 0.5


@pytest.fixture(scope="module")
def examples():
    return make_examples(*random_cells(3, (48, 56), seed=4))


def test_the_truth_scores_best(examples):
    scores, shown = evaluation.evaluate(Blurred(examples, 0.0), examples)
    assert len(scores) == 3 and shown.shape == (48, 56, 2)
    for each in scores:
        for (metric, _), value in each.values.items():
            assert value == pytest.approx(1.0 if metric in ("soft Dice (joint)", "Dice", "IoU") else 0.0, abs=1e-6)


def test_numbers_are_those_of_the_metrics(examples):
    lines = []
    scores, _ = evaluation.evaluate(Blurred(examples, 1.0), examples, log=lines.append)
    values = dict(evaluation.rows(scores))
    assert values["soft Dice (joint)"] == pytest.approx([2 / 3] * 3, abs=1e-6)
    for index, labels in enumerate(examples.labels):
        nothing = np.zeros_like(labels)  # equal probabilities are class 0
        assert values["pixel error"][index] == pytest.approx(labels.mean())
        assert values["Dice, class 0"][index] == metrics.dice(nothing, labels, [0])[0]
        assert values["IoU, mean of classes"][index] == metrics.iou(nothing, labels, [0, 1]).mean()
        assert values["VI (merge)"][index] == metrics.variation_of_information(nothing, labels)[1]
    assert len(lines) == 3 and "soft Dice (joint) 0.6667" in lines[0]


def test_three_classes_have_no_cells():
    probabilities = np.zeros((4, 4, 3), "float32")
    probabilities[..., 2] = 1
    scores = evaluation.score(probabilities, np.full((4, 4), 2))
    assert ("Rand error (adapted)", "") not in scores.values and np.isnan(scores.values["Dice", 0])
    assert scores.values["Dice", 2] == 1 and "mean Dice 1.0000" in evaluation.describe(scores)
    assert "class 2" in evaluation.report([scores])


def test_files(examples, tmp_path):
    scores, shown = evaluation.evaluate(Blurred(examples, 0.5), examples)
    said = evaluation.write_results(str(tmp_path), scores, examples.images[0], examples.labels[0], shown, "test")
    again = evaluation.read_csv(str(tmp_path / "test.csv"))
    assert [each.name for each in again] == list(examples.names)
    for before, after in zip(scores, again):
        assert list(before.values) == list(after.values)
        np.testing.assert_allclose(list(after.values.values()), list(before.values.values()), rtol=1e-5)
    with open(str(tmp_path / "test.csv"), newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["definition"] for line in lines if line["image"] != "all"} == set(evaluation.DEFINITIONS.values())
    mean = next(line for line in lines if line["metric"] == "pixel error, mean over images")
    assert float(mean["value"]) == pytest.approx(np.mean(dict(evaluation.rows(scores))["pixel error"]), abs=1e-5)
    if importlib.util.find_spec("matplotlib"):
        assert "test.png" in said and (tmp_path / "test.png").stat().st_size > 10000


def test_disagreement_has_colours():
    image = np.ones((2, 3, 1), "float32")
    labels, prediction = np.array([[0, 1, 1], [0, 0, 1]]), np.array([[1, 1, 0], [0, 0, 1]])
    shown = figures.disagreement(image, labels, prediction)
    assert (shown == 1).all(axis=-1).tolist() == [[False, True, False], [True, True, True]]
    assert shown[0, 0, 0] > 0.8 and shown[0, 2, 2] > 0.8


def test_pictures_and_sections(tmp_path):
    volume = np.zeros((4, 5, 6, 1), "float32")
    volume[:, :, 3] = 1
    assert figures.section(volume).shape == (4, 5, 1) and figures.section(volume).all()
    picture = figures.picture(volume, volume[..., 0].astype(int), np.concatenate([1 - volume, volume], axis=-1))
    assert picture.shape == (4, 15) and picture.dtype == np.uint8 and (picture == 255).all()
