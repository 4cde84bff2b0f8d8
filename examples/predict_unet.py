"""Segments images of any size with a trained U-Net, and writes masks in the size and on the grid of the images.

    python examples/predict_unet.py --weights outputs/unet/best.npz --images test-volume.tif --output test-masks.tif
    python examples/predict_unet.py --weights outputs/unet/best.npz --images scan.nii.gz --output mask.nii.gz
    python examples/predict_unet.py --weights outputs/unet/best.npz --images "pictures/*.png" --output masks
    python examples/predict_unet.py --weights outputs/unet/best.npz --images huge.tif --output membrane.tif --probability 0 --tile 512

Pages of a TIFF and slices of a volume are segmented one after the other by networks in 2-D. Two classes are written as 0 and
255, like the masks of ISBI 2012, unless --coding is classes; more are written as 0 to classes - 1.
"""

import argparse

import numpy as np

from mrlayers.backend import keras
from mrlayers.checks import refusal
from zoo.runs import errors_in_words, require_folder
from zoo.unet.reading import read_images
from zoo.unet.segmenter import Segmenter
from zoo.unet.writing import plan_outputs, write_like


def main():
    parser = arguments()
    options = parser.parse_args()
    with errors_in_words(parser):
        predict(options)


def predict(options):
    plan = plan_outputs(options.images, options.output)
    for _, output in plan:
        require_folder("--output", output.replace("\\", "/").rpartition("/")[0] or ".")
    segmenter = Segmenter(options.weights)
    classes, ndim = segmenter.settings["num_classes"], segmenter.settings["ndim"]
    if options.probability is not None and not 0 <= options.probability < classes:
        expected = "`--probability` must be a class of the network, 0 to {}".format(classes - 1)
        raise refusal(expected, options.probability, "--probability 1")
    for path, output in plan:
        images = read_images(path, ndim)[0]
        print("{}: {} of {}".format(path, len(images), "x".join(map(str, images[0].shape[:-1]))))
        bar = keras.utils.Progbar(len(images))
        found = []
        for index, image in enumerate(images):

            def progress(done, total):
                bar.update(min(index + done / total, len(images)))

            probabilities = segmenter.predict(image, options.tile, progress)
            found.append(wanted(probabilities, options))
            bar.update(index + 1)
        write_like(output, path, found, ndim)
        print("{} written".format(output))


def wanted(probabilities, options):
    """What is kept of one image: a class for every pixel, or the probability of one class."""
    if options.probability is not None:
        return np.ascontiguousarray(probabilities[..., options.probability])
    classes = probabilities.argmax(axis=-1).astype("uint8" if probabilities.shape[-1] <= 256 else "uint16")
    binary = probabilities.shape[-1] == 2 and options.coding == "255"
    return classes * np.uint8(255) if binary else classes


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--weights", required=True, help="best.npz or last.npz of a run of train_unet.py")
    add("--images", required=True, help="PNG, BMP, TIFF, NIfTI or MGZ: a file, a folder, a pattern in quotes, a list in a .txt")
    add("--output", required=True, help="file, .tif, .png or .nii.gz; for several images a folder")
    add("--probability", type=int, help="write the probability of this class instead of masks (default: masks)")
    add(
        "--coding",
        choices=("255", "classes"),
        default="255",
        help="of masks with two classes: 0 and 255, or 0 and 1 (default: 255)",
    )
    add(
        "--tile",
        type=int,
        help="predict in tiles of this side (default: whole up to 1024x1024 or 160x160x160, else 512 or 128)",
    )
    return parser


if __name__ == "__main__":
    main()
