"""Scores and tables of registrations, each number with the name of its definition."""

import csv
import os
import time
from collections import namedtuple

import numpy as np

from mrlayers import SpatialTransformer, backend, losses, metrics
from mrlayers.backend import keras
from mrlayers.checks import refusal
from zoo.files import installed, written_whole
from zoo.voxelmorph import figures

PUBLISHED_LABELS = (2, 3, 4, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 24, 28, 31, 41, 42, 43, 46, 47, 49, 50, 51, 52, 53, 54)
PUBLISHED_LABELS += (60, 63)  # the 30 of VoxelMorph's evaluation, numbered by FreeSurfer; 0, the background, is none of them
DICE = "2 |A and B| / (|A| + |B|), labels of the moving image warped to the nearest voxel, a label that neither map has: %s"
EMPTY = {"nan": "left out", "zero": "0", "one": "1"}
SPREAD = "mean, and population standard deviation, over all labels of all pairs"
ERROR = "mean distance from the true displacement where the fixed image has a label"
SECONDS = "of the network; those of the first pair may include its compilation"
FOLDED = "share of voxels with a Jacobian determinant of 0 or less, central differences"

Scores = namedtuple("Scores", "moving fixed dice similarity error folding seconds")
Scores.__doc__ = """What `score` found. `dice` maps labels and `similarity` maps names to `(before, after)`; `error` is `(before, after)`
in voxels or `None`, `folding` a `JacobianStatistics`; `seconds` is what the registration took."""

Shown = namedtuple("Shown", "moving fixed moved displacement affine")
Warpers = namedtuple("Warpers", "linear nearest")


def evaluate(model, cases, labels=None, empty="nan", log=None):
    """Registers pairs and scores them.

    Args:
        model: from `voxelmorph` or `voxelmorph_diffeomorphic`.
        cases: of `zoo.voxelmorph.cases.Case`, of the model's shape.
        labels: see `score`.
        empty: see `score`.
        log: function of a line of text, called after each pair.

    Returns:
        `(list of Scores, Shown)`: the latter holds the first pair, for a figure.
    """
    tools, scores, shown = None, [], None
    for case in cases:
        tools = tools or warpers(case.fixed.shape)
        begin = time.perf_counter()
        moved, displacement = model.predict_on_batch([batch(case.moving), batch(case.fixed)])[:2]
        seconds = time.perf_counter() - begin
        scores.append(score(tools, case, displacement[0], seconds, labels, empty))
        shown = shown or Shown(case.moving, case.fixed, moved[0, ..., 0], displacement[0], case.affine)
        if log:
            log("%3d  %s" % (len(scores), describe(scores[-1])))
    return scores, shown


def score(tools, case, displacement, seconds, labels=None, empty="nan"):
    """Scores of one registration.

    Args:
        tools: `warpers(case.fixed.shape)`.
        case: a `Case`.
        displacement: `(*volume, ndim)`, in voxels.
        seconds: what it took.
        labels: which labels count for Dice; `None`: all but 0 that either label map has.
        empty: what a label counts that neither map has, see `metrics.dice`.
    """
    overlap, error = {}, None
    if case.moving_labels is not None and case.fixed_labels is not None:
        maps = case.moving_labels, warp_labels(tools, case.moving_labels, displacement)
        labels = label_values(case.moving_labels, case.fixed_labels) if labels is None else labels
        overlap = dict(zip(labels, zip(*(metrics.dice(found, case.fixed_labels, labels, empty).tolist() for found in maps))))
    if case.displacement is not None:
        distances = [np.linalg.norm(case.displacement - found, axis=-1) for found in (0, displacement)]
        error = tuple(distance[case.fixed_labels > 0].mean() for distance in distances)
    fields = np.zeros_like(displacement), displacement
    mse, ncc = zip(*(similarity(tools, case.moving, case.fixed, field) for field in fields))
    name = "NCC (local, squared, windows of %s)" % "x".join(map(str, window(case.fixed.shape)))
    compared = {"MSE (intensities 0..1)": mse, name: ncc}
    folding = metrics.jacobian_statistics(displacement)
    return Scores(case.moving_name, case.fixed_name, overlap, compared, error, folding, seconds)


def warpers(volume_shape):
    """Models that warp `[image, displacement]` of a shape, linearly and to the nearest voxel, for the functions below."""
    inputs = [keras.Input(tuple(volume_shape) + (channels,)) for channels in (1, len(volume_shape))]
    linear, nearest = [keras.Model(inputs, SpatialTransformer(how)(inputs)) for how in ("linear", "nearest")]
    correlation = losses.NCC(window(volume_shape))

    def ncc(y_true, y_pred):
        return -correlation.call(y_true, y_pred)

    linear.compile("sgd", loss=losses.MSE(), metrics=[ncc], **backend.COMPILE_OPTIONS)
    return Warpers(linear, nearest)


def warp_image(tools, image, displacement):
    """`image`, any real numbers, interpolated linearly; float32."""
    return tools.linear.predict_on_batch([batch(image.astype("float32")), displacement[np.newaxis]])[0, ..., 0]


def warp_labels(tools, labels, displacement):
    """`labels` at the nearest voxel."""
    # float32 holds the number of a label, but not every label.
    values, numbers = np.unique(labels, return_inverse=True)
    numbers = numbers.reshape(labels.shape).astype("float32")
    return values[tools.nearest.predict_on_batch([batch(numbers), displacement[np.newaxis]])[0, ..., 0].astype("intp")]


