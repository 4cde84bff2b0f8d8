"""The precision report of an exported network: the frozen graph run here, and a device's results, against the ground truth."""

import csv
import os
from collections import namedtuple

import numpy as np

from mrlayers import metrics
from mrlayers.checks import refusal, require_choice
from zoo.export.binary import cases_in, from_bin, require_folders
from zoo.files import reader, written_whole

KINDS = {
    "reconstruction": "folder `label`: images as the first output has them",
    "segmentation": "folder `label`: the class of each pixel; the first output holds the logits",
    "registration": "folders `label_src` and `label_tgt`: label maps; the second output holds the displacement",
}
DEFINITIONS = {
    "PSNR": "20 log10((max - min) / root of the mean squared error) of magnitudes, the published one, dB",
    "NMSE": "sum of squared errors over sum of squares, of magnitudes, the published one",
    "Dice": "2 |A and B| / (|A| + |B|) for each label, those that neither has left out; the mean and the deviation are over all of them",
}

Case = namedtuple("Case", "name here device difference")
Case.__doc__ = """Of one case: dicts from a metric to its values, of the frozen graph run here and of the device, and the largest difference
of their outputs, relative to the largest value; the last two are `None` without a device."""


def compare(path, folder, device=None, kind=None, labels=None):
    """Scores a frozen graph, and the results of a device, on the cases of `to_bin`.

    Args:
        path: the frozen graph.
        folder: holds a folder of `.bin` files for each input of the graph, and of the truth, see `KINDS`.
        device: folder of a device's results, `case_output_0.bin` and so on as `msame` writes them, or `case_0.bin`. `None`: none.
        kind: one of `KINDS`. `None`: what the names of the inputs say, `feature` for a reconstruction, `input_src` for a
            registration, else a segmentation.
        labels: which labels count for Dice. `None`: all but 0 that either map has.

    Returns:
        list of `Case`.

    Raises:
        FileNotFoundError: no such graph.
        ValueError: a graph of another model, files that are missing or have another size, an unknown kind.
    """
    tools = reader("zoo.npu.frozen", "tensorflow", path)
    definition = tools.read(path)
    inputs, outputs = tools.signature(definition)
    for name, shape, _ in inputs + outputs:
        if None in shape:
            received = "%s with %s" % (name, shape)
            raise refusal(
                "`path` must have inputs and outputs of known size", received, "`zoo.export.freeze`, which fixes them"
            )
    names = [name for name, _, _ in inputs]
    kind = kind or {"feature": "reconstruction", "input_src": "registration"}.get(names[0], "segmentation")
    require_choice("kind", kind, tuple(KINDS))
    if kind == "registration" and len(outputs) < 2:
        raise refusal("`path` must have the displacement as its second output", "%s with one" % path, "freeze(outputs=None)")
    truths = ["label_src", "label_tgt"] if kind == "registration" else ["label"]
    require_folders(folder, names + truths)
    compared = outputs[1] if kind == "registration" else outputs[0]
    truth_shape = compared[1] if kind == "reconstruction" else compared[1][:-1]

    cases = cases_in(os.path.join(folder, names[0]))
    read = [(name, shape) for name, shape, _ in inputs] + [(name, truth_shape) for name in truths]
    arrays = [from_bin(os.path.join(folder, name), shape, cases) for name, shape in read]
    position = outputs.index(compared)
    results = None
    if device:
        endings = tuple(pattern % position for pattern in ("_output_%d.bin", "_%d.bin"))
        results = from_bin(device, compared[1], cases, endings)

    run, found = tools.runner(definition), []
    for index, case in enumerate(cases):
        truth = [array[index] for array in arrays[len(names) :]]
        here = run({name: array[index] for name, array in zip(names, arrays)})[compared[0]]
        there = None if results is None else results[index]
        scores = [None if output is None else score(kind, output, truth, labels) for output in (here, there)]
        difference = None if there is None else float(np.abs(there - here).max() / max(np.abs(here).max(), 1e-30))
        found.append(Case(case, scores[0], scores[1], difference))
    return found


def score(kind, output, truth, labels=None):
    """A dict from the name of a metric to a list of values: of one output, whose first axis is the batch."""
    if kind == "reconstruction":
        pairs = metrics.psnr(truth[0], output, "magnitude-range"), metrics.nmse(truth[0], output, "magnitude")
        return {name: np.ravel(values).tolist() for name, values in zip(("PSNR", "NMSE"), pairs)}
    found = []
    for index, field in enumerate(output):
        if kind == "registration":
            maps = _nearest(truth[0][index], field), truth[1][index]
        else:
            maps = field.argmax(axis=-1), truth[0][index]
        maps = [np.rint(one).astype("int64") for one in maps]
        counted = sorted(set(np.unique(maps[0])).union(np.unique(maps[1])) - {0}) if labels is None else labels
        found += metrics.dice(maps[0], maps[1], [int(label) for label in counted]).tolist()
    return {"Dice": found}


def _nearest(labels, displacement):
    """`labels` at the voxel nearest to where the displacement points to, the edge repeated beyond the volume."""
    grid = np.stack(np.meshgrid(*map(np.arange, labels.shape), indexing="ij"), axis=-1)
    where = np.clip(np.rint(grid + displacement), 0, np.array(labels.shape) - 1).astype("intp")
    return labels[tuple(np.moveaxis(where, -1, 0))]


def report(cases):
    """The published report as text: every case, then mean and population standard deviation."""
    device = cases[0].device is not None
    columns = [("frozen graph", "here")] + ([("device", "device")] if device else [])
    lines = []
    for metric in cases[0].here:
        lines.append(
            "%-24s" % metric + "".join("%24s" % title for title, _ in columns) + ("%24s" % "difference" if device else "")
        )
        for case in cases:
            cells = ["%24.6g" % _mean(getattr(case, column)[metric]) for _, column in columns]
            lines.append("%-24s" % case.name + "".join(cells) + ("%24.2g" % case.difference if device else ""))
        pooled = [[value for case in cases for value in getattr(case, column)[metric]] for _, column in columns]
        lines.append("%-24s" % "mean" + "".join("%24s" % ("%.6g (%.3g)" % (_mean(x), float(np.nanstd(x)))) for x in pooled))
    return "\n".join(lines + ["%s: %s" % (metric, DEFINITIONS[metric]) for metric in cases[0].here])


def write_csv(path, cases):
    """One line for each metric of each case: case, metric, frozen graph, device, difference, definition."""
    with written_whole(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["case", "metric", "frozen graph", "device", "difference", "definition"])
        for case in cases:
            for metric, values in case.here.items():
                there = "" if case.device is None else "%.8g" % _mean(case.device[metric])
                difference = "" if case.difference is None else "%.3g" % case.difference
                writer.writerow([case.name, metric, "%.8g" % _mean(values), there, difference, DEFINITIONS[metric]])


def _mean(values):
    return float(np.nanmean(values)) if len(values) and np.isfinite(values).any() else float("nan")
