"""Random head and chest phantoms with a smooth phase: complex images without any data at hand. No Keras here."""

import numpy as np

SMALLEST_SIZE = 16


def random_phantoms(count, shape=(128, 128), seed=0):
    """Draws `count` complex images of ellipses that look like axial slices of a head or of a chest.

    An outer body, organs of different intensity and small bright and dark details lie over each other; their edges are
    anti-aliased analytically over one pixel, their outlines bent a little. A smooth shading and a faint texture are
    multiplied in, then a smooth random phase. The background is exactly zero, nothing is noisy.

    Image `index` depends on `shape`, `seed` and `index` only: it stays the same when `count` grows, and two seeds give two
    sets without a common image, for instance one to train with and one to test with.

    Args:
        count: Number of images, 1 or more.
        shape: `(height, width)` in pixels, each 16 or more; the body fills the image in both directions.
        seed: Integer from 0 to 2**32 - 1.

    Returns:
        complex64 `(count, height, width)`; the largest magnitude of each image is 1 (never above), the phase takes any value.

    Raises:
        ValueError: When `count`, `shape` or `seed` is out of range.
    """
    if not _is_integer(count) or count < 1:
        raise ValueError("`count` must be an integer of 1 or more. Received: %r. Try `count=64`." % (count,))
    if not _is_size(shape):
        raise ValueError(
            "`shape` must be (height, width), two integers of %d or more. Received: %r. Try `shape=(128, 128)`."
            % (SMALLEST_SIZE, shape)
        )
    if not _is_integer(seed) or not 0 <= seed < 2**32:
        raise ValueError("`seed` must be an integer from 0 to 2**32 - 1. Received: %r. Try `seed=0`." % (seed,))
    phantoms = np.empty((count,) + tuple(shape), np.complex64)
    for index in range(count):
        phantoms[index] = _phantom(np.random.RandomState([seed, index]), shape)
    return phantoms


def _is_integer(value):
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _is_size(shape):
    return (
        isinstance(shape, (tuple, list))
        and len(shape) == 2
        and all(_is_integer(size) and size >= SMALLEST_SIZE for size in shape)
    )


def _phantom(random, shape):
    organs = (_head, _chest)[random.randint(2)](random)
    magnitude = _paint(random, shape, organs)
    magnitude *= 1 + 0.1 * _waves(random, shape, 0.2, 0.6) + 0.02 * _waves(random, shape, 6, 16)
    # A hair above the maximum, so that rounding after the phase does not lift a magnitude above 1.
    magnitude = np.maximum(magnitude, 0) / (magnitude.max() * (1 + 1e-6))
    return magnitude * np.exp(1j * _phase(random, shape))


def _head(random):
    """Ellipses `(intensity, y, x, radius_y, radius_x, degrees)` from the outermost on; the image spans -1 to 1."""
    uniform = random.uniform
    height, width = uniform(0.78, 0.92), uniform(0.62, 0.76)
    rings = [(uniform(0.7, 1), 1), (uniform(0.02, 0.12), 0.94), (uniform(0.2, 0.4), 0.87), (uniform(0.45, 0.6), 0.84)]
    organs = [(value, 0, 0, height * scale, width * scale, 0) for value, scale in rings]
    white, fluid = uniform(0.65, 0.9), uniform(0.1, 0.3)
    for side in (-1, 1):
        organs += [(white, y, side * 0.3 * width, 0.3 * height, 0.24 * width, uniform(-30, 30)) for y in (-0.4, 0.35)]
        organs.append((white, uniform(-0.05, 0.05), side * 0.32 * width, 0.58 * height, 0.32 * width, side * uniform(0, 12)))
        organs.append((uniform(0.5, 0.65), 0.02, side * 0.17, uniform(0.09, 0.15), uniform(0.06, 0.1), side * 25))
        organs.append((fluid, -0.2, side * 0.09, uniform(0.14, 0.24), uniform(0.03, 0.07), side * uniform(5, 25)))
        organs.append((fluid, 0.3, side * 0.22, uniform(0.08, 0.2), uniform(0.02, 0.05), side * uniform(-40, -15)))
    organs += [(fluid, y, 0, 0.22 * height, uniform(0.008, 0.016), 0) for y in (-0.6 * height, 0.6 * height)]
    return organs + _details(random, 0, 0, 0.65 * height, 0.65 * width, random.randint(8, 16))


