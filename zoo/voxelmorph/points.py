"""Landmarks in CSV files, and the three spaces their coordinates may be in. No Keras here."""

import collections
import csv

import numpy as np

from mrlayers.checks import refusal, require_choice
from zoo.files import existing, written_whole
from zoo.voxelmorph.warps import LPS, plane

AXES = ("x", "y", "z")
SPACES = ("voxel", "ras", "lps")

Landmarks = collections.namedtuple("Landmarks", "points columns rows")


def read_points(path, ndim=3):
    """Reads landmarks from a CSV file with a header that names the columns `x`, `y` and, for three dimensions, `z`.

    Args:
        path: File with one landmark a line; further columns, such as names, are kept for `write_points`.
        ndim: 1, 2 or 3.

    Returns:
        `Landmarks(points, columns, rows)`: float64 `(n, ndim)`, the header, and the lines as text.

    Raises:
        FileNotFoundError: When there is nothing at `path`.
        ValueError: When a column is absent (those present are said) or a coordinate is no finite number (its line is said).
    """
    path = existing(path)
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file, skipinitialspace=True) if row]
    except (UnicodeDecodeError, csv.Error, IsADirectoryError) as error:
        raise refusal("`path` must be a CSV file", "%s (%s)" % (path, error), "to export it as text") from error
    columns, rows = [name.strip() for name in rows[0]] if rows else [], rows[1:]
    places = _places(columns, ndim)
    if len(places) != ndim:
        received = "%s with the columns %s" % (path, ", ".join(columns) or "(none)")
        raise refusal("`path` must have the columns " + ", ".join(AXES[:ndim]), received, "to put them into the first line")
    points = np.empty((len(rows), ndim))
    for number, row in enumerate(rows):
        try:
            points[number] = [float(row[place]) for place in places]
        except (ValueError, IndexError):
            points[number] = np.nan
        if not np.isfinite(points[number]).all():
            received = "%s for landmark %d of %s" % (",".join(row), number + 1, path)
            raise refusal("`path` must hold %d finite coordinates a line" % ndim, received, "to mend or to remove it")
    if not rows:
        raise refusal("`path` must hold a landmark", path + ", with a header only", "another file")
    return Landmarks(points, columns, rows)


def write_points(path, points, like):
    """Writes landmarks as `like`, with the coordinates `points` `(n, ndim)` in place of its own, whole or not at all."""
    places = _places(like.columns, points.shape[-1])
    with written_whole(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(like.columns)
        for point, row in zip(points, like.rows):
            row = list(row)
            for place, coordinate in zip(places, point):
                row[place] = "%.5f" % coordinate
            writer.writerow(row)


def points_to_voxels(points, affine, space):
    """Coordinates `(n, ndim)` in `space` as voxel indices, float64.

    Args:
        points: `(n, ndim)`.
        affine: `(4, 4)`, from voxels to millimetres RAS.
        space: `"voxel"` (indices, the first voxel's centre is 0), `"ras"` or `"lps"` (millimetres; ITK and ANTs use LPS).
    """
    matrix = _voxels_to(space, affine, points.shape[-1])
    return (points - matrix[:-1, -1]) @ np.linalg.inv(matrix[:-1, :-1]).T


def voxels_to_points(voxels, affine, space):
    """The inverse of `points_to_voxels`."""
    matrix = _voxels_to(space, affine, voxels.shape[-1])
    return voxels @ matrix[:-1, :-1].T + matrix[:-1, -1]


def _voxels_to(space, affine, ndim):
    require_choice("space", space, SPACES)
    if space == "voxel":
        return np.eye(ndim + 1)
    return np.append(LPS[:ndim] if space == "lps" else np.ones(ndim), 1)[:, np.newaxis] * plane(affine, ndim)


def _places(columns, ndim):
    names = [name.lower() for name in columns]
    return [names.index(axis) for axis in AXES[:ndim] if axis in names]
