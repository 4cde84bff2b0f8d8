"""Brain-like images and label maps, and the true displacement between any two of them. No Keras here.

There is one brain, the atlas, a formula in coordinates from -1 to 1 along each axis. Subject `k` is the atlas seen through a
smooth diffeomorphism, `subject_k(x) = atlas(phi_k(x))` with `phi_k = exp(v_k)`, the flow of a smooth stationary velocity `v_k`
for unit time. As `exp(-v)` undoes `exp(v)`, the displacement between any two subjects is known from
`fixed(x) = moving(phi_moving^-1(phi_fixed(x)))`. Atlas and velocity are evaluated wherever they are needed: nothing is
interpolated, and that equation holds to 1e-4 of a voxel.
"""

import collections

import numpy as np

from mrlayers.checks import refusal, require_integer

SMALLEST_SIZE = 16
WAVES = 4  # half periods of the velocity along an axis, at most
STEPS = 4  # of the Runge-Kutta method of fourth order
CHUNK = 1 << 14  # points at a time, few enough for the processor's cache
SLICE = 0.08  # height of the 2-D atlas in the 3-D one

LABELS = {
    1: "cortex",
    2: "white matter",
    3: "ventricle",
    4: "caudate",
    5: "putamen",
    6: "thalamus",
    7: "brain stem",
    8: "cerebellum",
}
INTENSITIES = {"fluid": 0.12, 1: 0.52, 2: 0.85, 3: 0.1, 4: 0.56, 5: 0.6, 6: 0.68, 7: 0.76, 8: 0.6}  # as T1-weighted images have

# Label, centre and radii along (z, y, |x|), degrees in the plane: bottom to top, front to back, midline to side.
STRUCTURES = (
    (2, (0.22, 0.02, 0.0), (0.1, 0.36, 0.2), 0),
    (3, (0.12, -0.2, 0.085), (0.2, 0.17, 0.042), 14),
    (3, (0.24, 0.04, 0.1), (0.1, 0.26, 0.05), 0),
    (3, (0.08, 0.33, 0.2), (0.14, 0.17, 0.045), -28),
    (4, (0.1, -0.19, 0.165), (0.18, 0.12, 0.045), 14),
    (5, (0.02, -0.02, 0.31), (0.16, 0.19, 0.06), -14),
    (6, (0.06, 0.1, 0.1), (0.13, 0.14, 0.08), -25),
    (3, (0.04, 0.08, 0.0), (0.13, 0.1, 0.016), 0),
)
BELOW = (
    (7, (-0.5, 0.1, 0.0), (0.42, 0.12, 0.13), 0),
    (8, (-0.52, 0.44, 0.2), (0.24, 0.27, 0.26), 0),
)

Pair = collections.namedtuple("Pair", "moving fixed moving_labels fixed_labels displacement")


def random_brains(count, shape=(128, 128), seed=0, deformation=0.02):
    """Draws `count` subjects.

    Subject `index` depends on `shape`, `seed`, `deformation` and `index` only: it stays the same when `count` grows, and two
    seeds give two sets without a common subject, for instance one to train with and one to test with.

    Args:
        count: Number of subjects, 1 or more.
        shape: `(height, width)`, an axial slice with the front at the top, or `(depth, height, width)`, such slices from the
            bottom to the top; each 16 or more.
        seed: Integer from 0 to 2**32 - 1.
        deformation: Root mean square of the velocity over the image, as a fraction of its size, 0 to 0.05; 0 gives the atlas.

    Returns:
        `(images, labels)`: float32 in 0..1 and int32 of 0 and the keys of `LABELS`, both `(count,) + shape`. A background of 0
        surrounds the brain.

    Raises:
        ValueError: When an argument is out of range.
    """
    require_integer("count", count, 1)
    grid = _grid(shape)
    subjects = [_sample(grid, shape, [_velocity(index, len(shape), seed, deformation)]) for index in range(count)]
    return tuple(np.stack(arrays) for arrays in zip(*subjects))


def brain_atlas(shape=(128, 128)):
    """The atlas: `(image, labels)` of `shape`, as `random_brains` gives them."""
    return _sample(_grid(shape), shape, [])


