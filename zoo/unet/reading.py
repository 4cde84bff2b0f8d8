"""Images and their labels from files, checked against each other. No Keras here.

An image is float32 `(height, width, channels)` or `(x, y, z, channels)` in 0..1; its labels are uint8 (uint16 from 257 classes
on) of the same shape without the channels, class by class from 0 to `num_classes - 1`.
"""

import collections
import os

import numpy as np
import scipy.ndimage

from mrlayers.checks import refusal, require_choice, require_integer
from zoo.files import existing, reader
from zoo.grids import match_grid
from zoo.images import GREY_MODES, PICTURES
from zoo.paths import find_files, pair_by_name
from zoo.unet.coding import to_classes
from zoo.volumes import SPATIAL, read_labels, read_volume, scale_intensity

SUFFIXES = PICTURES + SPATIAL
ISBI = ("train-volume.tif", "train-labels.tif")
OVER_WHOLE_PIXELS = dict(mode="nearest", grid_mode=True)  # for `scipy.ndimage.zoom`
IMAGE_KEYS, LABEL_KEYS = ("image", "images", "vol"), ("label", "labels", "mask", "masks", "seg")


class Examples(collections.namedtuple("Examples", "images labels num_classes names")):
    """Images with their labels; `examples.select(indices)` are some of them.

    Attributes:
        images: List of float32 `(height, width, channels)` or `(x, y, z, channels)`, 0..1; sizes may differ.
        labels: List of integer arrays of the same sizes, without channels, from 0 to `num_classes - 1`.
        num_classes: Number of classes, 2 or more.
        names: List of file names, with the page or slice where a file holds several.
    """

    __slots__ = ()

    def select(self, indices):
        """The `Examples` of these indices, in this order, for instance those of `zoo.unet.folds.split_fold`."""
        images, labels, names = ([each[index] for index in indices] for each in (self.images, self.labels, self.names))
        return Examples(images, labels, self.num_classes, names)


def load_examples(images, labels=None, num_classes=None, ndim=2):
    """Reads images and their labels.

    | `images` | `labels` | what is read |
    |---|---|---|
    | folder with ISBI's `train-volume.tif` and `train-labels.tif` | `None` | their pages |
    | `.npz` | `None` | the arrays `image` and `label` (or `images`, `vol`; `labels`, `mask`, `masks`, `seg`) and `names` |
    | anything `zoo.paths.find_files` takes | the same | PNG, BMP, TIFF, NIfTI, MGZ, paired by name |

    For `ndim=2`, every page of a picture and every slice of a volume along its third axis is an image. For `ndim=3`, a volume
    is an image, and so is a TIFF with its pages. Colour is kept, transparency is not. Intensities become 0..1 as by
    `scale_pixels`, file by file, volumes always by their percentiles.

    Labels are coded 0 and 255, or 0 to `num_classes - 1`. In pictures with a palette the number of the colour counts.

    Args:
        images: As above.
        labels: As above.
        num_classes: `None` takes one more than the highest label, and refuses labels with gaps.
        ndim: 2 or 3.

    Returns:
        `Examples`.

    Raises:
        FileNotFoundError: When a file or a folder does not exist.
        ValueError: When a file cannot be read, when images and labels differ in number, size or place in space, or when labels
            have several channels or another coding; the values that were seen are said.

    Warns:
        UserWarning: When labels hold one class only.
    """
    require_choice("ndim", ndim, (2, 3))
    if labels is None:
        if isinstance(images, (str, os.PathLike)) and str(images).lower().endswith(".npz"):
            return _from_npz(existing(images), num_classes, ndim)
        folder = existing(images) if isinstance(images, (str, os.PathLike)) else ""
        absent = [name for name in ISBI if not os.path.exists(os.path.join(folder, name))]
        if not folder or absent:
            expected = "`labels` must be given unless `images` is an .npz or a folder with %s and %s" % ISBI
            raise refusal(expected, "%s alone" % (images,), "labels='folder of masks'")
        images, labels = (os.path.join(folder, name) for name in ISBI)
    image_files, label_files = find_files(images, SUFFIXES), find_files(labels, SUFFIXES)
    if len(image_files) > 1 or len(label_files) > 1:
        label_files = pair_by_name(image_files, label_files)
    pairs = [_read_pair(*files, ndim=ndim) for files in zip(image_files, label_files)]
    all_images, all_labels, names = (sum(each, []) for each in zip(*pairs))
    return make_examples(all_images, all_labels, num_classes, names)


