"""Segmentations to files: TIFFs of many pages, PNG, and volumes on the grid they came from. No Keras here."""

import os

import numpy as np

from mrlayers.checks import refusal
from zoo.files import reader, written_whole
from zoo.paths import find_files
from zoo.unet.reading import SUFFIXES, read_images
from zoo.volumes import SPATIAL, write_volume

TIFF = (".tif", ".tiff")
PICTURE = TIFF + (".png",)


def plan_outputs(images, output):
    """Pairs of input and output files, before anything is computed.

    Args:
        images: anything `zoo.paths.find_files` takes.
        output: file, for one input; else a folder, in which pictures become `.tif` and volumes keep their ending.

    Returns:
        list of `(input, output)`.

    Raises:
        FileNotFoundError: no such image.
        ValueError: an ending that does not fit the input's, or two inputs of one name.
    """
    inputs = find_files(images, SUFFIXES)
    if len(inputs) == 1 and output.lower().endswith(PICTURE + SPATIAL):
        outputs = [output]
    else:
        outputs = [os.path.join(output, _output_name(path)) for path in inputs]
    for path, written in zip(inputs, outputs):
        endings = SPATIAL if path.lower().endswith(SPATIAL) else PICTURE
        if not written.lower().endswith(endings):
            raise refusal("`output` for %s must end in one of %s" % (path, " ".join(endings)), written, "output" + endings[0])
        if outputs.count(written) > 1:
            raise refusal("`images` must have different names", "two that become %s" % written, "one folder after the other")
        if os.path.exists(written) and os.path.samefile(path, written):
            raise refusal("`output` must not be the image itself", written, "another name")
    return list(zip(inputs, outputs))


def write_like(path, image_path, arrays, ndim):
    """Writes what was found of the images in one file: `arrays` in their order, integers or float32, in the size of the images.

    Volumes go onto the grid of `image_path`, with its affine. A `.png` holds one page of 8 or 16 bits.
    """
    if image_path.lower().endswith(SPATIAL):
        volume = read_images(image_path, ndim)[1]
        array = arrays[0] if ndim == volume.array.ndim else np.stack(arrays, axis=2)
        return write_volume(path, array, like=volume)
    pages = [page for array in arrays for page in (array if ndim == 3 else [array])]
    write_pages(path, pages)


def write_pages(path, pages):
    """Writes arrays `(height, width)` as the pages of a TIFF, or the only one as PNG; the file appears whole or not at all.

    Integers become 8 or 16 bits; floats are kept as float32 in a TIFF, and stretched from 0..1 to 8 bits in a PNG.
    """
    pillow = reader("PIL.Image", "pillow", path)
    png = path.lower().endswith(".png")
    if png and len(pages) != 1:
        raise refusal("`path` must be a TIFF for %d pages" % len(pages), path, os.path.splitext(path)[0] + ".tif")
    pictures = [pillow.fromarray(_stored(np.asarray(page), png)) for page in pages]
    options = {} if png else {"save_all": True, "append_images": pictures[1:], "compression": "tiff_adobe_deflate"}
    with written_whole(path) as temporary:
        pictures[0].save(temporary, **options)


def _stored(page, png):
    if page.dtype.kind == "f":
        return np.uint8(np.rint(255 * np.clip(page, 0, 1))) if png else page.astype(np.float32)
    return page.astype(np.uint8 if page.max() < 256 else np.uint16)


def _output_name(path):
    name = os.path.basename(path)
    return name if name.lower().endswith(SPATIAL) else os.path.splitext(name)[0] + ".tif"
