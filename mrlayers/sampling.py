"""k-space sampling masks in NumPy: float32, 1 where k-space was measured.

What all masks share:

- `shape` ends in `(height, width)`; every axis in front (batch, frames) gets patterns of its own.
- A mask of lines is `(..., height, 1, 1)`: height is the phase-encoding axis, a line fills the width. A mask of points is
  `(..., height, width, 1)`.
- `centered=False` puts zero frequency at index 0 (NumPy's order), `centered=True` at `size // 2`. A block of `n` lines around
  it starts at `size // 2 - n // 2` of the centered order.
- `acceleration`, at least 1 and not always an integer, counts all that is measured, the centre too: exactly
  `floor(height / acceleration)` lines or `floor(height * width / acceleration)` points. `kt_shear_mask` differs and says so.
- `seed` is `None` (new randomness at each call), an integer or a sequence of them such as `[seed, epoch, index]`, or a
  `numpy.random.RandomState` or `Generator` to draw from. Integers seed a `RandomState`, whose stream is frozen: the same seed
  gives the same mask on every NumPy.
- What cannot be done is refused with a `ValueError` before anything is drawn.
"""

import operator
from collections import namedtuple
from numbers import Real

import numpy as np

GOLDEN_ANGLE = 90.0 * (5.0**0.5 - 1.0)  # degrees, 111.246


