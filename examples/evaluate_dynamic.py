"""Scores trained networks on series: a table, a CSV line for each frame and each series, a figure and a film of the first.

Takes seconds to a minute for a few series on two CPU cores. Without `--data` it makes phantoms that no training run has seen.

    python examples/evaluate_dynamic.py --weights outputs/dynamic-sharing/best.npz
    python examples/evaluate_dynamic.py --weights crnn_mri_d5_c5.pth --data cine.npz --axes hwt --acceleration 4
"""

import argparse

from mrlayers import sampling
from mrlayers.checks import require_integer
from zoo.cascade import data, evaluation, series_evaluation
from zoo.cascade.hearts import random_hearts
from zoo.cascade.series import load_series
from zoo.cascade.trained import settings_of, trained_series_network
from zoo.runs import errors_in_words, require_folder


def main():
    parser = arguments()
    options = parser.parse_args()
    with errors_in_words(parser):
        evaluate(options)


def evaluate(options):
    if not 0 < options.peak < float("inf"):
        raise ValueError("`--peak` must be above 0 and finite. Received: {}. Try 1.".format(options.peak))
    if options.frames is not None:
        require_integer("--frames", options.frames, 1)
    require_folder("--output", options.output)
    settings = settings_of(options.weights)
    if options.data is None:
        series = random_hearts(8, (options.frames or 16, 64, 64), seed=2**31)
    else:
        series = load_series(options.data, options.key, options.axes)[:, : options.frames]
    mask = data.lines_of_frames(options.pattern, series.shape[1:], options.acceleration, options.center_lines)
    batches = data.UndersampledImages(
        options.peak * series, mask, 1, options.seed, shuffle=False, noise_level=options.noise_level
    )
    model = trained_series_network(options.weights, series.shape[1:], batches.mask_shape)
    print("{}, {}".format(settings["model"], sampling.describe_mask(mask(seed=0))))
    results = evaluation.reconstruct(model, batches)
    print(series_evaluation.report(*results))
    title = "{}, first series, acceleration {:g}".format(settings["model"], options.acceleration)
    print(series_evaluation.write_results(options.output, *results, name="scores", title=title))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--weights", required=True, help="best.npz or last.npz of a run, or the authors' crnn_mri_d5_c5.pth or d5_c5.npz")
    add("--data", help="series: .npz, .npy, .mat, HDF5 or 4-D NIfTI (default: phantoms)")
    add("--key", help="name of the array in a file that names them (default: the only one of three or more axes)")
    add(
        "--axes",
        help="a letter for each axis of the array: n series, t time, h height (phase encoding), w width, c (real, imaginary)",
    )
    add("--frames", type=int, help="use only the first frames, or make phantoms of so many (16)")
    add("--acceleration", type=float, default=6.0, help="lines in a frame over lines measured (default: %(default)s)")
    add(
        "--pattern",
        choices=data.PATTERNS,
        default="random",
        help="of the lines: drawn for each frame, or a lattice that moves up",
    )
    add(
        "--center-lines",
        type=int,
        default=4,
        help="lines around zero frequency that are always measured (default: %(default)s)",
    )
    add(
        "--noise-level",
        type=float,
        default=0.0,
        help="of k-space, as a fraction of the peak of an image (default: %(default)s)",
    )
    add(
        "--peak",
        type=float,
        default=1.0,
        help="largest magnitude that the network is to see (default: %(default)s, that of training; the authors' CRNN-MRI: 4)",
    )
    add("--output", default="outputs/dynamic-evaluation", help="folder for scores.csv, .png and .gif (default: %(default)s)")
    add("--seed", type=int, default=0, help="of the masks (default: %(default)s)")
    return parser


if __name__ == "__main__":
    main()
