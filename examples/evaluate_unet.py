"""Scores a trained U-Net on images with known masks: Dice, IoU, pixel and Rand error by named definitions; a table, a CSV, a figure.

Takes seconds on two CPU cores without --data: it then makes pictures of cells that no training run has seen.

    python examples/evaluate_unet.py --weights outputs/unet/best.npz
    python examples/evaluate_unet.py --weights outputs/unet/best.npz --data "test/*.png" --labels "masks/*.png"
    python examples/evaluate_unet.py --weights outputs/unet/last.npz --data isbi2012 --fold 0

scores.csv has a line for each number of each image, with its definition.
"""

import argparse

from mrlayers.checks import refusal
from zoo.runs import errors_in_words, require_folder
from zoo.unet import evaluation
from zoo.unet.cells import random_cells
from zoo.unet.folds import split_fold
from zoo.unet.reading import load_examples, make_examples
from zoo.unet.segmenter import Segmenter


def main():
    parser = arguments()
    options = parser.parse_args()
    with errors_in_words(parser):
        evaluate(options)


def evaluate(options):
    require_folder("--output", options.output)
    segmenter = Segmenter(options.weights)
    classes, ndim = segmenter.settings["num_classes"], segmenter.settings["ndim"]
    if options.data:
        examples = load_examples(options.data, options.labels, classes, ndim)
        if options.fold is not None:
            count = len(examples.images)
            examples = examples.select(split_fold(count, options.fold, options.folds, 0, options.fold_rule)[1])
    elif ndim == 3 or classes != 2 or options.labels or options.fold is not None:
        raise refusal(
            "`--data` must be given with `--labels` or `--fold`, and for networks other than of cells", "none", "--data"
        )
    else:
        examples = make_examples(*random_cells(8, (192, 192), seed=2**31))
    scores, shown = evaluation.evaluate(segmenter, examples, options.tile, log=print)
    print(evaluation.report(scores))
    print(evaluation.write_results(options.output, scores, examples.images[0], examples.labels[0], shown, "scores"))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--weights", required=True, help="best.npz or last.npz of a run of train_unet.py")
    add("--data", help="ISBI's folder, an .npz, or images: a folder, a pattern in quotes, a list in a .txt (default: cells)")
    add("--labels", help="their masks, likewise, paired by name")
    add("--fold", type=int, help="only the images that this fold held out (default: all)")
    add("--folds", type=int, default=5, help="number of folds (default: %(default)s)")
    add("--fold-rule", choices=("partition", "nvidia"), default="partition", help="as in training (default: %(default)s)")
    add("--tile", type=int, help="predict in tiles of this side (default: whole where memory allows)")
    add("--output", default="outputs/segmentation", help="folder for scores.csv and a figure (default: %(default)s)")
    return parser


if __name__ == "__main__":
    main()
