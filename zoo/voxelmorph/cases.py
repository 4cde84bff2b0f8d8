"""Pairs to score a registration with: from files, or generated with the true displacement. No Keras here."""

from collections import namedtuple

from mrlayers.checks import refusal
from zoo.grids import match_grid
from zoo.paths import find_files, pair_by_name
from zoo.volumes import VOLUMES, read_labels, read_volume, scale_intensity
from zoo.voxelmorph.brains import random_brains, true_displacement

Case = namedtuple("Case", "moving_name fixed_name moving fixed moving_labels fixed_labels displacement affine")
Case.__doc__ = (
    """Two images scaled to 0..1, label maps or `None`, true displacement or `None`, affine `(4, 4)` or `None`, of one grid."""
)


def brain_cases(count, shape, seed):
    """Yields a `Case` for each of `count` brains of `random_brains`, onto the next of them."""
    images, labels = random_brains(count, shape, seed)
    for moving in range(count):
        fixed = (moving + 1) % count
        names = ["brain %d of seed %d" % (index, seed) for index in (moving, fixed)]
        truth = true_displacement(moving, fixed, shape, seed)
        yield Case(*names, images[moving], images[fixed], labels[moving], labels[fixed], truth, None)


def file_cases(images, labels=None, atlas=None, atlas_labels=None, resample=False, scale=scale_intensity):
    """Yields a `Case` for each file of `images`, onto the atlas, or without one onto the next of them.

    Args:
        images: Paths.
        labels: Paths of the label maps in the same order, or `None`.
        atlas: Path, or `None`.
        atlas_labels: Path, or `None`. Both images of a pair have labels, or none.
        resample: Whether what lies on another grid than the atlas is resampled; `False` refuses it with the difference said.
        scale: Function that brings an image to 0..1.
    """
    reference = atlas or images[0]
    grid = read_volume(reference)

    def image(path):
        return scale(_on_grid(read_volume(path), path, grid, reference, resample))

    def label_map(path):
        return _on_grid(read_labels(path), path, grid, reference, resample, labels=True)

    moving = list(zip(images, labels or [None] * len(images)))
    fixed = [(atlas, atlas_labels)] * len(images) if atlas else moving[1:] + moving[:1]
    for (path, path_of_labels), (onto, onto_labels) in zip(moving, fixed):
        both = path_of_labels and onto_labels
        maps = [label_map(each) if both else None for each in (path_of_labels, onto_labels)]
        yield Case(path, onto, image(path), image(onto), maps[0], maps[1], None, None if grid.header is None else grid.affine)


def find_pairs(images, labels=None):
    """Paths of images and of their label maps, `None` without, from what `zoo.paths.find_files` takes."""
    images = find_files(images, VOLUMES)
    return images, pair_by_name(images, find_files(labels, VOLUMES)) if labels else None


def check_files(images, labels=(), atlas=None, resample=False):
    """Reads every file once, so that a damaged one, or one on another grid, is found before a long computation.

    Args:
        images: Paths.
        labels: Paths of label maps.
        atlas: Path, or `None`: without it the first image sets the grid, and there must be another one.
        resample: Whether volumes on other grids than that of the atlas will be resampled; `False` refuses them.
    """
    if atlas is None and len(images) < 2:
        raise refusal("`images` must be two or more without an atlas", len(images), "an atlas")
    if atlas is None and resample:
        raise refusal("`resample` needs an atlas, whose grid the others are brought to", "none", "an atlas")
    reference = atlas or images[0]
    grid = read_volume(reference)
    for path in images:
        _on_grid(read_volume(path), path, grid, reference, resample)
    for path in labels:
        _on_grid(read_labels(path), path, grid, reference, resample, labels=True)


def _on_grid(volume, path, grid, reference, resample, labels=False):
    return match_grid(volume, grid, resample, labels, names=(path, reference)).array