def load_images(images, ndim=2):
    """Reads images without labels, as `load_examples` reads them.

    Args:
        images: Anything `zoo.paths.find_files` takes.
        ndim: 2 or 3.

    Returns:
        `(images, names)`: a list of float32 `(height, width, channels)` or `(x, y, z, channels)`, and one of strings.

    Raises:
        FileNotFoundError: When a file does not exist.
        ValueError: When a file cannot be read.
    """
    require_choice("ndim", ndim, (2, 3))
    files = [(path, read_images(path, ndim)[0]) for path in find_files(images, SUFFIXES)]
    return sum((found for _, found in files), []), sum((_names(path, len(found)) for path, found in files), [])


def make_examples(images, labels, num_classes=None, names=None):
    """`Examples` of arrays, once they have passed the checks of `load_examples`.

    Args:
        images: Array `(n, height, width)`, `(n, height, width, channels)` or the like in 3-D, or a list of arrays whose sizes
            may differ. Floats in 0..1 are taken as they are; anything else is scaled, all of it alike, as by `scale_pixels`.
        labels: As many arrays of the same sizes without channels.
        num_classes: As in `load_examples`.
        names: One for each image; `None` numbers them.

    Returns:
        `Examples`.

    Raises:
        ValueError: As `load_examples`.

    Example:
        >>> examples = make_examples(*random_cells(40, (128, 128)))
    """
    if num_classes is not None:
        require_integer("num_classes", num_classes, 2)
    names = ["%d" % index for index in range(len(images))] if names is None else [str(name) for name in names]
    if not len(images) or not len(images) == len(labels) == len(names):
        received = "%d images, %d labels, %d names" % (len(images), len(labels), len(names))
        raise refusal("`images`, `labels` and `names` must be as many, and at least one", received, "one label for each image")
    if isinstance(images, np.ndarray):
        images = scale_pixels(images)
    images, labels = [np.asarray(image) for image in images], [np.asarray(each) for each in labels]
    for image, label, name in zip(images, labels, names):
        if label.ndim not in (2, 3) or label.shape[-1] <= 4:
            received = "%s with labels of shape %s" % (name, label.shape)
            raise refusal("`labels` must have two or three axes and no channels", received, "labels[..., 0] if they are equal")
        if image.shape != label.shape and image.shape[:-1] != label.shape:
            advice = "one channel of the labels, or to resample them to the nearest pixel"
            received = "%s with shape %s and labels of shape %s" % (name, image.shape, label.shape)
            raise refusal("`labels` must have the size of their image", received, advice)
    images = [
        scale_pixels(image[..., np.newaxis] if image.ndim == label.ndim else image) for image, label in zip(images, labels)
    ]
    if len({(image.ndim, image.shape[-1]) for image in images}) > 1:
        kinds = sorted({"%d-D with %d channels" % (image.ndim - 1, image.shape[-1]) for image in images})
        raise refusal("`images` must be of one kind", " and ".join(kinds), "to load them apart")
    labels, num_classes = to_classes(labels, num_classes, names)
    return Examples(images, labels, num_classes, names)


def resize(examples, shape):
    """All images at another size: interpolated linearly, labels to the nearest pixel; corners of the image stay corners.

    Args:
        examples: `Examples`.
        shape: `(height, width)` or `(x, y, z)`.

    Returns:
        `Examples`; where an image becomes smaller, it is smoothed first, as far as fine structure would be aliased.
    """
    images = [resize_image(image, shape) for image in examples.images]
    labels = [
        scipy.ndimage.zoom(label, [new / old for new, old in zip(shape, label.shape)], order=0, **OVER_WHOLE_PIXELS)
        for label in examples.labels
    ]
    return examples._replace(images=images, labels=labels)


def resize_image(image, shape):
    """One image of `resize`: `(height, width, channels)` or `(x, y, z, channels)`, float32."""
    if len(shape) != image.ndim - 1:
        raise refusal("`shape` must have %d sizes" % (image.ndim - 1), repr(shape), "shape=%s" % (image.shape[:-1],))
    factors = [new / old for new, old in zip(shape, image.shape)]
    image = scipy.ndimage.gaussian_filter(image, [max(0, (1 / factor - 1) / 2) for factor in factors] + [0])
    return scipy.ndimage.zoom(image, factors + [1], order=1, **OVER_WHOLE_PIXELS)


def scale_pixels(array):
    """Brings pixels to 0..1 as float32: 8 bits are divided by 255, booleans and floats in 0..1 stay as they are, anything
    else is scaled by its own percentiles (`zoo.volumes.scale_intensity`)."""
    array = np.asarray(array)
    if array.dtype.kind not in "biuf" or not array.size:
        raise refusal("`images` must hold real numbers", "%s %s" % (array.dtype, array.shape), "their magnitude")
    if array.dtype == np.uint8:
        return array / np.float32(255)
    if array.dtype.kind in "bf" and array.min() >= 0 and array.max() <= 1:
        return array.astype(np.float32)
    return scale_intensity(array)


