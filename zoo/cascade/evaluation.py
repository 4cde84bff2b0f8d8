"""Scores, tables and figures of reconstructions, each metric with the name of its definition."""

import csv
import os

import numpy as np

from mrlayers import metrics
from mrlayers.complexes import to_complex
from zoo.files import installed, written_whole

METRICS = [("PSNR", metrics.psnr, "complex-max"), ("NMSE", metrics.nmse, "magnitude"), ("SSIM", metrics.ssim, "magnitude-max")]


def reconstruct(model, batches):
    """Complex `(truth, zero_filled, reconstruction)`, each `(n, [time,] height, width)`, of all batches of epoch 0."""
    results = [(target, inputs["image"], model.predict_on_batch(inputs)) for inputs, target in batches.epoch(0)]
    return tuple(to_complex(np.concatenate(arrays)) for arrays in zip(*results))


def score(truth, image):
    """A dict from `"PSNR (complex-max)"` and so on to one value for each image."""
    return {"{} ({})".format(name, definition): function(truth, image, definition) for name, function, definition in METRICS}


def report(truth, zero_filled, reconstruction):
    """A text table: mean and standard deviation over the images, before and after."""
    before, after = score(truth, zero_filled), score(truth, reconstruction)
    lines = ["{:<20}{:>22}{:>22}".format("{} images".format(len(truth)), "zero-filled", "reconstruction")]
    for name in before:
        cells = ["{:.4g} +- {:.2g}".format(values.mean(), values.std()) for values in (before[name], after[name])]
        lines.append("{:<20}{:>22}{:>22}".format(name, *cells))
    return "\n".join(lines)


def write_results(folder, truth, zero_filled, reconstruction, name, title):
    """Writes `name.csv` with all scores and `name.png` with the first image; returns what was written, for people to read."""
    write_csv(os.path.join(folder, name + ".csv"), truth, zero_filled, reconstruction)
    if not installed("matplotlib"):
        return "{}.csv is in {}; no figure without matplotlib: `pip install mrlayers[plots]`".format(name, folder)
    draw(os.path.join(folder, name + ".png"), truth[0], zero_filled[0], reconstruction[0], title)
    return "{0}.csv and {0}.png are in {1}".format(name, folder)


def write_csv(path, truth, zero_filled, reconstruction):
    """One line for each image: its index and every metric before and after."""
    before, after = score(truth, zero_filled), score(truth, reconstruction)
    with written_whole(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["image"] + ["{}, {}".format(name, what) for name in before for what in ("zero-filled", "reconstruction")]
        )
        for index in range(len(truth)):
            values = [scores[name][index] for name in before for scores in (before, after)]
            writer.writerow([index] + ["{:.6g}".format(value) for value in values])


def picture(truth, zero_filled, reconstruction):
    """One image as `uint8` `(height, 4 * width)` for TensorBoard: truth, zero-filled, reconstruction, five times its error."""
    return np.uint8(255 * np.concatenate(panels(truth, zero_filled, reconstruction), axis=1))


def panels(truth, zero_filled, reconstruction):
    """Magnitudes and the error fivefold, of the peak of the truth, in 0..1: four arrays like `truth`."""
    peak = np.abs(truth).max()
    shown = [np.abs(truth), np.abs(zero_filled), np.abs(reconstruction), 5 * np.abs(reconstruction - truth)]
    return [np.clip(array / peak, 0, 1) for array in shown]


def draw(path, truth, zero_filled, reconstruction, title=""):
    """Writes a figure of one image: magnitudes in the first row, both errors on one colour scale in the second."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height, width = truth.shape
    figure = Figure(figsize=(9.6, 1.0 + 5.6 * height / width), constrained_layout=True)
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 3)
    peak = np.abs(truth).max()
    psnr = [metrics.psnr(truth, image, "complex-max") for image in (zero_filled, reconstruction)]
    panels = [
        (truth, "ground truth"),
        (zero_filled, "zero-filled, {:.2f} dB".format(float(psnr[0]))),
        (reconstruction, "reconstruction, {:.2f} dB".format(float(psnr[1]))),
    ]
    for axis, (image, label) in zip(axes[0], panels):
        axis.imshow(np.abs(image), cmap="gray", vmin=0, vmax=peak)
        axis.set_title(label, fontsize=10)
    errors = [np.abs(image - truth) / peak for image in (zero_filled, reconstruction)]
    scale = np.percentile(errors[0], 99.5)
    for axis, error, label in zip(axes[1, 1:], errors, ["error, zero-filled", "error, reconstruction"]):
        shown = axis.imshow(error, cmap="inferno", vmin=0, vmax=scale)
        axis.set_title(label, fontsize=10)
    axes[1, 0].text(0.0, 0.5, title, fontsize=10, verticalalignment="center")
    bar = figure.colorbar(shown, ax=list(axes[1, 1:]), fraction=0.05)
    bar.set_label("|error| / largest magnitude")
    for axis in axes.flat:
        axis.axis("off")
    with written_whole(path) as temporary:
        figure.savefig(temporary, dpi=90)
