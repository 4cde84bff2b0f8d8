"""Random beating hearts, seen in short axis: complex series without any data at hand. No Keras here.

In-plane distances are fractions of half the image; the blood pool of the left ventricle is about 20 of 100 pixels wide.
"""

import numpy as np
import scipy.interpolate

from zoo.cascade.ellipses import details, grid, paint, require_arguments, rotation, smooth_phase, waves

SHORTENING = 0.1  # of the long axis, which leaves a thicker wall and a larger pool in the slice than without


def random_hearts(count, shape=(16, 64, 64), seed=0, respiration=False):
    """Draws `count` complex series of a chest in which a heart beats once, as cine imaging in short axis shows it.

    The left ventricle is a ring around blood with two papillary muscles, the right one a crescent beside it. Blood leaves fast
    in systole, comes back fast in early diastole, rests, and is topped up by the atria. The wall keeps its volume: it thickens
    while the blood pool shrinks, by an ejection fraction between 0.45 and 0.7, and it twists a little. Blood darkens a
    little while it flows fast. Chest wall, ribs, lungs and their vessels, liver, stomach, aorta and spine lie around it. All
    edges are anti-aliased analytically over one pixel. A smooth shading and a faint texture that do not move are multiplied
    in, then a smooth random phase, of which a small part changes over time. The background is exactly zero, nothing is noisy.

    Time covers one heart beat, from a random instant of it: frame `time` would be frame 0 again, unless there is `respiration`.

    Series `index` depends on its arguments and on `index` only: it stays the same when `count` grows, and two seeds give two
    sets without a common series, for instance one to train with and one to test with.

    Args:
        count: Number of series, 1 or more.
        shape: `(time, height, width)`: frames in a heart beat, 1 or more, and pixels, each 16 or more.
        seed: Integer from 0 to 2**32 - 1.
        respiration: Whether the organs, and the heart with them, drift by up to 8 % of the image as in free breathing; the
            chest wall follows less. The anatomy is the same as without.

    Returns:
        complex64 `(count, time, height, width)`; the largest magnitude of each series is 1 (never above), the phase takes any
        value.

    Raises:
        ValueError: When `count`, `shape` or `seed` is out of range.
    """
    require_arguments(count, shape, seed, ("time", "height", "width"), (1, 16, 16), (16, 64, 64))
    hearts = np.empty((count,) + tuple(shape), np.complex64)
    for index in range(count):
        hearts[index] = _series(np.random.RandomState([seed, index]), shape, respiration)
    return hearts


def _series(random, shape, respiration):
    frames, pixels = shape[0], tuple(shape[1:])
    time = np.arange(frames).reshape(frames, 1, 1) / float(frames)
    chest, heart = _chest(random), _heart(random, time)
    y, x = grid(pixels)
    y += random.uniform(-0.04, 0.04) + 0.012 * waves(random, pixels, 0.3, 1.5)
    x += random.uniform(-0.04, 0.04) + 0.012 * waves(random, pixels, 0.3, 1.5)
    down, across = _drift(random, time)
    if respiration:
        share = np.exp(-((y * y + x * x) ** 2) * 3)
        y, x = y - down * share, x - across * share
    turn = rotation(random.uniform(-8, 8))
    magnitude = np.zeros(y.shape, np.float32)
    paint(magnitude, y, x, chest, turn)
    magnitude = np.array(np.broadcast_to(magnitude, shape))
    paint(magnitude, y, x, heart, turn)
    magnitude *= 1 + 0.1 * waves(random, pixels, 0.2, 0.6) + 0.03 * waves(random, pixels, 6, 16)
    # A hair above the maximum, so that rounding after the phase does not lift a magnitude above 1.
    magnitude = np.maximum(magnitude, 0) / (magnitude.max() * np.float32(1 + 1e-6))
    angle = 2 * np.pi * time
    phase = smooth_phase(random, pixels) + sum(0.1 * wave(angle) * waves(random, pixels, 0.3, 1) for wave in (np.cos, np.sin))
    return magnitude * np.exp(1j * phase.astype(np.float32))


def _chest(random):
    """What does not beat, as the ellipses of `zoo.cascade.ellipses`, from the outermost on."""
    uniform = random.uniform
    height, width = uniform(0.78, 0.9), uniform(0.9, 0.97)
    fat, muscle, air, liver = uniform(0.6, 0.85), uniform(0.25, 0.35), uniform(0.02, 0.06), uniform(0.3, 0.45)
    organs = [(value, 0, 0, height * scale, width * scale, 0) for value, scale in ((fat, 1), (muscle, uniform(0.86, 0.92)))]
    for side in (-1, 1):
        y, x = uniform(-0.12, -0.04), side * uniform(0.38, 0.42)
        organs.append((air, y, x, uniform(0.58, 0.64) * height, uniform(0.38, 0.43) * width, side * uniform(-5, 10)))
        organs += details(random, y, x, 0.5 * height, 0.3 * width, random.randint(10, 18), low=0.1)
    dome = uniform(0.4, 0.46)
    organs.append((liver, dome, uniform(-0.4, -0.34), uniform(0.21, 0.26), uniform(0.34, 0.4), uniform(5, 15)))
    organs += details(random, dome, -0.38, 0.15, 0.28, random.randint(4, 9), low=0.3)
    organs.append((uniform(0.2, 0.6), dome, uniform(0.42, 0.48), uniform(0.13, 0.18), uniform(0.22, 0.26), uniform(-30, -10)))
    organs.append((uniform(0.1, 0.8), dome - 0.02, 0.44, uniform(0.05, 0.08), uniform(0.08, 0.13), uniform(-40, 0)))
    organs.append((muscle, 0.68 * height, 0, 0.21, 0.36, 0))
    organs.append((uniform(0.4, 0.6), 0.64 * height, 0, uniform(0.1, 0.12), uniform(0.12, 0.15), 0))
    organs.append((uniform(0.7, 0.95), 0.8 * height, 0, 0.035, 0.035, 0))
    ribs = np.linspace(15, 165, 7) + uniform(-8, 8)
    for degrees in np.concatenate([ribs, ribs + 180]):
        y, x = 0.87 * height * np.cos(np.deg2rad(degrees)), 0.87 * width * np.sin(np.deg2rad(degrees))
        organs.append((uniform(0.1, 0.5), y, x, 0.024, 0.075, -degrees))
    return organs


