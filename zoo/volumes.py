"""Volumes from files and back, with their place in space: NIfTI, MGZ, `.npz`, `.npy`. No Keras here."""

import collections
import os

import numpy as np

from mrlayers.checks import refusal
from zoo.files import existing, reader, reading, written_whole

SPATIAL = (".nii", ".nii.gz", ".mgz", ".mgh")
VOLUMES = SPATIAL + (".npz", ".npy")
IMAGE_KEYS, LABEL_KEYS = ("vol", "vol_data"), ("seg", "vol_data")
STORED_INTEGERS = (np.uint8, np.int16, np.int32)  # what both NIfTI and MGZ have


class Volume(collections.namedtuple("Volume", "array affine header")):
    """An image or a label map and where it lies.

    Attributes:
        array: `(x, y, z)` or `(x, y)` in the order of the file, float32 for images and int32 for labels.
        affine: float64 `(4, 4)`, from voxel to millimetres, x to the right, y to the front, z up (RAS).
        header: nibabel's header; `None` for files and arrays that know no space, and then `affine` is the identity.
    """

    __slots__ = ()


def read_volume(path, key=None, ndim=None):
    """Reads an image.

    | `path` | what is read |
    |---|---|
    | `.nii`, `.nii.gz`, `.mgz`, `.mgh` | the volume, with the scale factors of the file applied |
    | `.npz` | the array `key`, by default `vol`, else `vol_data`, else the only one |
    | `.npy` | the array |

    Axes of size 1 at the end (one time point, one channel) are dropped as far as `ndim`, or as three axes.

    Args:
        path: File name.
        key: Name of the array in an `.npz` file.
        ndim: 2 or 3 refuses images of another rank; `None` takes both.

    Returns:
        `Volume` with a float32 array in the unit of the file; `zoo.volumes.scale_intensity` brings it to 0..1.

    Raises:
        FileNotFoundError: When there is nothing at `path`.
        ValueError: When it cannot be read, lacks the key, or holds an image of another rank, with NaN, or with one value only.
    """
    array, affine, header = _read(path, key, IMAGE_KEYS, ndim)
    _require_finite(array, path)
    if array.min() == array.max():
        raise refusal("`path` must hold an image that is not constant", "%s, %g everywhere" % (path, array.flat[0]), "another")
    return Volume(np.array(array, np.float32, order="C"), affine, header)


def read_labels(path, key=None, ndim=None):
    """Reads a label map, as `read_volume` but by default the array `seg` or `vol_data` of an `.npz`.

    Args:
        path: File name.
        key: Name of the array in an `.npz` file.
        ndim: 2 or 3 refuses label maps of another rank; `None` takes both.

    Returns:
        `Volume` with an int32 array.

    Raises:
        FileNotFoundError: When there is nothing at `path`.
        ValueError: As `read_volume`, or when a value is not a whole number; that of one voxel is said.
    """
    array, affine, header = _read(path, key, LABEL_KEYS, ndim)
    _require_finite(array, path)
    if array.dtype.kind == "f" and not (array == np.rint(array)).all():
        wrong = array != np.rint(array)
        first = tuple(int(index) for index in np.argwhere(wrong)[0])
        received = "%s, with %g at voxel %s and %d others" % (path, array[first], first, np.count_nonzero(wrong) - 1)
        raise refusal("`path` must hold integer labels", received, "the label map before it was interpolated linearly")
    if array.min() < -(2**31) or array.max() >= 2**31:
        received = "%s, from %g to %g" % (path, array.min(), array.max())
        raise refusal("`path` must hold labels of 32 bits", received, "to number them anew")
    return Volume(np.array(array, np.int32, order="C"), affine, header)


