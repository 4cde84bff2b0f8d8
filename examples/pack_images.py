"""Packs a folder of images into the HDF5 that ModelZoo's cascade trains on, all with one and the same sampling mask.

    python examples/pack_images.py --images chest_train --output train.hdf5 --acceleration 3 --center-lines 8 --seed 0
    python examples/pack_images.py --images chest_test --output test.hdf5

The first command draws the mask and keeps it in `mask.hdf5` beside the output; the second finds it there and uses it again, so
that training and test share it. Without `--images` it packs phantoms. 1200 images of 256x256 take about 12 seconds on two CPU
cores. The brightest pixel of the folder becomes 255, which leaves 8-bit images that reach 255 as they are.

To train with a new random mask for each image, as one should, `train_cascade.py` takes the folder itself: nothing to pack.
"""

import argparse
import os

import numpy as np

from mrlayers import sampling
from zoo.cascade import phantoms
from zoo.cascade.packed import load_mask, write_mask, write_packed
from zoo.images import load_images
from zoo.runs import errors_in_words


def main(arguments=None):
    parser = _parser()
    options = parser.parse_args(arguments)
    with errors_in_words(parser):
        pack(options)


def pack(options):
    images = load_images(options.images) if options.images else phantoms.random_phantoms(64, (256, 256), options.seed)
    shape = images.shape[1:]
    if options.image_size and shape != (options.image_size,) * 2:
        raise ValueError(
            "`--image-size` must be the height and the width of all images. Received: %d for images of %dx%d. Try cropping them."
            % ((options.image_size,) + shape)
        )
    mask_path = options.mask or os.path.join(os.path.dirname(options.output), "mask.hdf5")
    if os.path.abspath(mask_path) == os.path.abspath(options.output):
        raise ValueError("`--mask` must be another file than `--output`. Received: %s for both. Try mask.hdf5." % mask_path)
    mask = sampling.cartesian_mask(shape, options.acceleration, options.center_lines, seed=options.seed)
    reused = os.path.exists(mask_path)
    if reused:
        mask = _stored_mask(mask_path, shape, instead_of=mask)
    plane = np.broadcast_to(mask[..., 0], shape)
    if not reused:
        write_mask(mask_path, plane)
    try:
        write_packed(options.output, np.rint(255 * np.abs(images)).astype(np.uint8), plane)
    except Exception:
        if not reused:  # the next training set shall draw its own
            os.remove(mask_path)
        raise
    print("%s: %d images of %dx%d" % ((options.output, len(images)) + shape))
    print("%s (%s): %s" % (mask_path, "used again" if reused else "new", sampling.describe_mask(mask)))


def _stored_mask(path, shape, instead_of):
    mask = load_mask(path)
    if mask.ndim != 3 or mask.shape[0] not in (1, shape[0]) or mask.shape[1] not in (1, shape[1]):
        raise ValueError(
            "`--mask` must hold one mask for images of %dx%d. Received: %s with shape %s. Try another name to draw a new one."
            % (shape + (path, mask.shape))
        )
    if sampling.describe_mask(mask).order == "centered":
        raise ValueError(
            "`--mask` must have zero frequency at index 0. Received: %s, with the middle. Try numpy.fft.ifftshift(mask)." % path
        )
    if abs(mask.mean() / instead_of.mean() - 1) > 0.05:
        raise ValueError(
            "`--mask` must measure as much as `--acceleration` asks for. Received: %s, %.1f %% of k-space instead of %.1f %%. "
            "Try --acceleration %.3g, or another name to draw a new one."
            % (path, 100 * mask.mean(), 100 * instead_of.mean(), 1 / mask.mean())
        )
    return mask


def _parser():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", metavar="FOLDER", help="anything load_images reads; default: 64 phantoms of 256x256")
    parser.add_argument("--output", default=os.path.join("outputs", "train.hdf5"), help="HDF5 to write; default: %(default)s")
    parser.add_argument(
        "--mask", help="HDF5 of the mask: read if it exists, else written; default: mask.hdf5 beside the output"
    )
    parser.add_argument(
        "--acceleration", type=float, default=3, help="of a new mask, and about that of an old one; %(default)s"
    )
    parser.add_argument("--center-lines", type=int, default=8, help="of a new mask; default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of a new mask and of the phantoms; default: %(default)s")
    parser.add_argument("--image-size", type=int, help="refuse images that are not as high and as wide; default: any")
    return parser


if __name__ == "__main__":
    main()