def _chest(random):
    """As `_head`: fat, muscle, lungs with vessels, heart, aorta, spine."""
    uniform = random.uniform
    height, width = uniform(0.6, 0.75), uniform(0.82, 0.94)
    fat, muscle, air, blood = uniform(0.75, 1), uniform(0.3, 0.45), uniform(0.02, 0.08), uniform(0.6, 0.95)
    rings = [(fat, 1), (muscle, uniform(0.85, 0.93))]
    organs = [(value, 0, 0, height * scale, width * scale, 0) for value, scale in rings]
    for side in (-1, 1):
        y, x = uniform(-0.06, 0.02), side * uniform(0.42, 0.46) * width
        organs.append((air, y, x, uniform(0.55, 0.68) * height, uniform(0.27, 0.33) * width, side * uniform(0, 15)))
        organs += _details(random, y, x, 0.5 * height, 0.2 * width, random.randint(4, 9), low=0.2)
    y, x, size, tilt = uniform(-0.1, 0.08), uniform(0.02, 0.2), uniform(0.2, 0.27), uniform(-50, 50)
    organs.append((muscle * uniform(0.8, 1.4), y, x, size, 1.25 * size, tilt))
    organs.append((blood, y + uniform(-0.02, 0.02), x + 0.35 * size, 0.6 * size, 0.5 * size, tilt))
    organs.append((blood * 0.9, y, x - 0.5 * size, 0.55 * size, 0.38 * size, tilt + 20))
    organs += [(muscle, y + 0.2 * size, x + shift * size, 0.08 * size, 0.07 * size, 0) for shift in (0.2, 0.5)]
    organs.append((blood, 0.5 * height, uniform(0.08, 0.16), uniform(0.05, 0.08), uniform(0.05, 0.08), 0))
    organs.append((uniform(0.4, 0.7), 0.62 * height, 0, uniform(0.1, 0.13), uniform(0.1, 0.14), 0))
    organs.append((uniform(0.1, 0.9), 0.74 * height, 0, 0.05, 0.04, 0))
    ribs = np.linspace(20, 160, 6) + uniform(-8, 8)
    for degrees in np.concatenate([ribs, ribs + 180]):
        y, x = 0.84 * height * np.cos(np.deg2rad(degrees)), 0.84 * width * np.sin(np.deg2rad(degrees))
        organs.append((uniform(0.1, 0.25), y, x, 0.022, 0.07, -degrees))
    return organs


def _details(random, y, x, radius_y, radius_x, count, low=0.0):
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


def _paint(random, shape, organs):
    """The magnitude: every organ covers those before it, the body as a whole is turned, shifted and bent."""
    y, x = np.meshgrid(*(((np.arange(size) + 0.5) * 2 / size - 1).astype(np.float32) for size in shape), indexing="ij")
    y += random.uniform(-0.05, 0.05) + 0.012 * _waves(random, shape, 0.3, 1.5)
    x += random.uniform(-0.05, 0.05) + 0.012 * _waves(random, shape, 0.3, 1.5)
    turn = _rotation(random.uniform(-12, 12))
    image = np.zeros(shape, np.float32)
    for intensity, center_y, center_x, radius_y, radius_x, degrees in organs:
        to_unit_circle = np.diag([1 / radius_y, 1 / radius_x]).dot(_rotation(degrees))
        center = to_unit_circle.dot([center_y, center_x])
        image += _coverage(y, x, to_unit_circle.dot(turn), center) * (intensity - image)
    return image


def _rotation(degrees):
    angle = np.deg2rad(degrees)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _coverage(y, x, to_unit_circle, center):
    """How much of each pixel, 0 to 1, lies in the ellipse that `to_unit_circle` less `center` makes the unit circle.

    `level = 1 - |p|^2` over the length of its gradient per pixel is the distance to the edge in pixels, to first order.
    """
    matrix = to_unit_circle.astype(np.float32)
    v = matrix[0, 0] * y + matrix[0, 1] * x - np.float32(center[0])
    u = matrix[1, 0] * y + matrix[1, 1] * x - np.float32(center[1])
    per_row, per_column = matrix * 2 / np.float32(y.shape[0]), matrix * 2 / np.float32(y.shape[1])
    slope_y = v * per_row[0, 0] + u * per_row[1, 0]
    slope_x = v * per_column[0, 1] + u * per_column[1, 1]
    slope = 2 * np.sqrt(slope_y * slope_y + slope_x * slope_x)
    return np.clip((1 - v * v - u * u) / (slope + np.float32(1e-12)) + np.float32(0.5), 0, 1)


def _phase(random, shape):
    """Radians: a random quadratic, as a shim leaves it, and waves of up to one cycle, as receive coils add them."""
    y, x = (np.linspace(-1, 1, size) for size in shape)
    y, x = y[:, np.newaxis], x[np.newaxis]
    offset, tilt_y, tilt_x, bend_y, bend_x, twist = random.uniform(-1, 1, 6) * (np.pi, 2, 2, 1, 1, 1)
    quadratic = offset + tilt_y * y + tilt_x * x + bend_y * y * y + bend_x * x * x + twist * y * x
    return quadratic + 0.3 * _waves(random, shape, 0.3, 1)


def _waves(random, shape, fewest, most, count=6):
    """A random field of unit variance: products of a cosine down and one across, `fewest` to `most` cycles per image each."""
    down, across = (
        np.cos(
            2 * np.pi * (random.uniform(fewest, most, (count, 1)) * np.arange(size) / size + random.uniform(0, 1, (count, 1)))
        )
        for size in shape
    )
    return (down.T.dot(across) * 2 / np.sqrt(count)).astype(np.float32)