def write_volume(path, array, like=None):
    """Writes an image or a label map onto the grid of another one; the file appears whole or not at all.

    Numbers with a fraction are stored as float32, integers and booleans as the first of uint8, int16 and int32 that holds
    them, never scaled. In NIfTI and MGZ the affine, its codes, spacing and units of `like` are kept and so is the rest of its
    header, except for the display window, which belonged to other values. `.npz` has the key `vol` or, for integers, `seg`;
    like `.npy` it knows no space.

    Args:
        path: Ends in `.nii`, `.nii.gz`, `.mgz`, `.mgh`, `.npz` or `.npy`; its folder is made if it is missing.
        array: Real numbers or booleans, of the shape of `like`.
        like: `Volume`, or `None` for the identity as affine.

    Raises:
        ValueError: When the ending, the type or the shape is another.
        OSError: When the folder cannot be written.
    """
    path, array = os.fspath(path), np.asarray(array)
    if not path.lower().endswith(VOLUMES):
        raise refusal("`path` must end in one of " + " ".join(VOLUMES), path, path + ".nii.gz")
    if array.dtype.kind not in "biuf" or array.ndim not in (2, 3):
        raise refusal("`array` must be real, with two or three axes", "%s %s" % (array.dtype, array.shape), "array[..., 0]")
    if like is not None and like.array.shape != array.shape:
        raise refusal("`array` must have the shape of `like`, %s" % (like.array.shape,), array.shape, "the grid it belongs to")
    array = array.astype(_stored_type(array))
    try:
        with written_whole(path) as temporary:
            _write(temporary, array, Volume(array, np.eye(4), None) if like is None else like)
    except OSError as error:
        received = "%s (%s)" % (path, error.strerror or error)
        raise OSError("`path` must be in a folder that can be written. Received: %s. Try another folder." % received) from error


def scale_intensity(array, percentile=99.9, level=1.0):
    """Brings the intensities of an image to 0..1, whatever a few very bright voxels are.

    1. An image that lies in 0..1 and reaches 0.5 is returned as it is: someone has scaled it.
    2. Else its percentiles `100 - percentile` and `percentile`, taken over all voxels, go to 0 and to `level`, and what is
       then below 0 or above 1 is cut. Where they are equal, as in an image of a few points, minimum and maximum are taken.

    A background of zeros stays zero. In the brains of the published weights (FreeSurfer's `norm` over 255) the white matter is
    at 0.4 and percentile 99.9 at about 0.45: with those weights, `level=0.45` puts other brains onto the scale they know.

    Args:
        array: Real and finite, of any shape.
        percentile: Above 50 and at most 100.
        level: Above 0 and at most 1.

    Returns:
        float32 of the same shape.

    Raises:
        ValueError: When an argument is out of range, or the image is constant.
    """
    array = np.asarray(array, np.float32)
    if not 50 < percentile <= 100:
        raise refusal("`percentile` must be above 50 and at most 100", percentile, "99.9")
    if not 0 < level <= 1:
        raise refusal("`level` must be above 0 and at most 1", level, "1")
    if not array.size or not np.isfinite(array).all():
        raise refusal("`array` must hold finite numbers", "%s with shape %s" % (array.dtype, array.shape), "read_volume(path)")
    lowest, highest = array.min(), array.max()
    if lowest == highest:
        raise refusal("`array` must not be constant", "%g everywhere" % lowest, "another image")
    if lowest >= 0 and 0.5 <= highest <= 1:
        return array
    low, high = np.percentile(array, [100 - percentile, percentile])
    if low == high:
        low, high = lowest, highest
    scaled = (array - np.float32(low)) * np.float32(level / (float(high) - float(low)))
    return np.clip(scaled, 0, 1, out=scaled)


