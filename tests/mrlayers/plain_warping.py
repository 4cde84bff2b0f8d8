"""Linear interpolation and its two gradients, corner by corner in float64 NumPy: what the fast kernels are held to."""

import itertools

import numpy as np


def sample(volume, where, first):
    """See `mrlayers.backend.tensorflow_warping.sample`."""
    result = 0
    for index, weights, _ in corners(volume.shape, where, first):
        result = result + np.prod(weights, axis=0)[..., None] * volume[index]
    return result


def gradients(volume, where, first, upstream):
    """Of `sum(sample(volume, where, first) * upstream)`: to the volume, and to `where`."""
    to_volume, to_where = np.zeros(volume.shape), np.zeros(where.shape)
    for index, weights, slopes in corners(volume.shape, where, first):
        np.add.at(to_volume, index, np.prod(weights, axis=0)[..., None] * upstream)
        for axis, slope in enumerate(slopes):
            others = np.prod(weights[:axis] + [slope] + weights[axis + 1 :], axis=0)
            to_where[..., axis] += others * np.sum(volume[index] * upstream, axis=-1)
    return to_volume, to_where


def corners(shape, where, first):
    """For each corner of the cells: its index, its weight along every axis, and how that grows with the coordinate."""
    size = shape[1:-1]
    x = np.array(where, "float64")
    if first is not None:
        x += first + np.stack(np.meshgrid(*[np.arange(length) for length in where.shape[1:-1]], indexing="ij"), axis=-1)
    last = np.array(size) - 1
    lowest = np.clip(np.floor(x), 0, np.maximum(last - 1, 0)).astype(int)
    fraction = np.clip(x, 0, last) - lowest
    moves = (x >= 0) & (x < last)
    batch = np.arange(shape[0]).reshape([-1] + [1] * (x.ndim - 2))
    for corner in itertools.product([0, 1], repeat=len(size)):
        index = tuple(np.minimum(lowest[..., axis] + corner[axis], last[axis]) for axis in range(len(size)))
        weights = [fraction[..., axis] if high else 1 - fraction[..., axis] for axis, high in enumerate(corner)]
        slopes = [moves[..., axis] * (1.0 if high else -1.0) for axis, high in enumerate(corner)]
        yield (batch,) + index, weights, slopes
