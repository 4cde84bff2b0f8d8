"""Scores, tables, figures and films of reconstructed series, by frame and by series."""

import csv
import os

import numpy as np

from mrlayers import metrics
from zoo.cascade.evaluation import panels, score
from zoo.files import installed, written_whole

WHOLE = "PSNR of the series (complex-max)"


def score_series(truth, image):
    """A dict from the name of a metric to values: those of frames `(n, time)`, and `WHOLE`, one for each series, `(n,)`.

    The PSNR of a series takes the largest magnitude and the mean error of all its frames, as `complex_psnr` of
    js3611/Deep-MRI-Reconstruction does.
    """
    scores = score(truth, image)
    flat = [np.reshape(series, (len(series), -1, series.shape[-1])) for series in (truth, image)]
    scores[WHOLE] = metrics.psnr(*flat, definition="complex-max")
    return scores


def report(truth, zero_filled, reconstruction):
    """A text table: mean and standard deviation, over all frames and over the series, before and after."""
    before, after = score_series(truth, zero_filled), score_series(truth, reconstruction)
    title = "{} series of {} frames".format(*truth.shape[:2])
    lines = ["{:<34}{:>20}{:>20}".format(title, "zero-filled", "reconstruction")]
    for name in before:
        cells = ["{:.4g} +- {:.2g}".format(values.mean(), values.std()) for values in (before[name], after[name])]
        lines.append("{:<34}{:>20}{:>20}".format(name, *cells))
    gain = (after[WHOLE] - before[WHOLE]).mean()
    lines.append("{} {:.2f} dB over zero-filled".format("Gains" if gain >= 0 else "Loses", abs(gain)))
    return "\n".join(lines)


def write_results(folder, truth, zero_filled, reconstruction, name, title):
    """Writes `name.csv` with all scores, `name.png` and `name.gif` of the first series; returns what was written, to read."""
    write_csv(os.path.join(folder, name + ".csv"), truth, zero_filled, reconstruction)
    written = [name + ".csv"]
    first = truth[0], zero_filled[0], reconstruction[0]
    if installed("matplotlib"):
        draw(os.path.join(folder, name + ".png"), *first, title=title)
        written.append(name + ".png")
    write_film(os.path.join(folder, name + ".gif"), *first)
    text = "{} in {}".format(", ".join(written + [name + ".gif"]), folder)
    return text if installed("matplotlib") else text + "; no figure without matplotlib: `pip install mrlayers[plots]`"


def write_csv(path, truth, zero_filled, reconstruction):
    """A line for each frame, with all metrics before and after, and one for each series, whose frame is `all`."""
    before, after = score_series(truth, zero_filled), score_series(truth, reconstruction)
    whole = before.pop(WHOLE), after.pop(WHOLE)
    columns = ["{}, {}".format(name, what) for name in before for what in ("zero-filled", "reconstruction")]
    first = list(before).index("PSNR (complex-max)")
    with written_whole(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["series", "frame"] + columns)
        for series, frame in np.ndindex(truth.shape[:2]):
            values = [scores[name][series, frame] for name in before for scores in (before, after)]
            writer.writerow([series, frame] + ["{:.6g}".format(value) for value in values])
        for series in range(len(truth)):
            values = [scores[name][series].mean() for name in before for scores in (before, after)]
            values[2 * first : 2 * first + 2] = whole[0][series], whole[1][series]
            writer.writerow([series, "all"] + ["{:.6g}".format(value) for value in values])


def moving_column(series):
    """Index along the width where magnitudes change most over time."""
    return int(np.argmax(np.abs(series).std(axis=0).sum(axis=0)))


def draw(path, truth, zero_filled, reconstruction, title=""):
    """Writes a figure of one series `(time, height, width)`: a frame, and what the column that moves most does over time."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    frames, height, width = truth.shape
    column = moving_column(truth)
    figure = Figure(figsize=(10.4, 1.2 + 2.6 * (height / width + 0.7)), constrained_layout=True)
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 4, gridspec_kw={"height_ratios": [height / width, 0.7]})
    psnr = [
        "{:.2f} dB".format(metrics.psnr(truth.reshape(-1, width), other.reshape(-1, width)))
        for other in (zero_filled, reconstruction)
    ]
    labels = ["truth", "zero-filled, " + psnr[0], "reconstruction, " + psnr[1], "5 x error"]
    for axis, below, array, label in zip(axes[0], axes[1], panels(truth, zero_filled, reconstruction), labels):
        axis.imshow(array[0], cmap="gray", vmin=0, vmax=1)
        axis.axvline(column, color="tab:orange", linewidth=0.8, linestyle=":")
        axis.set_title(label, fontsize=10)
        below.imshow(array[:, :, column].T, cmap="gray", vmin=0, vmax=1, aspect="auto", extent=(0.5, frames + 0.5, height, 0))
        for each in (axis, below):
            each.set_xticks([])
            each.set_yticks([])
    axes[1][0].set_xlabel("{} frames".format(frames), fontsize=9)
    axes[1][0].set_ylabel("the dotted column", fontsize=9)
    figure.suptitle(title, fontsize=10)
    with written_whole(path) as temporary:
        figure.savefig(temporary, dpi=90)


def write_film(path, truth, zero_filled, reconstruction, seconds=1.5):
    """Writes a GIF that runs through the frames again and again: truth, zero-filled, reconstruction, error fivefold.

    Args:
        path: name of the file.
        truth, zero_filled, reconstruction: complex `(time, height, width)`; `truth=None` where there is none.
        seconds: of one run.
    """
    from PIL import Image

    if truth is None:
        peak = np.abs(reconstruction).max() or 1.0
        shown = [np.clip(np.abs(series) / peak, 0, 1) for series in (zero_filled, reconstruction)]
    else:
        shown = panels(truth, zero_filled, reconstruction)
    film = np.uint8(255 * np.concatenate(shown, axis=2))
    enlarged = max(1, 160 // film.shape[1])
    pages = [Image.fromarray(page.repeat(enlarged, axis=0).repeat(enlarged, axis=1)) for page in film]
    with written_whole(path) as temporary:
        pages[0].save(temporary, save_all=True, append_images=pages[1:], duration=int(1000 * seconds / len(pages)), loop=0)