def _heart(random, time):
    """What beats, in the same form, with arrays `(time, 1, 1)`."""
    uniform = random.uniform
    volume, speed = _beat(random, time)
    emptied = 1 - volume
    blood, muscle, fat = uniform(0.85, 1), uniform(0.22, 0.34), uniform(0.4, 0.65)
    flowing = (blood * (1 - uniform(0.05, 0.12) * speed)).astype(np.float32)
    y, x = uniform(-0.1, 0.0) + 0.02 * emptied, uniform(0.06, 0.16) - 0.015 * emptied
    pool, wall, ejected = uniform(0.17, 0.22), uniform(0.07, 0.095), uniform(0.45, 0.7)
    length = 1 - SHORTENING * emptied
    inner = pool * np.sqrt((1 - ejected * emptied) / length)
    outer = np.sqrt(inner**2 + ((pool + wall) ** 2 - pool**2) / length)
    oval, tilt = uniform(0.92, 1.08), uniform(-40, 40)
    size, toward = pool + wall, np.deg2rad(uniform(-5, 35))  # the right ventricle lies to the left of the image, a little up
    right_y, right_x = y - 0.8 * size * np.sin(toward), x - 0.8 * size * np.cos(toward)
    right_height, right_width = uniform(1.0, 1.15) * size * (1 - 0.15 * emptied), uniform(0.85, 1) * size * (1 - 0.3 * emptied)
    slant = np.rad2deg(-toward) + uniform(-10, 10)
    rim, thin = uniform(0.02, 0.04), 0.025 + 0.01 * emptied
    organs = [
        (fat, (y + right_y) / 2, (x + right_x) / 2, 1.05 * size + rim, 1.5 * size + rim, slant),
        (muscle, right_y, right_x, right_height + thin, right_width + thin, slant),
        (flowing, right_y, right_x, right_height, right_width, slant),
    ]
    for _ in range(4):  # trabeculae along the free wall
        angle, place = uniform(-1.2, 1.2) + toward, uniform(0.75, 0.95)
        organs.append(
            (
                uniform(1, 1.8) * muscle,
                right_y - place * right_height * np.sin(angle),
                right_x - place * right_width * np.cos(angle),
                uniform(0.015, 0.025),
                uniform(0.03, 0.05),
                np.rad2deg(-angle),
            )
        )
    organs.append((muscle, y, x, outer * oval, outer / oval, tilt))
    organs.append((flowing, y, x, inner * oval, inner / oval, tilt))
    twist = np.deg2rad(uniform(6, 14)) * emptied
    for degrees in (uniform(-60, -35), uniform(50, 80)):  # papillary muscles keep their area and are drawn together
        angle, radius = np.deg2rad(degrees) + twist, uniform(0.18, 0.24) * pool
        place = inner - 1.1 * radius
        organs.append((muscle, y + place * np.sin(angle), x + place * np.cos(angle), radius, 1.2 * radius, np.rad2deg(-angle)))
    _, pulse = _beat(random, time)
    aorta = uniform(0.06, 0.08) * (1 + 0.05 * pulse)
    organs.append(((blood * (1 - 0.15 * pulse)).astype(np.float32), uniform(0.36, 0.42), uniform(0.16, 0.22), aorta, aorta, 0))
    return organs


def _beat(random, time):
    """Blood in the ventricle, 1 at its most and 0 at its least, and how fast that changes, 0 to 1; both with period 1."""
    uniform = random.uniform
    systole = uniform(0.3, 0.4)
    instants = [0, systole, systole + 0.06, systole + uniform(0.22, 0.28), uniform(0.8, 0.84), 0.95, 1]
    curve = scipy.interpolate.PchipInterpolator(instants, [1, 0, 0, uniform(0.7, 0.76), uniform(0.78, 0.84), 1, 1])
    speed = curve.derivative()
    instant = (time + uniform()) % 1
    return curve(instant), np.abs(speed(instant)) / np.abs(speed(np.linspace(0, 1, 200))).max()


def _drift(random, time):
    """Displacement of the organs down and across during part of a breath, float32."""
    amplitude, breaths, start = random.uniform(0.06, 0.16), random.uniform(0.2, 0.45), random.uniform(0, 1)
    course = np.sin(2 * np.pi * (breaths * time + start)).astype(np.float32)
    return np.float32(amplitude) * course, np.float32(0.2 * amplitude * random.uniform(-1, 1)) * course
