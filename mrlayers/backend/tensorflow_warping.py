"""Linear interpolation on TensorFlow, 1.15 and 2: the code that both generations share.

All corners of a cell lie at fixed distances from its lowest one, so one array of indices serves every gather, and one scatter of
whole cells serves the adjoint. In the last cell of an axis the fraction reaches 1, which gives the last voxel itself: nothing is
padded, and zero displacement is exact.
"""

import itertools

import numpy as np
import tensorflow as tf

NUMBERS_IN_A_ROW = 8  # of the scatter: wider rows cost more than they save (measured, 1 and 3 channels)
EXACT_INTEGERS = 2**24  # float32 counts up to here without a gap


def sample(volume, where, first):
    """Values of `volume` `(batch, *size, channels)` at `where` `(batch, *places, ndim)`: `(batch, *places, channels)`.

    `where` is in voxels. It holds coordinates for `first=None`; else displacements of places, of which that with index 0 has the
    coordinate `first` in every axis. Beyond the volume its edge is repeated.
    """
    return Cells(volume, where, first).values()


def gradient_volume(volume, where, first, upstream):
    """The gradient with respect to `volume`: the adjoint of `sample`, which is linear in it."""
    return Cells(volume, where, first).gradient_volume(upstream)


def gradient_where(volume, where, first, upstream):
    """The gradient with respect to `where`: on the lattice the derivative to the right, 0 beyond the volume."""
    return Cells(volume, where, first).gradient_where(upstream)


class Cells:
    """The cell of the lattice around each place: the index of its lowest corner, and how far the place lies in it."""

    def __init__(self, volume, where, first):
        self.volume, self.where = volume, where
        size = volume.shape.as_list()[1:-1]
        self.channels = volume.shape.as_list()[-1]
        self.strides = [int(np.prod(size[axis + 1 :])) * (length > 1) for axis, length in enumerate(size)]
        self.inside, self.fractions = [], []
        exact = where.dtype if np.prod(size) <= EXACT_INTEGERS else tf.int32
        lowest_corner = 0
        for axis, (x, length) in enumerate(zip(tf.unstack(where, axis=-1), size)):
            if first is not None:
                grid = first + np.arange(where.shape.as_list()[axis + 1])
                x += tf.constant(grid.reshape([-1] + [1] * (len(size) - 1 - axis)), where.dtype)
            clipped = tf.minimum(tf.maximum(x, 0), length - 1)
            lowest = tf.minimum(tf.floor(clipped), max(length - 2, 0))
            self.inside.append((x >= 0) & (x < length - 1))
            self.fractions.append(self._in_rows(clipped - lowest))
            lowest_corner += tf.cast(lowest, exact) * self.strides[axis]
        lowest_corner = tf.maximum(tf.cast(lowest_corner, tf.int32), 0)  # what is not a number becomes the lowest integer
        if volume.shape.as_list()[0] != 1:
            batch = tf.range(tf.shape(volume)[0]) * int(np.prod(size))
            lowest_corner += tf.reshape(batch, [-1] + [1] * (len(where.shape.as_list()) - 2))
        self.lowest_corner = tf.reshape(lowest_corner, [-1])
        self.rests = [1 - fraction for fraction in self.fractions]
        self.corners = None

    def values(self):
        values = self._corners()
        for axis in reversed(range(len(self.strides))):
            values = [self._between(axis, low, high) for low, high in zip(values[::2], values[1::2])]
        return tf.reshape(values[0], tf.concat([tf.shape(self.where)[:-1], [self.channels]], 0))

    def gradient_where(self, upstream):
        values, slopes = self._corners(), []  # slopes[i][j]: along an axis already done, at what is left of corner j
        for axis in reversed(range(len(self.strides))):
            slopes = [[self._between(axis, low, high) for low, high in zip(s[::2], s[1::2])] for s in slopes]
            slopes.insert(0, [high - low for low, high in zip(values[::2], values[1::2])])
            values = [self._between(axis, low, high) for low, high in zip(values[::2], values[1::2])]
        upstream = self._in_rows(upstream, repeat=False)
        gradients = []
        for inside, (slope,) in zip(self.inside, slopes):
            product = upstream * slope
            if self.channels > 1:
                product = tf.reduce_sum(product, axis=-1)
            gradients.append(tf.where(tf.reshape(inside, [-1]), product, tf.zeros_like(product)))
        return tf.reshape(tf.stack(gradients, axis=-1), tf.shape(self.where))

    def gradient_volume(self, upstream):
        weights = [self._in_rows(upstream, repeat=False)]
        for rest, fraction in zip(self.rests, self.fractions):
            weights = [part for weight in weights for part in (weight * rest, weight * fraction)]
        count = tf.reduce_prod(tf.shape(self.volume)[:-1])
        together = max(1, min(len(weights), NUMBERS_IN_A_ROW // self.channels))
        cells = [tf.reshape(weight, [-1, self.channels]) for weight in weights]
        cells = [tf.concat(cells[first : first + together], axis=1) for first in range(0, len(cells), together)]
        cells = [tf.math.unsorted_segment_sum(cell, self.lowest_corner, count) for cell in cells]
        for stride in self.strides:
            half = len(cells) // 2
            pairs = zip(cells[:half], cells[half:]) if half else [tf.split(cells[0], 2, axis=1)]
            cells = [low + (_shifted(high, stride) if stride else high) for low, high in pairs]
        return tf.reshape(cells[0], tf.shape(self.volume))

    def _corners(self):
        """Values at the corners, the last axis running fastest; kept, so that a graph gathers once."""
        if self.corners is None:
            flat = tf.reshape(self.volume, [-1] if self.channels == 1 else [-1, self.channels])
            distances = [sum(corner) for corner in itertools.product(*[(0, stride) for stride in self.strides])]
            self.corners = [tf.gather(flat, self.lowest_corner + distance) for distance in distances]
        return self.corners

    def _between(self, axis, low, high):
        return self.rests[axis] * low + self.fractions[axis] * high

    def _in_rows(self, x, repeat=True):
        """One row a place, one number a channel (no axis for a single channel): products of equal shapes are the fast ones."""
        if self.channels == 1:
            return tf.reshape(x, [-1])
        return tf.tile(tf.reshape(x, [-1, 1]), [1, self.channels]) if repeat else tf.reshape(x, [-1, self.channels])


def _shifted(x, distance):
    return tf.concat([tf.zeros_like(x[:distance]), x[:-distance]], axis=0)
