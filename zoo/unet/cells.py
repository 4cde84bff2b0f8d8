"""Images that look like cells under an electron microscope, and the exact labels of their membranes. No Keras here.

Cells are the Voronoi regions of scattered points, seen through a smooth bending of space. One function, the distance to the
border between a cell and its neighbour, gives both the label and the dark line in the image.
"""

import numpy as np
import scipy.ndimage
import scipy.spatial

from mrlayers.checks import refusal, require_integer

SMALLEST_SIZE = 16
SPACING = 17.0  # pixels between the points before some are dropped
BENDING = (7.0, 22.0), (2.2, 7.0)  # amplitude and correlation length, pixels


def random_cells(count, shape=(256, 256), seed=0):
    """Draws `count` images of tissue: pale cells, large and small, between dark membranes.

    As in the electron micrographs of ISBI 2012, cells hold mitochondria (dark, striped, with an outline of their own) and
    vesicles (small rings), which are interior; membranes are fuzzy here and sharp there, and there is grain, noise and uneven
    light. A larger `shape` shows more cells, not larger ones: they are 10 to 90 pixels wide,
    membranes 3 to 6, and make up a fifth to a third of an image. One of 256 x 256 takes about 0.05 seconds.

    Image `index` depends on `shape`, `seed` and `index` only: it stays the same when `count` grows, and two seeds give two
    sets without a common image, for instance one to train with and one to test with.

    Args:
        count: Number of images, 1 or more.
        shape: `(height, width)` or `(depth, height, width)`, each 16 or more.
        seed: Integer from 0 to 2**32 - 1.

    Returns:
        `(images, labels)`, both `(count,) + shape`: float32 in 0..1, and uint8, 0 membrane and 1 interior.

    Raises:
        ValueError: When an argument is out of range.
    """
    require_integer("count", count, 1)
    require_integer("seed", seed, 0)
    if not isinstance(shape, (tuple, list)) or len(shape) not in (2, 3) or not all(_is_size(size) for size in shape):
        expected = "`shape` must be two or three integers of %d or more" % SMALLEST_SIZE
        raise refusal(expected, repr(shape), "shape=(256, 256)")
    tissue = [_tissue(np.random.RandomState([seed, index]), tuple(shape)) for index in range(count)]
    return tuple(np.stack(arrays) for arrays in zip(*tissue))


def _is_size(size):
    return isinstance(size, (int, np.integer)) and not isinstance(size, bool) and size >= SMALLEST_SIZE


def _tissue(random, shape):
    cell, within, border, room = _cells(random, shape)
    thickness = np.maximum(random.uniform(1.9, 2.5) + 0.35 * _smooth(random, shape, 20), 1.3)  # half of it
    labels = (border > thickness).astype(np.uint8)

    image = random.uniform(0.62, 0.72) + 0.04 * random.standard_normal(len(room))[cell]
    image += 0.07 * _smooth(random, shape, 1.2) + 0.05 * _smooth(random, shape, 3)
    image -= 0.25 * _vesicles(random, shape) * (border > 7)
    for darkness, coverage in _mitochondria(random, cell, within, border, room):
        image += coverage * (darkness - image)
    sharpness = np.clip(0.75 + 0.25 * _smooth(random, shape, 25), 0.5, 1)
    image -= sharpness * (image - 0.22) * np.exp(-0.5 * (border / (0.85 * thickness)) ** 2)

    image = scipy.ndimage.gaussian_filter(image, random.uniform(0.6, 0.9))
    image += 0.05 * _smooth(random, shape, 60) + random.uniform(0.04, 0.06) * random.standard_normal(shape)
    return np.clip(image, 0, 1).astype(np.float32), labels


