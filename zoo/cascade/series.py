"""Dynamic series from files, and patches of them: NumPy, MATLAB, HDF5, NIfTI. No Keras here."""

import numpy as np
import scipy.io

from mrlayers.checks import refusal, require_integer
from zoo.files import existing, reader, reading
from zoo.images import HDF5, SMALLEST_SIZE, read_hdf5

NAMED = HDF5 + (".mat", ".npz")  # what holds arrays by name
ENDINGS = NAMED + (".npy", ".nii", ".nii.gz")
AXES = {"n": "series", "t": "time", "h": "height", "w": "width", "c": "(real, imaginary)"}
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
MATLAB_NUMBERS = "double single logical int8 uint8 int16 uint16 int32 uint32 int64 uint64".split()


def load_series(path, key=None, axes=None):
    """Reads series of images over time and scales them so that their largest magnitude is 1.

    | `path` | what is read |
    |---|---|
    | `.npy` | the array |
    | `.npz` | the array `key` |
    | `.mat` | the variable `key`, its axes in the order that MATLAB shows, of any version up to 7.3 |
    | `.hdf5`, `.h5` | the data set `key`, also within groups, `"group/name"` |
    | `.nii`, `.nii.gz` | `(x, y, slice, time)`: each slice is a series, `x` its height and `y` its width |

    Numbers may be real or complex (in HDF5 also stored as `real` and `imag`), of any unit. Series that are zero everywhere are
    left out: no error can be put in relation to them.

    Args:
        path: File name.
        key: Name of an array in a file that names them; by default the only one of three or more axes.
        axes: A letter for each axis of the array: `n` series, `t` time, `h` height (phase encoding, where lines are left out),
            `w` width, `c` real and imaginary part. `n` and `c` may be absent: `"hwt"` is one series with time last. By default four
            axes are `"nthw"`, in NIfTI `"hwnt"`; three are never guessed.

    Returns:
        complex64 `(n, time, height, width)`, largest magnitude of the whole set 1; the scale between series is kept.

    Raises:
        FileNotFoundError: When there is nothing at `path`.
        ValueError: When it cannot be read, lacks the key, has other axes than `axes` says, fewer than 16 pixels in height or
            width, pixels that are not finite, or zeros only.

    Example:
        >>> series = load_series("cardiac.mat", key="seq", axes="hwt")
        >>> train = cut_patches(series, 32, numpy.random.RandomState(0).randint(0, 96, 20))
    """
    series = read_axes(path, key, axes, smallest=SMALLEST_SIZE)
    peak = np.abs(series).max() if series.size else 0
    if not peak:
        raise refusal("`path` must hold a series that is not zero everywhere", path, "another file or `key`")
    series = series[np.any(series, axis=(1, 2, 3))]
    return np.ascontiguousarray(series / peak, np.complex64)


def read_axes(path, key=None, axes=None, smallest=1):
    """The numbers of a file as `(n, time, height, width)`, real or complex, in the unit of the file; see `load_series`."""
    path = existing(path)
    array = read_array(path, key)
    if axes is None and array.ndim == 4:
        axes = "hwnt" if _is_nifti(path) else "nthw"
    _require_axes(axes, array, path, smallest)
    array = array.transpose([axes.index(letter) for letter in "cnthw" if letter in axes])
    array = array.astype(np.result_type(array.dtype, np.float32), copy=False)
    array = array[0] + 1j * array[1] if "c" in axes else array
    series = array if "n" in axes else array[np.newaxis]
    if not np.isfinite(series).all():
        wrong = np.argwhere(~np.isfinite(series).all(axis=(2, 3)))
        received = "%s, with NaN or infinity in series %d, frame %d, and %d other frames" % (path, *wrong[0], len(wrong) - 1)
        raise refusal("`path` must hold finite pixels only", received, "numpy.nan_to_num on it")
    return series


def cut_patches(series, width, offsets):
    """Patches to train with: full height, because lines are left out along it and alias over all of it, and part of the width.

    A fully sampled series is transformed along the width without loss, so a strip of it is a series of its own. The authors
    of the dynamic cascade cut 32 of 256 columns: at 20 random offsets below 96 to train, 128 and 160 to validate, 192 and 224
    to test, so that no column is in two of the sets.

    Args:
        series: `(n, time, height, width)`.
        width: Columns of a patch, 1 to the width of the series.
        offsets: First columns of the patches, integers from 0 to what leaves room for `width`.

    Returns:
        `(n * len(offsets), time, height, width)` in the dtype of `series`: all patches of the first series, then of the next.

    Raises:
        ValueError: When the series have another rank, or a patch lies outside of them.

    Reference: `main_3d.py` of github.com/js3611/Deep-MRI-Reconstruction.
    """
    series, offsets = np.asarray(series), np.asarray(offsets)
    if series.ndim != 4:
        raise refusal("`series` must be (n, time, height, width)", series.shape, "load_series(path)")
    require_integer("width", width, 1)
    last = series.shape[-1] - width
    if last < 0:
        raise refusal("`width` must fit into the series", "%d for %d columns" % (width, series.shape[-1]), series.shape[-1])
    if offsets.ndim != 1 or not offsets.size or offsets.dtype.kind not in "iu" or offsets.min() < 0 or offsets.max() > last:
        expected = "`offsets` must be integers from 0 to %d, which leaves room for %d columns" % (last, width)
        raise refusal(expected, offsets.tolist(), "range(0, %d, %d)" % (last + 1, width))
    patches = np.stack([series[..., first : first + width] for first in offsets], axis=1)
    return patches.reshape((-1,) + patches.shape[2:])


