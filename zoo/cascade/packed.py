"""ModelZoo's HDF5: `label` holds 8-bit images, `mask` one sampling mask for all of them. No Keras here."""

import contextlib
import os

import numpy as np

from mrlayers.checks import refusal
from zoo.files import existing, reader, written_whole
from zoo.images import HDF5, read_hdf5


def load_mask(path):
    """Reads the sampling mask that ModelZoo stores as `mask` in its HDF5 files, `(n, height, width)` or `(height, width)`.

    Args:
        path: HDF5 file; its mask has two values, 0 and any positive one.

    Returns:
        float32 of 0 and 1: `(height, 1, 1)` if it is constant along the width, else `(1, width, 1)` if it is constant along the
        height, else `(height, width, 1)`; with an axis of `n` in front where the images have different masks.

    Raises:
        FileNotFoundError: When there is nothing at `path`.
        ValueError: When it cannot be read, has no `mask`, or one of another shape or with other values.
    """
    path = existing(path)
    mask = read_hdf5(path, "mask")
    if mask.dtype.kind not in "biuf" or mask.ndim not in (2, 3) or not mask.size:
        received = "%s %s in %s" % (mask.dtype, mask.shape, path)
        raise refusal("`path` must hold a real `mask` (n, height, width) or (height, width)", received, "another file")
    peak = mask.max()
    if not peak > 0 or not ((mask == 0) | (mask == peak)).all():
        received = "%s, with the values %s" % (path, ", ".join("%g" % value for value in np.unique(mask)[:4]))
        raise refusal("`path` must hold a `mask` of two values, 0 and a positive one", received, "storing 0 and 1")
    mask = mask if mask.ndim == 3 else mask[np.newaxis]
    if (mask == mask[:1]).all():
        mask = mask[:1]
    if (mask == mask[:, :, :1]).all():
        mask = mask[:, :, :1]
    elif (mask == mask[:, :1]).all():
        mask = mask[:, :1]
    mask = (mask > 0).astype(np.float32)[..., np.newaxis]
    return mask if len(mask) > 1 else mask[0]


def stored_mask(path):
    """A function of `seed` that always gives the one mask stored in `path`, where a loader expects a function that draws masks.

    Raises:
        ValueError: As `load_mask`, or when there are different masks for different images.
    """
    mask = load_mask(path)
    if mask.ndim != 3:
        raise refusal(
            "`path` must hold one mask for all images", "%d different ones in %s" % (len(mask), path), "a new packing"
        )
    return lambda seed=None: mask


def write_packed(path, images, mask):
    """Writes ModelZoo's HDF5: `label` uint8 `(n, height, width)` and `mask` float64 of that shape, the same for each image.

    The file takes its name once it is complete. `mask` is compressed, which every HDF5 reader undoes by itself.

    Args:
        path: Ends in `.hdf5` or `.h5`; its folder is made if it is missing, an old file is replaced.
        images: uint8 `(n, height, width)`, 0 to 255.
        mask: `(height, width)` of 0 and 1, zero frequency at index 0.

    Raises:
        ValueError: When the name, a shape, a type or a value is another.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 3 or not images.size:
        received = "%s %s" % (images.dtype, images.shape)
        raise refusal("`images` must be uint8 (n, height, width)", received, "numpy.rint(255 * abs(images)).astype('uint8')")
    mask = _as_plane(mask)
    if mask.shape != images.shape[1:]:
        raise refusal("`mask` must be %s like the images" % (images.shape[1:],), mask.shape, "a mask made for them")
    with _new_hdf5(path) as file:
        file.create_dataset("label", data=images)
        chunks = (1,) + mask.shape
        file.create_dataset("mask", images.shape, np.float64, chunks=chunks, compression="gzip")[...] = mask


def write_mask(path, mask):
    """Writes ModelZoo's side file: `mask` float64 `(height, width)`. Arguments and errors as in `write_packed`."""
    mask = _as_plane(mask)
    with _new_hdf5(path) as file:
        file.create_dataset("mask", data=mask)


def _as_plane(mask):
    mask = np.asarray(mask, np.float64)
    if mask.ndim != 2 or not np.isin(mask, (0, 1)).all():
        advice = "numpy.broadcast_to(mask[..., 0], (height, width))"
        raise refusal("`mask` must be (height, width) of 0 and 1", "shape %s" % (mask.shape,), advice)
    return mask


@contextlib.contextmanager
def _new_hdf5(path):
    path = os.fspath(path)
    if not path.lower().endswith(HDF5):
        raise refusal("`path` must end in .hdf5 or .h5", path, os.path.splitext(path)[0] + ".hdf5")
    h5py = reader("h5py", "h5py", path)
    with written_whole(path) as temporary, h5py.File(temporary, "w") as file:
        yield file
