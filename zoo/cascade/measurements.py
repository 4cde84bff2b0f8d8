"""Measured k-space and its sampling masks from files, and reconstructions back to files. No Keras here."""

import numpy as np
import scipy.fft

from mrlayers.checks import refusal
from mrlayers.complexes import to_complex, to_pairs
from zoo.cascade.series import read_array, read_axes
from zoo.files import reader, written_whole

OUTPUTS = (".npz", ".npy", ".nii.gz", ".nii")
MASK_AXES = {1: "h", 2: "th", 3: "thw"}


def load_measurement(kspace, mask, key=None, mask_key=None, axes=None, mask_axes=None, centered=False):
    """Reads measured k-space and what of it was measured.

    Args:
        kspace: file of complex k-space, in any unit; formats and `axes` as in `zoo.cascade.series.load_series`.
        mask: file of zeros and ones, 1 where k-space was measured. It may lack the axes that it does not depend on.
        key, mask_key: names of the arrays in files that name them.
        axes: order of the axes of the k-space.
        mask_axes: order of those of the mask, such as `"wh"`; by default 3 axes are `thw`, two `th` (lines of each frame) and one `h`.
        centered: `True` when zero frequency is in the middle of both, `False` when it is at index 0.

    Returns:
        `(kspace, mask)` with zero frequency at index 0 and the image where the scanner has it: complex64 `(n, time, height, width)`,
        zero where nothing was measured, and float32 `(1, time or 1, height or 1, width or 1, 1)`.

    Raises:
        FileNotFoundError, ValueError: what cannot be read, shapes that do not fit, a mask of other values, no samples.
    """
    samples = read_axes(kspace, key, axes)
    if samples.dtype.kind != "c":
        raise refusal(
            "`kspace` must hold complex numbers", "%s in %s" % (samples.dtype, kspace), '`axes` with c for pairs, "thwc"'
        )
    pattern = _oriented(read_array(mask, mask_key), mask_axes, mask)
    names, sizes = ("frames", "lines", "columns"), samples.shape[1:]
    for name, size, full in zip(names, pattern.shape[1:-1], sizes):
        if size not in (1, full):
            expected = "`mask` must have as many %s as the k-space, %d" % (name, full)
            raise refusal(expected, "%d in %s" % (size, mask), "`mask_axes` if its axes are in another order")
    if centered:
        samples = np.fft.ifftshift(samples, axes=(2, 3))
        pattern = np.fft.ifftshift(pattern, axes=(2, 3))
        # The image in the middle as well: a shift by half its size is a phase in k-space.
        for axis in (2, 3):
            size = samples.shape[axis]
            phase = np.exp(-2j * np.pi * np.fft.fftfreq(size) * (size // 2))
            samples = samples * np.expand_dims(phase, [1, 0][axis - 2])
    samples = np.complex64(samples * pattern[..., 0])
    if not samples.any():
        raise refusal("`kspace` must hold a sample that is not zero where `mask` is 1", kspace, "`centered`, or another mask")
    return samples, pattern


def reconstruct(model, kspace, mask, peak=1.0):
    """Series from what was measured, one after the other.

    Args:
        model: a network for series of this shape, with masks of this shape.
        kspace: complex `(n, time, height, width)`, zero frequency at index 0.
        mask: `(1, time or 1, height or 1, width or 1, 1)`.
        peak: largest magnitude of a series as the network is to see it, judged by the image of all frames' samples together.

    Returns:
        `(zero_filled, reconstruction)`, complex64 `(n, time, height, width)` in the unit of the k-space (orthonormal FFT).
    """
    zero_filled, found = np.complex64(scipy.fft.ifft2(kspace, norm="ortho")), []
    for image, samples in zip(zero_filled, kspace):
        together = samples.sum(axis=0) / np.maximum(1, (mask[0, ..., 0] * np.ones_like(samples)).real.sum(axis=0))
        scale = peak / np.abs(scipy.fft.ifft2(together, norm="ortho")).max() if image.any() else 1.0
        inputs = {"image": to_pairs(image * scale)[np.newaxis], "kspace": to_pairs(samples * scale)[np.newaxis], "mask": mask}
        found.append(to_complex(np.asarray(model.predict_on_batch(inputs)))[0] / scale)
    return zero_filled, np.complex64(np.stack(found))


def write_series(path, series):
    """Writes complex `(n, time, height, width)`: `.npz` (`series`) and `.npy` as they are, NIfTI the magnitude as `(h, w, n, t)`."""
    if path.lower().endswith((".nii", ".nii.gz")):
        nibabel = reader("nibabel", "nibabel", path)
        magnitude = np.abs(series).transpose(2, 3, 0, 1).astype(np.float32)
        with written_whole(path) as temporary:
            nibabel.save(nibabel.Nifti1Image(magnitude, np.eye(4)), temporary)
        return
    with written_whole(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, series=series) if path.lower().endswith(".npz") else np.save(file, series)


def _oriented(array, axes, path):
    """A mask as float32 `(1, time or 1, height or 1, width or 1, 1)` of 0 and 1."""
    axes = MASK_AXES.get(array.ndim) if axes is None else axes
    received = "%s %s in %s, axes=%r" % (array.dtype, array.shape, path, axes)
    if not isinstance(axes, str) or len(axes) != array.ndim or len(set(axes)) < len(axes) or not set(axes) <= set("thw"):
        raise refusal("`mask` must have some of the axes t, h and w, a letter each in `mask_axes`", received, 'mask_axes="th"')
    if array.dtype.kind not in "biuf" or not np.isin(array, (0, 1)).all() or not array.any():
        raise refusal("`mask` must be 0 or 1 everywhere, and not 0 everywhere", received, "mask != 0")
    array = array.transpose([axes.index(letter) for letter in "thw" if letter in axes])
    absent = tuple(position for position, letter in enumerate("thw") if letter not in axes)
    for position in absent:
        array = np.expand_dims(array, position)
    return array.astype(np.float32)[np.newaxis, ..., np.newaxis]