def cartesian_mask(shape, acceleration, center_lines=8, seed=None, centered=False):
    """Random lines, denser towards zero frequency: the mask of the deep cascade papers.

    The density is a Gaussian of standard deviation `height / 10` plus the constant `1 / (2 acceleration)`; lines are drawn from
    it without replacement, outside the centre. For an even height, an even `center_lines` above 0 and the same state of a
    `RandomState` they are the reference's lines; for odd numbers the reference measures too few, and for 0 it fails.

    Args:
        shape: `(..., height, width)`.
        acceleration, seed, centered: see the module.
        center_lines: lines around zero frequency that are always measured, 0 to `floor(height / acceleration)`.

    Returns:
        `(..., height, 1, 1)` with exactly `floor(height / acceleration)` lines.

    Reference: `cartesian_mask` of github.com/js3611/Deep-MRI-Reconstruction; Schlemper et al., IEEE TMI 37(2), 2018.
    """

    def draw(random, outside, count):
        height = outside.size
        gaussian = np.exp(-0.5 * ((np.arange(height) - height // 2) / (height / 10.0)) ** 2)
        density = (gaussian + 0.5 / acceleration) * outside
        return random.choice(height, count, replace=False, p=density / density.sum())

    return _mask_of_lines(shape, acceleration, center_lines, seed, centered, draw)


def random_lines(shape, acceleration, center_lines=8, seed=None, centered=False):
    """Random lines, all equally likely outside the centre (fastMRI's random mask, at an exact rate).

    Args:
        shape, acceleration, center_lines, seed, centered: as in `cartesian_mask`, and so is the result.
    """

    def draw(random, outside, count):
        return random.choice(np.flatnonzero(outside), count, replace=False)

    return _mask_of_lines(shape, acceleration, center_lines, seed, centered, draw)


def equispaced_lines(shape, acceleration, center_lines=8, offset=None, seed=None, centered=False):
    """Evenly spread lines around the centre, at the acceleration that was asked for.

    The centre counts; the other lines divide what lies outside of it evenly. Their distance there is
    `(height - center_lines) / (floor(height / acceleration) - center_lines)`, rounded down or up. (fastMRI's `equispaced` adds
    the centre on top and measures more than was asked; its `equispaced_fraction` divides by zero where the centre alone reaches
    the acceleration.) For a lattice of whole distances with the centre on top take `kt_shear_mask` with one frame.

    Args:
        shape, acceleration, center_lines, seed, centered: as in `cartesian_mask`.
        offset: integer, place of the first line among those outside the centre, counted from the most negative frequency and
            modulo their number; the same for all patterns. `None` draws one for each pattern.

    Returns:
        `(..., height, 1, 1)` with exactly `floor(height / acceleration)` lines.
    """
    if offset is not None and _integer(offset) is None:
        _refuse("offset", "None or an integer", offset, "offset=0")

    def draw(random, outside, count):
        lines = np.flatnonzero(outside)
        first = random.choice(lines.size) if offset is None else _integer(offset)
        return lines[(first + np.arange(count) * lines.size // count) % lines.size]

    return _mask_of_lines(shape, acceleration, center_lines, seed, centered, draw)


def variable_density_2d(shape, acceleration, center_size=9, seed=None, centered=False):
    """Random points, denser towards zero frequency, for two phase-encoding axes.

    The density is `(1 - r)^3`, where `r` grows from 0 at zero frequency to 1 just beyond the corners; points are drawn from it
    without replacement, outside the centre.

    Args:
        shape: `(..., height, width)`.
        acceleration, seed, centered: see the module.
        center_size: side in points of the square around zero frequency that is always measured, 0 to the shorter axis.

    Returns:
        `(..., height, width, 1)` with exactly `floor(height * width / acceleration)` points.

    Reference: the density is that of Lustig et al., MRM 58(6), 2007; the draw that of Efraimidis and Spirakis, 2006.
    """
    leading, (height, width) = _split(shape, 2)
    _require_integer("center_size", center_size, 0, min(height, width))
    points = _affordable(height * width, "points", acceleration, "center_size", center_size, 2)
    random = _random(seed)
    y = (np.arange(height) - height // 2) / (height + 1.0)
    x = (np.arange(width) - width // 2) / (width + 1.0)
    density = (1.0 - np.sqrt(2.0) * np.hypot(y[:, np.newaxis], x)) ** 3
    density[_center(height, center_size), _center(width, center_size)] = np.inf
    mask = np.zeros(leading + (height, width, 1), "float32")
    for pattern in mask.reshape(-1, height * width):
        # The first arrivals of Poisson processes with these rates are a weighted draw without replacement.
        arrival = random.exponential(size=density.size) / density.ravel()
        pattern[np.argpartition(arrival, points - 1)[:points]] = 1
    return _ordered(mask, centered)


def radial_mask(shape, num_spokes, golden_angle=True, first_angle=0.0, centered=False):
    """Straight spokes through zero frequency, rounded to the Cartesian grid (pseudo-radial); nothing is random.

    Each spoke runs from edge to edge and is one point thick; `describe_mask` tells the achieved acceleration.

    Args:
        shape: `(..., height, width)`.
        num_spokes: spokes in each pattern, at least 1.
        golden_angle: `True` turns every spoke by 111.246 degrees from the one before and goes on so over the axes in front;
            `False` spreads the spokes evenly over 180 degrees, the same in all patterns.
        first_angle: of the first spoke, in degrees; 0 lies along the width, 90 along the height.
        centered: see the module.

    Returns:
        `(..., height, width, 1)`.

    Reference: Winkelmann et al., IEEE TMI 26(1), 2007.
    """
    leading, (height, width) = _split(shape, 2)
    _require_integer("num_spokes", num_spokes, 1)
    if not isinstance(first_angle, Real) or not np.isfinite(first_angle):
        _refuse("first_angle", "a finite number of degrees", first_angle, "first_angle=0")
    mask = np.zeros(leading + (height, width, 1), "float32")
    reach = max(height, width) // 2
    for index, pattern in enumerate(mask.reshape(-1, height, width)):
        for spoke in range(num_spokes):
            turn = (index * num_spokes + spoke) * GOLDEN_ANGLE if golden_angle else spoke * 180.0 / num_spokes
            angle = np.deg2rad(first_angle + turn)
            direction = np.array([np.sin(angle), np.cos(angle)])
            direction /= np.abs(direction).max()
            y, x = np.rint(np.outer(direction, np.arange(-reach, reach + 1))).astype(int)
            y, x = y + height // 2, x + width // 2
            inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
            pattern[y[inside], x[inside]] = 1
    return _ordered(mask, centered)


def kt_shear_mask(shape, acceleration, center_lines=8, seed=None, centered=False):
    """A lattice of lines that moves up by one line per frame: any `acceleration` frames in a row measure every line.

    Frame `t` measures the lines `y` with `(y - start - t) mod acceleration = 0` in the centered order, with a random `start` for
    each series. The centre is measured in each frame **on top** of that, so the achieved acceleration is below the one asked
    for; `describe_mask` tells it.

    Args:
        shape: `(..., frames, height, width)`.
        acceleration: distance of the lines, an integer from 1 to `height`.
        center_lines: lines around zero frequency that are always measured, 0 to `height`.
        seed, centered: see the module.

    Returns:
        `(..., frames, height, 1, 1)`.

    Reference: `shear_grid_mask` of github.com/js3611/Deep-MRI-Reconstruction; Tsao et al. (k-t BLAST), MRM 50(5), 2003.
    """
    leading, (frames, height, _) = _split(shape, 3)
    _require_integer("acceleration", acceleration, 1, height)
    _require_integer("center_lines", center_lines, 0, height)
    random = _random(seed)
    mask = np.zeros(leading + (frames, height, 1, 1), "float32")
    for pattern in mask.reshape(-1, frames, height):
        moved = random.choice(acceleration) + np.arange(frames)
        pattern[:] = (np.arange(height) - moved[:, np.newaxis]) % acceleration == 0
        pattern[:, _center(height, center_lines)] = 1
    return _ordered(mask, centered)


class MaskDescription(namedtuple("MaskDescription", ["kind", "acceleration", "center_size", "order"])):
    """What `describe_mask` found; `str()` makes a line of it."""

    __slots__ = ()

    def __str__(self):
        size = f"{self.center_size} lines" if self.kind == "lines" else f"{self.center_size} x {self.center_size} points"
        return f"{self.kind}, acceleration {self.acceleration:.2f}, {size} around zero frequency, {self.order}"


def describe_mask(mask, centered=None):
    """What a mask measures, by counting.

    Args:
        mask: zeros and ones, `(..., height, width, 1)`; an axis that it does not depend on may have size 1.
        centered: the order of its k-space. `None` asks whether more is measured near index 0 or near the middle, each sample
            weighted with 1 / (1 + distance), and takes both being equal for "uncentered".

    Returns:
        A named tuple: `kind` ("lines" or "2-D"), `acceleration` (places over samples, all patterns together; infinite for an
        empty mask), `center_size` (lines in the largest block around zero frequency, or side of the largest square, that all
        patterns measure in full; drawn samples may have made it larger) and `order` ("centered" or "uncentered").
    """
    mask = np.asarray(mask)
    if mask.ndim < 3 or mask.shape[-1] != 1 or not mask.size:
        _refuse("mask", "of shape (..., height, width, 1)", mask.shape, "mask[..., None]")
    if not np.isin(mask, (0, 1)).all():
        _refuse("mask", "0 or 1 everywhere", mask[~np.isin(mask, (0, 1))][0], "mask != 0")
    patterns = mask.reshape((-1,) + mask.shape[-3:-1]) != 0
    if centered is None:
        mean = patterns.mean(axis=0)
        at_zero, at_middle = (
            _nearness(mean.shape[0], middle).dot(mean).dot(_nearness(mean.shape[1], middle)) for middle in (False, True)
        )
        centered = at_middle > at_zero * (1 + 1e-9)
    always = patterns.all(axis=0) if centered else np.fft.fftshift(patterns.all(axis=0))
    if (patterns == patterns[:, :, :1]).all():
        always = always[:, 0]
    elif (patterns == patterns[:, :1]).all():
        always = always[0]
    return MaskDescription(
        kind="lines" if always.ndim == 1 else "2-D",
        acceleration=patterns.size / float(patterns.sum()) if patterns.any() else float("inf"),
        center_size=_block_around_center(always),
        order="centered" if centered else "uncentered",
    )


def _nearness(length, centered):
    weight = 1.0 / (1.0 + np.abs(np.fft.fftfreq(length, 1.0 / length)))
    return np.fft.fftshift(weight) if centered else weight


def _block_around_center(measured):
    """Side of the largest block around zero frequency that is measured throughout, along one or two axes."""
    for size in range(1, min(measured.shape) + 1):
        if not measured[tuple(_center(length, size) for length in measured.shape)].all():
            return size - 1
    return min(measured.shape)


def _mask_of_lines(shape, acceleration, center_lines, seed, centered, draw):
    """The centre, and what `draw(random, outside, count)` chooses outside of it, for each pattern."""
    leading, (height, _) = _split(shape, 2)
    _require_integer("center_lines", center_lines, 0)
    count = _affordable(height, "lines", acceleration, "center_lines", center_lines, 1) - center_lines
    random = _random(seed)
    outside = np.ones(height, bool)
    outside[_center(height, center_lines)] = False
    mask = np.zeros(leading + (height, 1, 1), "float32")
    for pattern in mask.reshape(-1, height):
        pattern[~outside] = 1
        if count:
            pattern[draw(random, outside, count)] = 1
    return _ordered(mask, centered)


def _affordable(places, unit, acceleration, name, size, power):
    """`floor(places / acceleration)`, which must be at least 1 and hold the `size**power` ones in the centre."""
    if not isinstance(acceleration, Real) or not 1 <= acceleration < float("inf"):
        _refuse("acceleration", "a finite number of at least 1", acceleration, "acceleration=4")
    affordable = int(places / acceleration + 1e-9)  # in floating point 9 / (9 / 7) is a little below 7
    if affordable < 1:
        _refuse("acceleration", f"low enough to leave one of {places} {unit}", acceleration, f"acceleration={places}")
    if size**power > affordable:
        expected = f"small enough for the {affordable} {unit} that acceleration {acceleration:g} leaves of {places}"
        _refuse(name, expected, size, f"{name}={int(affordable ** (1.0 / power))} or a lower acceleration")
    return affordable


def _split(shape, num_axes):
    """`shape` as the axes in front and the last `num_axes`, all positive integers."""
    names, fix = {2: ("(height, width)", "(1, 256, 256)"), 3: ("(frames, height, width)", "(1, 30, 256, 256)")}[num_axes]
    sizes = tuple(_integer(size) for size in shape) if hasattr(shape, "__iter__") else ()
    if len(sizes) < num_axes or any(size is None or size < 1 for size in sizes):
        _refuse("shape", f"positive integers that end in {names}", shape, fix)
    if len(sizes) > num_axes and sizes[-1] == 2:
        _refuse("shape", f"positive integers that end in {names}, without the axis of (real, imaginary)", shape, sizes[:-1])
    return sizes[:-num_axes], sizes[-num_axes:]


def _require_integer(name, value, lowest, highest=float("inf")):
    if _integer(value) is None or not lowest <= value <= highest:
        limits = f"of at least {lowest}" if highest == float("inf") else f"from {lowest} to {highest}"
        _refuse(name, f"an integer {limits}", value, f"{name}={min(4, highest)}")


def _integer(value):
    try:
        return operator.index(value)
    except TypeError:
        return None


def _random(seed):
    if isinstance(seed, (np.random.RandomState, np.random.Generator)):
        return seed
    try:
        return np.random.RandomState(seed)
    except (TypeError, ValueError):
        _refuse("seed", "None, integers from 0 to 2**32 - 1, a RandomState or a Generator", seed, "seed=0")


def _refuse(name, expected, received, fix):
    raise ValueError(f"`{name}` must be {expected}. Received: {received!r}. Try {fix}.") from None


def _center(length, size):
    """The block of `size` around zero frequency, in the centered order."""
    return slice(length // 2 - size // 2, length // 2 - size // 2 + size)


def _ordered(mask, centered):
    return mask if centered else np.fft.ifftshift(mask, axes=(-3, -2))