def _cells(random, shape):
    """For every pixel its cell, where it lies within, `(ndim,) + shape`, and how far the border is; the room in every cell."""
    axes = np.meshgrid(*(np.arange(size, dtype=np.float32) for size in shape), indexing="ij")
    place = np.stack([axis + sum(amount * _smooth(random, shape, length) for amount, length in BENDING) for axis in axes])
    points = _points(random, shape)
    tree = scipy.spatial.cKDTree(points)
    distances, nearest = tree.query(place.reshape(len(shape), -1).T, k=2)
    room = tree.query(points, k=2)[0][:, 1] / 2
    points = points.astype(np.float32)
    cell, other = (np.ascontiguousarray(each).reshape(shape) for each in nearest.T)
    border = (distances[:, 1] ** 2 - distances[:, 0] ** 2).astype(np.float32).reshape(shape) / 2
    # The plane half-way to the other point, at a distance that is measured across it in the image and not in bent space.
    towards = np.moveaxis(points[other] - points[cell], -1, 0)
    slope = [sum(way * np.gradient(axis, axis=along) for way, axis in zip(towards, place)) for along in range(len(shape))]
    border /= np.sqrt(sum(each * each for each in slope)) + np.float32(1e-6)
    return cell, place - np.moveaxis(points[cell], -1, 0), border, room


def _points(random, shape):
    """A jittered lattice that reaches beyond the image, thinned out by patches, so that cells are large here and small there."""
    counts = [int(size / SPACING) + 5 for size in shape]
    lattice = np.stack(np.meshgrid(*(np.arange(count) - 2 for count in counts), indexing="ij"), axis=-1).astype(np.float64)
    lattice += random.uniform(-0.45, 0.45, lattice.shape)
    kept = np.clip(0.3 + 0.3 * _smooth(random, tuple(counts), 2), 0.06, 0.8)
    chosen = lattice[random.uniform(size=kept.shape) < kept]
    return SPACING * (chosen if len(chosen) > 2 else lattice.reshape(-1, len(shape)))


def _mitochondria(random, cell, within, border, room):
    """`(brightness, coverage)` of each layer: dark spheroids in some cells, their stripes, their outline."""
    cells, ndim = len(room), len(within)
    radius = np.where((room > 9) & (random.uniform(size=cells) < 0.4), room * random.uniform(0.4, 0.7, cells), 1e-3)
    direction = random.standard_normal((ndim, cells))
    direction /= np.sqrt((direction**2).sum(axis=0))
    offset = 0.3 * radius * random.standard_normal((ndim, cells)) / np.sqrt(ndim)
    place = within - offset[:, cell].astype(np.float32)
    along = (place * direction[:, cell].astype(np.float32)).sum(axis=0)
    across = np.sqrt(np.maximum((place**2).sum(axis=0) - 0.6 * along**2, 0))
    depth = np.minimum(radius[cell].astype(np.float32) - across, border - 3)  # never over a membrane
    stripes = 0.5 + 0.5 * np.cos(1.6 * along + 2 * _smooth(random, cell.shape, 4))
    body = np.clip(depth + 0.5, 0, 1)
    yield 0.36 + 0.14 * stripes, 0.85 * body
    yield 0.25, 0.8 * body * np.exp(-0.5 * depth**2)


def _vesicles(random, shape):
    """Small dark rings, one for every thousand pixels or so."""
    spots = (random.uniform(size=shape) < 1e-3).astype(np.float32)
    wide, narrow = (scipy.ndimage.gaussian_filter(spots, width) * width ** len(shape) for width in (2.2, 1.3))
    return np.clip(9 * (wide - 0.75 * narrow), -0.3, 1)


def _smooth(random, shape, length):
    """Noise of unit variance that is smooth over `length` pixels, drawn on a coarser lattice where that does."""
    step = max(1, int(length / 2))
    coarse = random.standard_normal([size // step + 4 for size in shape]).astype(np.float32)
    coarse = scipy.ndimage.gaussian_filter(coarse, length / step, mode="wrap")
    coarse *= (2 * np.sqrt(np.pi) * length / step) ** (len(shape) / 2)  # what smoothing took from the deviation
    for axis, size in enumerate(shape):
        coarse = _stretch(coarse, axis, size, step) if step > 1 else coarse.take(np.arange(size), axis)
    return coarse


def _stretch(array, axis, size, step):
    """Linear interpolation between the lines of a lattice that are `step` pixels apart."""
    place = np.arange(size, dtype=np.float32) / step
    low = place.astype(int)
    share = (place - low).astype(np.float32).reshape([-1 if each == axis else 1 for each in range(array.ndim)])
    return array.take(low, axis) * (1 - share) + array.take(low + 1, axis) * share
