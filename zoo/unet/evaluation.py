"""Scores and tables of segmentations, each number with the name of its definition."""

import csv
import os
from collections import namedtuple

import numpy as np

from mrlayers import metrics
from zoo.files import installed, written_whole
from zoo.unet import figures

DEFINITIONS = {
    "soft Dice (joint)": "MindSpore's: 2 <p, y> / (<p, p> + <y, y> + 1e-6) of probabilities and one-hot labels, all classes together",
    "Dice": "2 |A and B| / (|A| + |B|) of the most probable class; a class that neither has is left out",
    "IoU": "|A and B| / |A or B| of the most probable class; a class that neither has is left out",
    "pixel error": "share of pixels with another class",
    "Rand error (adapted)": "1 - F score of pairs of pixels in one cell: connected regions of class 1, where the truth has one",
    "VI (split)": "variation of information, bits: conditional entropy of the prediction's regions given those of the truth",
    "VI (merge)": "variation of information, bits: conditional entropy of the truth's regions given those of the prediction",
}

Scores = namedtuple("Scores", "name values")
Scores.__doc__ = (
    """Of one image: `values` maps `(metric, class)` to a number; the class is `""` where a metric counts all of them."""
)


def evaluate(segmenter, examples, tile=None, log=None):
    """Predicts images and scores them.

    Args:
        segmenter: `zoo.unet.segmenter.Segmenter`, or anything with its `predict`.
        examples: `zoo.unet.reading.Examples`.
        tile: see `Segmenter.predict`.
        log: function of a line of text, called after each image.

    Returns:
        `(list of Scores, probabilities of the first image)`.
    """
    scores, shown = [], None
    for image, labels, name in zip(examples.images, examples.labels, examples.names):
        probabilities = segmenter.predict(image, tile)
        scores.append(score(probabilities, labels, name))
        shown = probabilities if shown is None else shown
        if log:
            log("%3d  %s" % (len(scores), describe(scores[-1])))
    return scores, shown


def score(probabilities, labels, name=""):
    """`Scores` of one image.

    Args:
        probabilities: `(*volume, classes)`.
        labels: integers `(*volume)`, 0 to classes - 1.
        name: of the image.
    """
    classes = range(probabilities.shape[-1])
    prediction = probabilities.argmax(axis=-1)
    values = {("soft Dice (joint)", ""): float(metrics.soft_dice(probabilities, labels))}
    for title, function in (("Dice", metrics.dice), ("IoU", metrics.iou)):
        values.update(
            ((title, label), value) for label, value in zip(classes, function(prediction, labels, list(classes)).tolist())
        )
    values["pixel error", ""] = float(metrics.pixel_error(prediction, labels))
    if len(classes) == 2:  # membranes around cells
        values["Rand error (adapted)", ""] = float(metrics.adapted_rand_error(prediction, labels)[0])
        split, merge = metrics.variation_of_information(prediction, labels)
        values["VI (split)", ""], values["VI (merge)", ""] = float(split), float(merge)
    return Scores(name, values)


def describe(scores):
    """One line about one image."""
    dice = [value for (metric, _), value in scores.values.items() if metric == "Dice"]
    shown = "%s: soft Dice (joint) %.4f, mean Dice %.4f" % (scores.name, scores.values["soft Dice (joint)", ""], _mean(dice))
    rand = scores.values.get(("Rand error (adapted)", ""))
    return shown + ("" if rand is None else ", Rand error %.4f" % rand)


def rows(scores):
    """`(title, numbers)` for every metric: of each class, then for each image the mean of the classes."""
    found = []
    for metric in DEFINITIONS:
        keys = [key for key in scores[0].values if key[0] == metric]
        columns = [[each.values[key] for each in scores] for key in keys]
        found += [
            (metric if label == "" else "%s, class %d" % (metric, label), column) for (_, label), column in zip(keys, columns)
        ]
        if len(keys) > 1:
            found.append(("%s, mean of classes" % metric, [_mean(values) for values in zip(*columns)]))
    return found


def report(scores):
    """A text table: mean and population standard deviation over images."""
    lines = ["{:<28}{:>24}".format("%d image%s" % (len(scores), "s"[: len(scores) - 1]), "mean +- deviation")]
    return "\n".join(
        lines + ["{:<28}{:>24}".format(title, "%.4f +- %.2g" % (_mean(x), _spread(x))) for title, x in rows(scores)]
    )


def write_csv(path, scores):
    """One line for each number: image, metric, class, value and the definition; those of all images last."""
    with written_whole(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["image", "metric", "class", "value", "definition"])
        for each in scores:
            for (metric, label), value in each.values.items():
                writer.writerow([each.name, metric, label, "%.6g" % value, DEFINITIONS[metric]])
        for title, values in rows(scores):
            for what, function in (("mean", _mean), ("standard deviation", _spread)):
                writer.writerow(["all", "%s, %s over images" % (title, what), "", "%.6g" % function(values), ""])


def read_csv(path):
    """The `Scores` that `write_csv` wrote."""
    found = {}
    with open(path, newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            if line["definition"]:
                label = int(line["class"]) if line["class"] else ""
                found.setdefault(line["image"], {})[line["metric"], label] = float(line["value"])
    return [Scores(name, values) for name, values in found.items()]


def write_results(folder, scores, image, labels, probabilities, name):
    """Writes `name.csv` with all scores, and a figure of one image; returns what was written, for people to read."""
    write_csv(os.path.join(folder, name + ".csv"), scores)
    if not installed("matplotlib"):
        return "{}.csv is in {}; no figure without matplotlib: `pip install mrlayers[plots]`".format(name, folder)
    figures.draw(os.path.join(folder, name + ".png"), image, labels, probabilities, scores[0].name)
    return "{0}.csv and {0}.png are in {1}".format(name, folder)


def _mean(values):
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def _spread(values):
    return float(np.nanstd(values)) if np.isfinite(values).any() else float("nan")
