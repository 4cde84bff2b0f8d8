"""What phantoms are made of: anti-aliased ellipses, smooth random fields and a smooth phase. No Keras here.

An ellipse is `(intensity, y, x, radius_y, radius_x, degrees)` where the image spans -1 to 1 in both directions. Each of them is
a number or, for what moves, a float32 array `(time, 1, 1)`.
"""

import numpy as np

from mrlayers.checks import refusal, require_integer


def require_arguments(count, shape, seed, axes, smallest, example):
    """What every phantom asks for: `shape` has the sizes of `axes`, none below that of `smallest`."""
    if not _is_integer(count) or count < 1:
        raise refusal("`count` must be an integer of 1 or more", repr(count), "`count=64`")
    known = isinstance(shape, (tuple, list)) and len(shape) == len(smallest) and all(_is_integer(size) for size in shape)
    if not known or any(size < least for size, least in zip(shape, smallest)):
        expected = "`shape` must be (%s), integers of at least %s" % (", ".join(axes), smallest)
        raise refusal(expected, repr(shape), "`shape=%s`" % (example,))
    require_integer("seed", seed, 0)


def grid(shape):
    """The middles of the pixels of `(height, width)`: float32 `[y, x]`, from -1 to 1."""
    return np.meshgrid(*(((np.arange(size) + 0.5) * 2 / size - 1).astype(np.float32) for size in shape), indexing="ij")


def rotation(degrees):
    """`(2, 2)`, with the axes of `degrees` behind."""
    angle = np.deg2rad(degrees)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def paint(image, y, x, ellipses, turn):
    """Lets each ellipse cover those before it.

    Args:
        image: float32 `(height, width)`, or `(time, height, width)` where ellipses move; it is written to.
        y, x: float32 places of its pixels; `(height, width)` does for all frames.
        ellipses: As the module says.
        turn: `(2, 2)`, by which the picture as a whole is rotated.
    """
    for intensity, center_y, center_x, radius_y, radius_x, degrees in ellipses:
        center_y, center_x, radius_y, radius_x, degrees = np.broadcast_arrays(center_y, center_x, radius_y, radius_x, degrees)
        to_unit_circle = rotation(degrees) * (1 / np.array([radius_y, radius_x]))[:, np.newaxis]
        center = np.einsum("ij...,j...->i...", to_unit_circle, np.array([center_y, center_x]))
        image += _coverage(y, x, np.einsum("ij...,jk->ik...", to_unit_circle, turn), center) * (intensity - image)


def details(random, y, x, radius_y, radius_x, count, low=0.0):
    """Small ellipses of any intensity from `low` to 1, scattered over the ellipse with this centre and these radii."""
    angle, radius = random.uniform(0, 2 * np.pi, count), np.sqrt(random.uniform(0, 1, count))
    return list(
        zip(
            random.uniform(low, 1, count),
            y + radius_y * radius * np.cos(angle),
            x + radius_x * radius * np.sin(angle),
            random.uniform(0.012, 0.045, count),
            random.uniform(0.012, 0.045, count),
            random.uniform(0, 180, count),
        )
    )


def smooth_phase(random, shape):
    """Radians: a random quadratic, as a shim leaves it, and waves of up to one cycle, as receive coils add them."""
    y, x = (np.linspace(-1, 1, size) for size in shape)
    y, x = y[:, np.newaxis], x[np.newaxis]
    offset, tilt_y, tilt_x, bend_y, bend_x, twist = random.uniform(-1, 1, 6) * (np.pi, 2, 2, 1, 1, 1)
    quadratic = offset + tilt_y * y + tilt_x * x + bend_y * y * y + bend_x * x * x + twist * y * x
    return quadratic + 0.3 * waves(random, shape, 0.3, 1)


def waves(random, shape, fewest, most, count=6):
    """A random field of unit variance: products of a cosine down and one across, `fewest` to `most` cycles per image each."""
    down, across = (
        np.cos(
            2 * np.pi * (random.uniform(fewest, most, (count, 1)) * np.arange(size) / size + random.uniform(0, 1, (count, 1)))
        )
        for size in shape
    )
    return (down.T.dot(across) * 2 / np.sqrt(count)).astype(np.float32)


def _is_integer(value):
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _coverage(y, x, to_unit_circle, center):
    """How much of each pixel, 0 to 1, lies in the ellipse that `to_unit_circle` less `center` makes the unit circle.

    `level = 1 - |p|^2` over the length of its gradient per pixel is the distance to the edge in pixels, to first order.
    """
    matrix, center = to_unit_circle.astype(np.float32), center.astype(np.float32)
    v = matrix[0, 0] * y + matrix[0, 1] * x - center[0]
    u = matrix[1, 0] * y + matrix[1, 1] * x - center[1]
    per_row, per_column = matrix * 2 / np.float32(y.shape[-2]), matrix * 2 / np.float32(y.shape[-1])
    slope_y = v * per_row[0, 0] + u * per_row[1, 0]
    slope_x = v * per_column[0, 1] + u * per_column[1, 1]
    slope = 2 * np.sqrt(slope_y * slope_y + slope_x * slope_x)
    return np.clip((1 - v * v - u * u) / (slope + np.float32(1e-12)) + np.float32(0.5), 0, 1)