def similarity(tools, moving, fixed, displacement):
    """Mean squared error and squared local correlation of `fixed` and the warped `moving`."""
    return tuple(tools.linear.evaluate([batch(moving), displacement[np.newaxis]], batch(fixed), batch_size=1, verbose=0))


def window(volume_shape):
    """9 voxels along each axis as published, or as many as there are."""
    return tuple(min(9, size - 1 + size % 2) for size in volume_shape)


def label_values(*label_maps):
    """All labels but 0 that one of the maps has."""
    return sorted(set().union(*(np.unique(label_map).tolist() for label_map in label_maps)) - {0})


def batch(array):
    return array[np.newaxis, ..., np.newaxis]


def table(scores):
    """Rows `(name, definition, before, after)` of arrays that hold one number for each pair, of Dice for each label of each pair.

    `before` is `None` for what only a registration has.
    """
    rows = []
    overlaps = [values for each in scores for values in each.dice.values()]
    if overlaps:
        rows.append(("Dice", SPREAD) + tuple(np.array(overlaps).T))
    if all(each.error for each in scores):
        rows.append(("displacement error, voxels", ERROR) + tuple(np.array([each.error for each in scores]).T))
    for name in scores[0].similarity:
        rows.append((name, "mean over voxels") + tuple(np.array([each.similarity[name] for each in scores]).T))
    rows.append(("folded voxels, %", FOLDED, None, np.array([100 * each.folding.folded_fraction for each in scores])))
    rows.append(("seconds", SECONDS, None, np.array([each.seconds for each in scores])))
    return rows


def report(scores):
    """A text table: before and after, with mean and population standard deviation where there is more than one number."""
    lines = ["{:<44}{:>24}{:>24}".format("{} pair{}".format(len(scores), "s"[: len(scores) - 1]), "before", "after")]
    for name, _, before, after in table(scores):
        if name == "Dice":
            name = "Dice (%d labels)" % len(_labels(scores))
        if name == "seconds":  # the first may hold compilation
            name, after = "seconds (median)" if len(scores) > 1 else name, [np.median(after)]
        cells = ["" if values is None else _cell(values) for values in (before, after)]
        lines.append("{:<44}{:>24}{:>24}".format(name, *cells))
    return "\n".join(lines)


def describe(scores):
    """One line about one pair."""
    parts = ["%s to %s:" % (scores.moving, scores.fixed)]
    parts += ["Dice %.3f -> %.3f," % tuple(map(_mean, zip(*scores.dice.values())))] if scores.dice else []
    parts += ["error %.2f -> %.2f voxels," % scores.error] if scores.error else []
    mse = scores.similarity["MSE (intensities 0..1)"]
    return " ".join(parts + ["MSE %.4f -> %.4f," % mse, "%.3f s" % scores.seconds])


def write_csv(path, scores, empty="nan"):
    """One line for each number: pair, metric, label, before, after, and the definition; those of all pairs last."""
    with written_whole(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["moving", "fixed", "metric", "label", "before", "after", "definition"])
        for each in scores:
            for label, values in each.dice.items():
                writer.writerow([each.moving, each.fixed, "Dice", label] + _cells(values) + [DICE % EMPTY[empty]])
            for name, definition, before, after in table([each])[bool(each.dice) :]:
                values = [None if before is None else before[0], after[0]]
                writer.writerow([each.moving, each.fixed, name, ""] + _cells(values) + [definition])
        labels = " ".join(map(str, _labels(scores)))
        for name, definition, *columns in table(scores):
            for what, function in (("mean", _mean), ("standard deviation", _spread)):
                cells = _cells(None if values is None else function(values) for values in columns)
                of = labels if name == "Dice" else ""
                over = "" if name == "Dice" else ", over pairs"
                writer.writerow(["all", "all", "%s, %s" % (name, what), of] + cells + [definition + over])


def write_results(folder, scores, shown, name, empty="nan"):
    """Writes `name.csv` with all scores, and figures of the first pair; returns what was written, for people to read."""
    title = " to ".join(os.path.basename(each) for each in (scores[0].moving, scores[0].fixed))
    write_csv(os.path.join(folder, name + ".csv"), scores, empty)
    if not installed("matplotlib"):
        return "{}.csv is in {}; no figures without matplotlib: `pip install mrlayers[plots]`".format(name, folder)
    figures.draw(os.path.join(folder, name + ".png"), *shown, title=title)
    figures.draw_flow(os.path.join(folder, name + "_flow.png"), shown.displacement, shown.affine, title)
    return "{0}.csv, {0}.png and {0}_flow.png are in {1}".format(name, folder)


def parse_labels(text):
    """Labels from the command line: `None` is all, `"published"` the 30 of VoxelMorph's evaluation, else numbers as in `"2,3,4"`."""
    if text is None:
        return None
    if text == "published":
        return PUBLISHED_LABELS
    numbers = text.replace(",", " ").split()
    if not numbers or not all(number.isdigit() and int(number) for number in numbers) or len(set(numbers)) < len(numbers):
        raise refusal("`--label-values` must be labels above 0, each once", repr(text), "2,3,4, or published")
    return tuple(int(number) for number in numbers)


def _labels(scores):
    return sorted(set().union(*(each.dice for each in scores)))


def _cell(values):
    return "%.4g +- %.2g" % (_mean(values), _spread(values)) if len(values) > 1 else "%.4g" % values[0]


def _cells(values):
    return ["" if value is None else "%.6g" % value for value in values]


def _mean(values):
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def _spread(values):
    return float(np.nanstd(values)) if np.isfinite(values).any() else float("nan")
