"""Scores a trained cascade on images: a table with mean and spread, a CSV line for each image, and a figure of the first.

Takes seconds for a few images on two CPU cores. Without `--data` it makes phantoms that no training run has seen.

    python examples/evaluate_cascade.py --weights outputs/cascade/best.npz
    python examples/evaluate_cascade.py --weights d5_c5.npz --data test.hdf5 --acceleration 4
"""

import argparse
import os

from mrlayers import sampling
from zoo import training
from zoo.cascade import data, deep_cascade, evaluation, load_published, phantoms
from zoo.files import make_folder, read_arrays
from zoo.images import crop, load_images
from zoo.runs import errors_in_words, read_arguments

ARCHITECTURE = {"cascades": 5, "convolutions": 5, "filters": 64}


def main():
    parser = arguments()
    options = parser.parse_args()
    with errors_in_words(parser):
        evaluate(options)


def evaluate(options):
    architecture, published = architecture_of(options)
    if options.data is None:
        size = options.image_size or 128
        images = phantoms.random_phantoms(16, (size, size), seed=2**31)
    else:
        images = crop(load_images(options.data), options.image_size)
    mask = data.lines_of_images(images.shape[1:], options.acceleration, options.center_lines, options.mask)
    batches = data.UndersampledImages(images, mask, batch_size=options.batch_size, seed=options.seed, shuffle=False)
    model = deep_cascade(
        images.shape[1:], batches.mask_shape, architecture["cascades"], architecture["convolutions"], architecture["filters"]
    )
    (load_published if published else training.load_weights)(model, options.weights)
    make_folder(options.output)
    print(sampling.describe_mask(mask(seed=0)))
    results = evaluation.reconstruct(model, batches)
    print(evaluation.report(*results))
    title = "{}\nacceleration {:.3g}".format(
        os.path.basename(options.weights), sampling.describe_mask(mask(seed=0)).acceleration
    )
    print(evaluation.write_results(options.output, *results, name="scores", title=title))


def architecture_of(options):
    """Sizes of the network, from the flags, else from the run the weights lie in, else the paper's; and whose file it is."""
    known = dict(ARCHITECTURE)
    known.update((name, value) for name, value in read_arguments(options.weights).items() if name in ARCHITECTURE)
    known.update((name, vars(options)[name]) for name in ARCHITECTURE if vars(options)[name] is not None)
    return known, "arr_0" in read_arrays(options.weights)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--weights", required=True, help="best.npz or last.npz of a run, or the authors' d5_c5.npz")
    add("--data", help="images: HDF5 with `label`, .npz, .npy, NIfTI, or a folder of PNG, BMP or TIFF (default: phantoms)")
    add("--acceleration", type=float, default=4.0, help="lines in an image over lines measured (default: %(default)s)")
    add("--mask", help="HDF5 with `mask`: use this one mask for all images (default: a new one for each)")
    add(
        "--center-lines",
        type=int,
        default=8,
        help="lines around zero frequency that are always measured (default: %(default)s)",
    )
    add("--cascades", type=int, help="blocks in a row (default: those of the run, else 5)")
    add("--convolutions", type=int, help="convolutions in a block (default: those of the run, else 5)")
    add("--filters", type=int, help="channels in a block (default: those of the run, else 64)")
    add("--batch-size", type=int, default=4, help="images at once (default: %(default)s)")
    add("--image-size", type=int, help="side of the phantoms (128), or crop the images to it")
    add("--output", default="outputs/evaluation", help="folder for scores.csv and scores.png (default: %(default)s)")
    add("--seed", type=int, default=0, help="of the masks (default: %(default)s)")
    return parser


if __name__ == "__main__":
    main()