def _read(path, key, keys, ndim):
    """Array as it is stored, affine, header; what is no image is refused."""
    path = existing(path)
    if key is not None and not path.lower().endswith(".npz"):
        raise refusal("`key` must be None unless `path` ends in .npz", "key=%r for %s" % (key, path), "leaving it out")
    if path.lower().endswith(SPATIAL):
        array, affine, header = _read_spatial(path)
    elif path.lower().endswith((".npz", ".npy")):
        array, affine, header = _read_numpy(path, key, keys), np.eye(4), None
    else:
        raise refusal("`path` must be a file that ends in one of " + " ".join(VOLUMES), path, "another file")
    while array.ndim > (ndim or 3) and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim not in ((2, 3) if ndim is None else (ndim,)):
        received = "%s with shape %s" % (path, array.shape)
        advice = (
            "one slice or one time point of it" if array.ndim > (ndim or 3) else "a volume, or a model for %d-D" % array.ndim
        )
        raise refusal("`path` must hold a %s image" % ("2-D or 3-D" if ndim is None else "%d-D" % ndim), received, advice)
    if array.dtype.kind not in "biuf" or not array.size:
        received = "%s %s in %s" % (array.dtype, array.shape, path)
        raise refusal("`path` must hold real numbers", received, "its magnitude or one channel of it")
    return array, affine, header


def _read_spatial(path):
    nibabel = reader("nibabel", "nibabel", path)
    with reading(path):
        image = nibabel.load(path)
        array, affine = np.asanyarray(image.dataobj), np.array(image.affine, np.float64)
    if not np.isfinite(affine).all() or not np.linalg.det(affine):
        received = "%s with the rows %s" % (path, affine[:3].tolist())
        raise refusal("`path` must have an affine that can be inverted", received, "to export it again")
    return array, affine, image.header


def _read_numpy(path, key, keys):
    with reading(path), open(path, "rb") as stream:
        loaded = np.load(stream, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        present = loaded.files
        wanted = keys if key is None else (key,)
        chosen = [name for name in wanted if name in present] or (present if key is None and len(present) == 1 else [])
        if chosen:
            return loaded[chosen[0]]
    expected = "`path` must hold an array %s" % " or ".join("`%s`" % name for name in wanted)
    received = "%s, which holds %s" % (path, ", ".join("`%s`" % name for name in present) or "no arrays at all")
    raise refusal(expected, received, "one of these as `key`" if present else "another file")


def _require_finite(array, path):
    finite = np.isfinite(array)
    if not finite.all():
        wrong = np.argwhere(~finite)
        received = "%s, with NaN or infinity at voxel %s and %d others" % (path, tuple(wrong[0].tolist()), len(wrong) - 1)
        raise refusal("`path` must hold finite voxels only", received, "numpy.nan_to_num on it")


def _stored_type(array):
    if array.dtype.kind == "f":
        return np.float32
    if array.dtype.kind == "b" or not array.size:
        return np.uint8
    lowest, highest = int(array.min()), int(array.max())
    for dtype in STORED_INTEGERS:
        if np.iinfo(dtype).min <= lowest and highest <= np.iinfo(dtype).max:
            return dtype
    raise refusal("`array` must hold integers of 32 bits", "from %d to %d" % (lowest, highest), "array.astype('float32')")


def _write(path, array, like):
    if path.lower().endswith(".npz"):
        np.savez_compressed(path, **{"vol" if array.dtype.kind == "f" else "seg": array})
    elif path.lower().endswith(".npy"):
        np.save(path, array)
    else:
        nibabel = reader("nibabel", "nibabel", path)
        kind = nibabel.MGHImage if path.lower().endswith((".mgz", ".mgh")) else nibabel.Nifti1Image
        if kind is nibabel.Nifti1Image and isinstance(like.header, nibabel.Nifti2Header):
            kind = nibabel.Nifti2Image
        image = kind(array, like.affine, like.header if type(like.header) is kind.header_class else None)
        image.set_data_dtype(array.dtype)
        if kind is not nibabel.MGHImage:
            image.header["cal_min"] = image.header["cal_max"] = 0
            if not isinstance(like.header, nibabel.Nifti1Header):
                image.header.set_xyzt_units("mm")
        nibabel.save(image, path)