def random_pair(shape=(128, 128), seed=0, deformation=0.02):
    """Subjects 0 and 1 of `random_brains` as `Pair(moving, fixed, moving_labels, fixed_labels, displacement)`, all of `shape`;
    `displacement` is that of `true_displacement`. Arguments and errors as in `random_brains`."""
    images, labels = random_brains(2, shape, seed, deformation)
    return Pair(images[0], images[1], labels[0], labels[1], true_displacement(0, 1, shape, seed, deformation))


def true_displacement(moving, fixed, shape=(128, 128), seed=0, deformation=0.02):
    """The displacement `u` with `fixed(p) = moving(p + u(p))` for two subjects of `random_brains`.

    It is a diffeomorphism of the image onto itself: smooth, without folding, and its faces stay where they are.

    Args:
        moving: Index of a subject, or `None` for the atlas.
        fixed: Index of a subject, or `None` for the atlas.
        shape: As in `random_brains`.
        seed: As in `random_brains`.
        deformation: As in `random_brains`.

    Returns:
        float32 `shape + (ndim,)`, in voxels.

    Raises:
        ValueError: When an argument is out of range.
    """
    grid, ndim = _grid(shape), len(shape)
    there = [] if fixed is None else [_velocity(fixed, ndim, seed, deformation)]
    back = [] if moving is None else [-_velocity(moving, ndim, seed, deformation)]
    moved = np.concatenate([_flow(points, there + back) for points in _chunks(grid)], axis=1)
    voxels = (moved - grid) * (np.array(shape)[:, np.newaxis] / 2)
    return voxels.T.reshape(tuple(shape) + (ndim,)).astype(np.float32)


def _grid(shape):
    """Coordinates `(ndim, voxels)` of the centres of the voxels; the image spans -1 to 1."""
    if not isinstance(shape, (tuple, list)) or len(shape) not in (2, 3) or not all(_is_size(size) for size in shape):
        expected = "`shape` must be two or three integers of %d or more" % SMALLEST_SIZE
        raise refusal(expected, repr(shape), "shape=(128, 128)")
    axes = [(np.arange(size) + 0.5) * 2 / size - 1 for size in shape]
    return np.stack(np.meshgrid(*axes, indexing="ij")).reshape(len(shape), -1)


def _is_size(size):
    return isinstance(size, (int, np.integer)) and not isinstance(size, bool) and size >= SMALLEST_SIZE


def _chunks(points):
    return (points[:, start : start + CHUNK] for start in range(0, points.shape[1], CHUNK))


def _velocity(index, ndim, seed, deformation):
    """Weights of the products of sines along each axis that make a subject's velocity: `(ndim, last axis, other axes)`."""
    require_integer("index", index, 0)
    require_integer("seed", seed, 0)
    if not 0 <= deformation <= 0.05:
        raise refusal("`deformation` must be from 0 to 0.05", deformation, "deformation=0.02")
    frequency = np.sqrt(sum(axis * axis for axis in np.meshgrid(*ndim * [np.arange(1, WAVES + 1)])))
    weights = np.random.RandomState([seed, index]).standard_normal((ndim,) + frequency.shape) / frequency**2
    # The mean square of a product of sines is 2**-ndim, and the image is 2 wide.
    return weights * (2 * deformation / np.sqrt((weights**2).sum() / 2**ndim))


def _flow(points, velocities):
    """Carries `points` with each velocity in turn for unit time."""
    for velocity in velocities:
        for _ in range(STEPS):
            first = _velocity_at(velocity, points)
            second = _velocity_at(velocity, points + first / (2 * STEPS))
            third = _velocity_at(velocity, points + second / (2 * STEPS))
            fourth = _velocity_at(velocity, points + third / STEPS)
            points = points + (first + 2 * second + 2 * third + fourth) / (6 * STEPS)
    return points


def _velocity_at(weights, points):
    """The velocity, `(ndim, n)`: zero on the faces of the image, so that no point ever leaves it."""
    ndim, count = points.shape
    sines = [_sines((axis + 1) * (np.pi / 2)) for axis in points]
    products = sines[0]
    for along_axis in sines[1:-1]:
        products = (products[:, np.newaxis] * along_axis).reshape(-1, count)
    value = weights.reshape(ndim * WAVES, -1).dot(products).reshape(ndim, WAVES, count)
    return (value * sines[-1]).sum(axis=1)