def _from_npz(path, num_classes, ndim):
    try:
        with np.load(path, allow_pickle=False) as archive:
            present = archive.files
            found = [next((name for name in keys if name in present), None) for keys in (IMAGE_KEYS, LABEL_KEYS)]
            arrays = [archive[name] for name in found if name]
            names = archive["names"] if "names" in present else None
    except Exception as error:
        raise _unreadable(path, error) from error
    if None in found:
        received = "%s, which holds %s" % (path, ", ".join("`%s`" % name for name in present) or "no arrays at all")
        raise refusal("`images` must hold arrays `image` and `label`", received, "numpy.savez(path, image=..., label=...)")
    images, labels = arrays
    if labels.ndim == ndim:
        images, labels = images[np.newaxis], labels[np.newaxis]
    if labels.ndim != ndim + 1:
        received = "%s with shape %s" % (path, labels.shape)
        raise refusal("`label` must be (n, height, width) for ndim=2, (n, x, y, z) for ndim=3", received, "another `ndim`")
    if names is None or len(names) != len(labels):
        names = _names(path, len(labels))
    return make_examples(images, labels, num_classes, names)


def _read_pair(image_path, label_path, ndim):
    images, image_grid = read_images(image_path, ndim)
    labels, label_grid = _read_labels(label_path, ndim)
    if image_grid is not None and label_grid is not None:
        match_grid(label_grid, image_grid, names=(label_path, image_path))
    if len(images) != len(labels):
        received = "%s with %d and %s with %d" % (image_path, len(images), label_path, len(labels))
        raise refusal("`labels` must have as many pages as `images`", received, "the file that belongs to it")
    return images, labels, _names(image_path, len(images))


def _names(path, count):
    name = os.path.basename(path)
    return [name] if count == 1 else ["%s[%d]" % (name, index) for index in range(count)]


def read_images(path, ndim):
    """Reads the images of one file as `load_images` does.

    Args:
        path: PNG, BMP, TIFF, NIfTI or MGZ.
        ndim: 2 or 3.

    Returns:
        `(images, volume)`: a list of arrays with a last axis of channels, and the `zoo.volumes.Volume` where the file is one.

    Raises:
        FileNotFoundError: When the file does not exist.
        ValueError: When it cannot be read.
    """
    if path.lower().endswith(SPATIAL):
        volume = read_volume(path, ndim=3 if ndim == 3 else None)
        array = scale_pixels(volume.array)[..., np.newaxis]
        return _slices(array, ndim), volume
    pages = [_colours(page) for page in _pages(path)]
    if ndim == 3:
        pages = [_stack(pages, path)]
    return [scale_pixels(page) for page in pages], None


def _read_labels(path, ndim):
    if path.lower().endswith(SPATIAL):
        volume = read_labels(path, ndim=3 if ndim == 3 else None)
        return _slices(volume.array, ndim, channels=0), volume
    pages = []
    for page in _pages(path):
        bands = page.getbands()
        if len(bands) > 1:
            received = "%s with %d channels (%s)" % (path, len(bands), page.mode)
            raise refusal("`labels` must have one channel", received, "PIL.Image.open(path).convert('L') if they are equal")
        pages.append(np.array(page))
    return [_stack(pages, path)] if ndim == 3 else pages, None


def _pages(path):
    """Each page of a picture, decoded."""
    pillow = reader("PIL.Image", "pillow", path)
    try:
        with pillow.open(path) as picture:
            for page in range(getattr(picture, "n_frames", 1)):
                picture.seek(page)
                picture.load()  # left to NumPy, Pillow turns the error of a truncated file into a warning
                yield picture
    except Exception as error:
        raise _unreadable(path, error) from error


def _unreadable(path, error):
    received = "%s (%s: %s)" % (path, type(error).__name__, " ".join(str(error).split()))
    return refusal("`path` must be a complete, readable file", received, "to copy or to export it again")


def _colours(picture):
    mode = picture.mode
    if mode not in GREY_MODES + ("1",):
        picture = picture.convert("L" if mode == "LA" else "RGB")
    array = np.array(picture)
    return array if array.ndim == 3 else array[..., np.newaxis]


def _slices(array, ndim, channels=1):
    """A volume as one image, or as its slices along the third axis."""
    if array.ndim - channels == ndim:
        return [array]
    return list(np.ascontiguousarray(np.moveaxis(array, 2, 0)))


def _stack(pages, path):
    if len({page.shape for page in pages}) > 1:
        sizes = " and ".join("%dx%d" % page.shape[:2] for page in pages[:2])
        raise refusal("`path` must have pages of one size for ndim=3", "%s with %s" % (path, sizes), "ndim=2")
    return np.stack(pages)
