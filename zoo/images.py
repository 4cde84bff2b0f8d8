"""Images from files: HDF5, NumPy, NIfTI, and folders of pictures. No Keras here."""

import os

import numpy as np

from mrlayers.checks import refusal, require_integer
from zoo.files import existing, natural, reader, reading

PICTURES = (".png", ".bmp", ".tif", ".tiff")
HDF5 = (".hdf5", ".h5")
GREY_MODES = ("L", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")  # Pillow's names; other modes are colour or have a palette
SMALLEST_SIZE = 16  # a shorter axis holds colours, (real, imaginary) or frames


def load_images(path, key=None):
    """Reads a set of images and scales it so that its largest magnitude is 1.

    | `path` | what is read |
    |---|---|
    | folder | its `.png`, `.bmp`, `.tif`, `.tiff`, in natural order (2 before 10); other files are left out |
    | `.png` ... `.tiff` | 8, 16 or 32 bits; every page is an image; colour becomes grey (ITU-R 601 luma, 8 bits) |
    | `.hdf5`, `.h5` | the data set `key`, by default ModelZoo's `label` |
    | `.npz` | the array `key`, by default the only one, or the only one that holds images and is not called `mask...` |
    | `.npy` | the array |
    | `.nii`, `.nii.gz` | the slices along the third axis of a 3-D volume |

    Arrays are `(n, height, width)` or `(height, width)`, real or complex, or real pairs `(n, height, width, 2)`, of any unit. Images
    that are zero everywhere are left out: no error can be put in relation to them.

    Args:
        path: File or folder.
        key: Name of the array in an HDF5 or `.npz` file.

    Returns:
        complex64 `(n, height, width)`, largest magnitude of the whole set 1; the scale between its images is kept.

    Raises:
        FileNotFoundError: When there is nothing at `path`.
        ValueError: When it cannot be read, holds no images, images of different sizes, pixels that are not finite, or zeros only.
    """
    path = existing(path)
    name = path.lower()
    if key is not None and not name.endswith(HDF5 + (".npz",)):
        raise refusal("`key` must be None unless `path` is HDF5 or .npz", "key=%r for %s" % (key, path), "leaving it out")
    if os.path.isdir(path):
        images = _read_folder(path)
    elif name.endswith(PICTURES):
        images = _read_pictures([path])
    elif name.endswith(HDF5):
        images = read_hdf5(path, "label" if key is None else key)
    elif name.endswith((".npz", ".npy")):
        images = _read_numpy(path, key)
    elif name.endswith((".nii", ".nii.gz")):
        images = _read_nifti(path)
    else:
        known = " ".join(PICTURES + HDF5 + (".npz", ".npy", ".nii", ".nii.gz"))
        raise refusal("`path` must be a folder or end in one of " + known, path, "exporting it to .npy")
    images = _as_images(images, path)
    finite = np.isfinite(images).all(axis=(1, 2))
    if not finite.all():
        received = "%s, with NaN or infinity in image %d and %d others" % (
            path,
            np.argmin(finite),
            np.count_nonzero(~finite) - 1,
        )
        raise refusal("`path` must hold finite pixels only", received, "numpy.nan_to_num on it")
    peak = np.abs(images).max() if images.size else 0
    if not peak:
        raise refusal("`path` must hold an image that is not zero everywhere", path, "another file")
    images = images[np.any(images, axis=(1, 2))]
    return (images / peak).astype(np.complex64)


def crop(images, size):
    """The middle `size` x `size` pixels of images `(n, height, width)`: pixel `size // 2` was `height // 2`. `None` keeps all."""
    height, width = images.shape[1:]
    if size is None:
        return images
    require_integer("size", size, 1)
    if size > min(height, width):
        raise refusal("`size` must fit into the images", "%d for %dx%d pixels" % (size, height, width), min(height, width))
    top, left = height // 2 - size // 2, width // 2 - size // 2
    return images[:, top : top + size, left : left + size]


def _read_folder(path):
    names = [name for name in os.listdir(path) if name.lower().endswith(PICTURES) and not name.startswith(".")]
    if not names:
        raise refusal("`path` must be a folder with %s files" % " ".join(PICTURES), path + ", without any", "another folder")
    return _read_pictures([os.path.join(path, name) for name in sorted(names, key=natural)])


def _read_pictures(paths):
    pages = [(path, page) for path in paths for page in _pages(path)]
    first_path, first = pages[0]
    for path, page in pages:
        if _kind(page) != _kind(first):
            received = "%s with %s and %s with %s" % (first_path, _kind(first), path, _kind(page))
            raise refusal("`path` must hold images of one size and depth", received, "to crop or to sort them")
    return np.stack([page for _, page in pages])


def _pages(path):
    pillow = reader("PIL.Image", "pillow", path)
    with reading(path), pillow.open(path) as picture:
        for page in range(getattr(picture, "n_frames", 1)):
            picture.seek(page)
            picture.load()  # left to NumPy, Pillow turns the error of a truncated file into a warning
            yield np.array(picture if picture.mode in GREY_MODES else picture.convert("L"))


def _kind(image):
    return "%dx%d pixels of %s" % (image.shape + (image.dtype.name,))


def read_hdf5(path, key):
    h5py = reader("h5py", "h5py", path)
    with reading(path), h5py.File(path, "r") as file:
        if isinstance(file.get(key), h5py.Dataset):
            return np.asarray(file[key][()])
        present = ", ".join(file) or "no keys at all"
    raise refusal("`path` must hold a data set `%s`" % key, "%s, which holds %s" % (path, present), "another file or `key`")


def _read_numpy(path, key):
    with reading(path), open(path, "rb") as stream:
        loaded = np.load(stream, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        arrays = {name: loaded[name] for name in ([key] if key in loaded.files else loaded.files)}
    likely = [name for name, array in arrays.items() if _holds_images(array) and not name.lower().startswith("mask")]
    if key is None and 1 in (len(arrays), len(likely)):
        key = (likely or list(arrays))[0]
    if key not in arrays:
        present = ", ".join("%s %s" % (name, array.shape) for name, array in arrays.items()) or "no arrays at all"
        received = "key=%r for %s, which holds %s" % (key, path, present)
        raise refusal("`key` must name an array of the file", received, "one of these")
    return arrays[key]


def _read_nifti(path):
    nibabel = reader("nibabel", "nibabel", path)
    with reading(path):
        volume = nibabel.load(path)
    if len(volume.shape) != 3:
        advice = "nibabel.load(path).slicer[..., 0] for one volume of a series, saved as a file of its own"
        raise refusal("`path` must hold a 3-D volume", "%s with shape %s" % (path, volume.shape), advice)
    with reading(path):
        return np.moveaxis(np.asarray(volume.dataobj), 2, 0)


def _holds_images(array):
    """Whether it is `(n, height, width)`, or real pairs of it."""
    pairs = array.ndim == 4 and array.shape[-1] == 2 and array.dtype.kind != "c"
    return array.dtype.kind in "biufc" and (array.ndim == 3 or pairs) and min(array.shape[1:3]) >= SMALLEST_SIZE


def _as_images(array, path):
    images = array[np.newaxis] if array.ndim == 2 else array
    if not _holds_images(images):
        shapes = "(n, height, width), (height, width) or real pairs (n, height, width, 2)"
        expected = "`path` must hold numbers %s, %d pixels high and wide or more" % (shapes, SMALLEST_SIZE)
        raise refusal(expected, "%s %s in %s" % (array.dtype, array.shape, path), "numpy.moveaxis, or another array")
    images = images.astype(np.result_type(images.dtype, np.float32), copy=False)
    return images if images.ndim == 3 else images[..., 0] + 1j * images[..., 1]