def _sines(angle):
    """Sines of 1 to `WAVES` times an angle, by `sin((k + 1) a) = 2 cos(a) sin(k a) - sin((k - 1) a)`."""
    sines = np.empty((WAVES,) + angle.shape)
    sines[0] = np.sin(angle)
    twice_cosine, before = 2 * np.cos(angle), 0
    for k in range(1, WAVES):
        sines[k] = twice_cosine * sines[k - 1] - before
        before = sines[k - 1]
    return sines


def _sample(grid, shape, velocities):
    """Image and labels of the atlas, seen through the flow of `velocities`."""
    parts = [_atlas(_flow(points, velocities), np.mean(shape) / 2) for points in _chunks(grid)]
    image, labels = (np.concatenate(part).reshape(shape) for part in zip(*parts))
    return image.astype(np.float32), labels


def _atlas(points, voxels_per_unit):
    """Intensity and label at any `points`, `(ndim, n)`; an edge is a ramp of one voxel."""
    z, y, x = points if len(points) == 3 else (np.full(points.shape[1], SLICE), points[0], points[1])
    side = np.abs(x)

    def coverage(distance):
        return np.clip(distance * voxels_per_unit + 0.5, 0, 1)

    outline, to_fluid = _cerebrum(z, y, x)
    image, labels = np.zeros(len(x)), np.zeros(len(x), np.int32)
    layers = [(0, INTENSITIES["fluid"], coverage(outline)), (1, INTENSITIES[1], coverage(to_fluid))]
    layers.append((2, INTENSITIES[2], coverage(to_fluid - 0.055)))
    structures = STRUCTURES + (BELOW if len(points) == 3 else ())
    layers += [(label, INTENSITIES[label], coverage(_ellipsoid(z, y, side, *place))) for label, *place in structures]
    for label, intensity, share in layers:
        image += share * (intensity - image)
        labels[share > 0.5] = label
    return image * (1 + 0.04 * _texture(z, y, x)), labels


def _cerebrum(z, y, x):
    """Distances, to first order: inwards from the outline of the cerebrum, and to the fluid around it and in its folds."""
    height = np.where(z > 0, 0.8, 0.55)
    radius = np.sqrt((z / height) ** 2 + (y / 0.85) ** 2 + (x / (0.69 + 0.06 * y)) ** 2) + 1e-9
    outline = (1 - radius) * 0.75
    # Sulci are where a wave over the directions seen from the centre is zero: walls that stand upright on the surface.
    directions = np.stack([z / height, y / 0.85, x / 0.69]) / radius
    angles = FOLDS.dot(directions) + np.arange(len(FOLDS))[:, np.newaxis]
    slope = FOLDS.T.dot(np.cos(angles))
    slope -= (slope * directions).sum(axis=0) * directions
    sulcus = 0.75 * np.abs(np.sin(angles).sum(axis=0)) / (np.sqrt((slope * slope).sum(axis=0)) + 3)
    sulcus += 1.5 * np.maximum(outline - 0.17, 0) - 0.01
    midline = np.abs(x) - 0.012 + 1.5 * np.maximum(outline - 0.3, 0)
    return outline, np.minimum(outline - 0.012, np.minimum(sulcus, midline))


def _ellipsoid(z, y, x, center, radii, degrees):
    """Distance to the surface, positive inside: `1 - |p|^2` over the length of its gradient."""
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    z, y, x = z - center[0], y - center[1], x - center[2]
    z, y, x = z / radii[0], (cosine * y + sine * x) / radii[1], (cosine * x - sine * y) / radii[2]
    slope = 2 * np.sqrt((z / radii[0]) ** 2 + (y / radii[1]) ** 2 + (x / radii[2]) ** 2)
    return (1 - z * z - y * y - x * x) / (slope + 1e-9)


def _texture(z, y, x):
    """Faint waves of unit variance throughout the brain, the same in every subject."""
    return np.sqrt(2 / len(RIPPLES)) * np.sin(RIPPLES.dot(np.stack([z, y, x])) + np.arange(len(RIPPLES))[:, np.newaxis]).sum(
        axis=0
    )


def _wave_vectors(lengths, seed):
    vectors = np.random.RandomState(seed).standard_normal((len(lengths), 3))
    return vectors * (np.array(lengths) / np.sqrt((vectors**2).sum(axis=1)))[:, np.newaxis]


FOLDS = _wave_vectors((9, 11, 13, 15, 17), 3)
RIPPLES = _wave_vectors((25, 30, 35, 40, 45, 50), 1)