def read_array(path, key=None):
    """The array `key` of a file, its axes in the order of the program that wrote it; formats as in `load_series`."""
    path = existing(path)
    name = path.lower()
    if not name.endswith(ENDINGS):
        raise refusal("`path` must end in one of " + " ".join(ENDINGS), path, "exporting it to .npy")
    if key is not None and not name.endswith(NAMED):
        raise refusal(
            "`key` must be None unless `path` is one of " + " ".join(NAMED), "key=%r for %s" % (key, path), "leaving it out"
        )
    if _is_nifti(path):
        nibabel = reader("nibabel", "nibabel", path)
        with reading(path):
            return np.asarray(nibabel.load(path).dataobj)
    if name.endswith(HDF5) or name.endswith(".mat") and _is_hdf5(path):
        array = _joined(read_hdf5(path, _chosen(path, key, _hdf5_shapes(path))))
        return array.T if name.endswith(".mat") else array  # MATLAB stores the first axis as the fastest
    if name.endswith(".mat"):
        with reading(path):
            present = {name: shape for name, shape, kind in scipy.io.whosmat(path) if kind in MATLAB_NUMBERS}
        key = _chosen(path, key, present)
        with reading(path):
            return scipy.io.loadmat(path, variable_names=[key])[key]
    with reading(path), open(path, "rb") as stream:
        loaded = np.load(stream, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        arrays = {name: loaded[name] for name in ([key] if key in loaded.files else loaded.files)}
    return arrays[_chosen(path, key, {name: array.shape for name, array in arrays.items()})]


def _chosen(path, key, present):
    """`key`, or by default the only array of three or more axes, or the only one at all; `present` are shapes by name."""
    likely = [name for name, shape in present.items() if len(shape) >= 3] or list(present)
    if key is None and len(likely) == 1:
        return likely[0]
    if key not in present:
        listed = ", ".join("%s %s" % (name, tuple(shape)) for name, shape in present.items()) or "no arrays at all"
        raise refusal(
            "`key` must name an array of the file", "key=%r for %s, which holds %s" % (key, path, listed), "one of these"
        )
    return key


def _is_nifti(path):
    return path.lower().endswith((".nii", ".nii.gz"))


def _is_hdf5(path):
    with reading(path), open(path, "rb") as stream:
        content = stream.read(520)
    return HDF5_SIGNATURE in (content[:8], content[512:])  # MATLAB leaves 512 bytes in front for a text


def _hdf5_shapes(path):
    h5py, present = reader("h5py", "h5py", path), {}

    def note(name, item):
        numbers = isinstance(item, h5py.Dataset) and (item.dtype.kind in "biufc" or item.dtype.names == ("real", "imag"))
        if numbers and not name.startswith("#"):  # where MATLAB keeps the contents of cells
            present[name] = item.shape[::-1] if path.lower().endswith(".mat") else item.shape

    with reading(path), h5py.File(path, "r") as file:
        file.visititems(note)
    return present


def _joined(array):
    return array["real"] + 1j * array["imag"] if array.dtype.names == ("real", "imag") else array


def _require_axes(axes, array, path, smallest):
    """What `axes` says must be there, once each, and look like it."""
    received = "axes=%r for %s %s in %s" % (axes, array.dtype, array.shape, path)
    if axes is None:
        expected = "`axes` must say the order of the axes, a letter each, unless there are four"
        raise refusal(expected, received, 'axes="hwt" for time last, "thw" for time first, "nthwc" for (real, imaginary) pairs')
    if not isinstance(axes, str) or len(set(axes)) < len(axes) or not set("thw") <= set(axes) <= set(AXES):
        listed = ", ".join("%s %s" % item for item in AXES.items())
        raise refusal("`axes` must have t, h and w, and may have n and c, once each (%s)" % listed, received, 'axes="nthw"')
    if len(axes) != array.ndim:
        raise refusal("`axes` must have a letter for each axis", received, "one of %d letters, or another array" % array.ndim)
    sizes = dict(zip(axes, array.shape))
    if array.dtype.kind not in ("biuf" if "c" in axes else "biufc") or sizes.get("c", 2) != 2:
        raise refusal("`path` must hold numbers, real ones and two of them where `axes` has c", received, "another array")
    if min(sizes["h"], sizes["w"]) < smallest:
        raise refusal("`path` must hold %d pixels or more in height and width" % smallest, received, "another order in `axes`")
