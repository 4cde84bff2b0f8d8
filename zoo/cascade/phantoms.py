"""Random head and chest phantoms with a smooth phase: complex images without any data at hand. No Keras here."""

import numpy as np

from zoo.cascade.ellipses import details, grid, paint, require_arguments, rotation, smooth_phase, waves


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
    require_arguments(count, shape, seed, ("height", "width"), (16, 16), (128, 128))
    phantoms = np.empty((count,) + tuple(shape), np.complex64)
    for index in range(count):
        phantoms[index] = _phantom(np.random.RandomState([seed, index]), shape)
    return phantoms


def _phantom(random, shape):
    organs = (_head, _chest)[random.randint(2)](random)
    y, x = grid(shape)
    y += random.uniform(-0.05, 0.05) + 0.012 * waves(random, shape, 0.3, 1.5)  # the body as a whole is shifted and bent
    x += random.uniform(-0.05, 0.05) + 0.012 * waves(random, shape, 0.3, 1.5)
    magnitude = np.zeros(shape, np.float32)
    paint(magnitude, y, x, organs, rotation(random.uniform(-12, 12)))
    magnitude *= 1 + 0.1 * waves(random, shape, 0.2, 0.6) + 0.02 * waves(random, shape, 6, 16)
    # A hair above the maximum, so that rounding after the phase does not lift a magnitude above 1.
    magnitude = np.maximum(magnitude, 0) / (magnitude.max() * (1 + 1e-6))
    return magnitude * np.exp(1j * smooth_phase(random, shape))


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
    return organs + details(random, 0, 0, 0.65 * height, 0.65 * width, random.randint(8, 16))


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
        organs += details(random, y, x, 0.5 * height, 0.2 * width, random.randint(4, 9), low=0.2)
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
