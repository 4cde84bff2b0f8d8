"""Whether two volumes lie on the same grid of voxels, what the difference is, and resampling that ends it. No Keras here."""

import itertools

import numpy as np
import scipy.ndimage

from mrlayers.checks import refusal
from zoo.volumes import Volume


def match_grid(volume, reference, resample=False, labels=False, names=("moving", "fixed")):
    """`volume` on the grid of `reference`: itself where it lies there, resampled if that is wished, else refused.

    Args:
        volume: `Volume`.
        reference: `Volume`.
        resample: Whether to resample; `False` refuses with the difference said.
        labels: Whether `volume` holds labels, which are resampled to the nearest voxel.
        names: What the two are called in an error.

    Returns:
        `Volume` with the shape of `reference`, and with its affine and header where it was resampled.

    Raises:
        ValueError: When the grids differ and `resample` is `False`, or when resampling is not possible.
    """
    difference = grid_difference(volume, reference)
    if not difference:
        return volume
    if not resample:
        raise refusal("`%s` must lie on the grid of `%s`" % tuple(names), difference, "`--resample`")
    if volume.array.ndim != reference.array.ndim or volume.header is None or reference.header is None:
        received = difference if volume.array.ndim != reference.array.ndim else difference + ", in a file without affine"
        expected = "`%s` must have an affine and as many axes as `%s` to be resampled" % tuple(names)
        raise refusal(expected, received, "NIfTI or MGZ files of the same kind")
    resampled = resample_to(volume, reference, labels)
    if volume.array.any() and not resampled.array.any():
        raise refusal("`%s` must overlap `%s` in space" % tuple(names), difference, "to align their centres first")
    return resampled


def resample_to(volume, reference, labels=False):
    """Samples `volume` at the voxels of `reference`, through both affines: `volume(A_volume^-1 A_reference p)`.

    Outside it is 0, which linear interpolation reaches within one voxel. Nothing is smoothed first: on a coarser grid, fine
    structure is aliased.

    Args:
        volume: `Volume`.
        reference: `Volume` with as many axes.
        labels: `True` takes the nearest voxel, `False` interpolates linearly.

    Returns:
        `Volume` with the shape, affine and header of `reference`, and the dtype of `volume`.
    """
    matrix = np.linalg.solve(volume.affine, reference.affine)
    as_volume = volume.array if volume.array.ndim == 3 else volume.array[..., np.newaxis]
    resampled = scipy.ndimage.affine_transform(
        as_volume,
        matrix[:3, :3],
        matrix[:3, 3],
        output_shape=(reference.array.shape + (1,))[:3],
        order=0 if labels else 1,
        mode="grid-constant",  # "constant" is 0 already a hair outside of the outermost voxels, where rounding may put them
    )
    return Volume(resampled.reshape(reference.array.shape), reference.affine, reference.header)


def grid_difference(volume, reference, tolerance=0.01):
    """What differs between two grids, in words, and "" where nothing does.

    Grids are the same when they have the same shape and no corner of one lies further than `tolerance` voxels from that of the
    other, in space. Where one of the files knows no space (`header` is `None`), shapes alone are compared.

    Args:
        volume: `Volume`.
        reference: `Volume`.
        tolerance: In voxels of `reference`; affines are stored in single precision and rounded by many tools.
    """
    shape = volume.array.shape
    differences = [] if shape == reference.array.shape else ["shape %s and %s" % (shape, reference.array.shape)]
    if volume.header is None or reference.header is None:
        return "".join(differences)
    corners = np.array(list(itertools.product(*((0, size - 1) for size in (shape + (1,))[:3]), [1])))
    shift = (np.linalg.solve(reference.affine, volume.affine) - np.eye(4)).dot(corners.T)
    distance = np.sqrt((shift * shift).sum(axis=0)).max()
    if distance > tolerance:
        pairs = [(name, describe(volume), describe(reference)) for name, describe in DESCRIPTIONS]
        differences += ["%s %s and %s" % pair for pair in pairs if pair[1] != pair[2]]
        differences.append("corners up to %.3g voxels apart" % distance)
    return ", ".join(differences)


def orientation(volume):
    """Where the axes of a `Volume` point to: `RAS` is right, anterior (front), superior (up); the nearest for oblique axes."""
    directions = volume.affine[:3, :3] / _spacing(volume)
    code = [""] * 3
    for _ in range(3):
        world, axis = np.unravel_index(np.argmax(np.abs(directions)), (3, 3))
        code[axis] = ("LR", "PA", "IS")[world][int(directions[world, axis] > 0)]
        directions[world], directions[:, axis] = 0, 0
    return "".join(code)


def _spacing(volume):
    return np.sqrt((volume.affine[:3, :3] ** 2).sum(axis=0))


def _degrees(volume):
    """How far each axis is from the nearest axis of the scanner."""
    directions = np.abs(volume.affine[:3, :3] / _spacing(volume)).max(axis=0)
    return "%.1f, %.1f, %.1f degrees" % tuple(np.degrees(np.arccos(np.minimum(directions, 1))))


DESCRIPTIONS = (
    ("spacing", lambda volume: "%.4gx%.4gx%.4g mm" % tuple(_spacing(volume))),
    ("orientation", orientation),
    ("obliqueness", _degrees),
    ("origin", lambda volume: "(%.4g, %.4g, %.4g) mm" % tuple(volume.affine[:3, 3])),
)
