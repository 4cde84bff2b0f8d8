"""Geometry against NumPy and formulas; labels that follow their image; what is refused."""

import numpy as np
import pytest
import scipy.interpolate

from zoo.unet.augmentation import Augmentation, cut, mirrored, sample, sample_labels

NOTHING = dict(flips=False, rotation=0, elastic=0, zoom=0, crop=0, gamma=0, brightness=0)
RANDOM = np.random.RandomState
IMAGE = RANDOM(0).uniform(size=(12, 15, 2)).astype(np.float32)
LABELS = RANDOM(1).randint(0, 3, (12, 15)).astype(np.uint8)


class Chosen:
    """In place of a RandomState: every number drawn is `share` of the way from low to high."""

    def __init__(self, share):
        self.share = share

    def uniform(self, low, high, size=None):
        value = low + self.share * (high - low)
        return value if size is None else np.full(size, value)

    def randint(self, low, high, size):
        return np.full(size, int(low + self.share * (high - 1 - low)))


def only(**part):
    return Augmentation(**dict(NOTHING, **part))


def draw(augmentation, random, image=IMAGE, labels=LABELS, corner=None, size=None, margin=0, padding="mirror"):
    corner = (0,) * labels.ndim if corner is None else corner
    return augmentation(image, labels, corner, labels.shape if size is None else size, margin, padding, random)


def ramps(*shape):
    """An image whose channels are its coordinates, and labels that are one number for each pixel."""
    places = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    return places.astype(np.float32), np.arange(np.prod(shape)).reshape(shape)


# --- numbers


@pytest.mark.parametrize("padding", ["mirror", "zero"])
@pytest.mark.parametrize("corner, margin", [((0, 0), 0), ((3, 5), 2), ((4, 8), 4), ((0, 1), 40)])
def test_cut_is_a_slice_of_the_padded_image(corner, margin, padding):
    patch, labels = cut(IMAGE, LABELS, corner, (8, 7), margin, padding)
    how = dict(mode="reflect") if padding == "mirror" else dict(mode="constant", constant_values=0.5)
    padded = np.pad(IMAGE, [(margin, margin)] * 2 + [(0, 0)], **how)
    rows, columns = (slice(first, first + length) for first, length in zip(corner, (8, 7)))
    window = padded[corner[0] : corner[0] + 8 + 2 * margin, corner[1] : corner[1] + 7 + 2 * margin]
    np.testing.assert_array_equal(patch, window)
    np.testing.assert_array_equal(labels, LABELS[rows, columns])


@pytest.mark.parametrize("padding", ["mirror", "zero"])
def test_nothing_to_change_is_cut(padding):
    patch, labels = draw(only(), RANDOM(0), corner=(3, 5), size=(8, 7), margin=9, padding=padding)
    expected, expected_labels = cut(IMAGE, LABELS, (3, 5), (8, 7), 9, padding)
    np.testing.assert_allclose(patch, expected, atol=1e-6)
    np.testing.assert_array_equal(labels, expected_labels)
    assert patch.dtype == np.float32 and labels.dtype == np.uint8


def test_mirrored():
    assert mirrored(np.arange(-5, 9), 4).tolist() == [1, 2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1, 2]
    assert mirrored(np.arange(-2, 3), 1).tolist() == [0] * 5
    assert mirrored(np.arange(-2, 3), 2).tolist() == [0, 1, 0, 1, 0]


def test_interpolation_at_the_known_answers():
    """Half-way, mirrored, and labels of the nearest pixel."""
    line = np.array([0, 10, 20, 30, 40], np.float32)
    at = np.array([[0.25, 1.5, 3.9, -1, -0.5, 4.5, 6]])
    np.testing.assert_allclose(sample(line[:, None], at)[:, 0], [2.5, 15, 39, 10, 5, 35, 20], rtol=1e-6)
    assert sample_labels(line.astype(int), np.array([[0.4, 0.6, -0.8, 4.6, 4.9]])).tolist() == [0, 10, 10, 30, 30]
    assert sample(line[:, None], np.array([[-3.0, 4, 8]]), "zero")[:, 0].tolist() == [0.5, 40, 0.5]
    assert sample_labels(line.astype(int), np.array([[-3.0, 4, 8]]), "zero").tolist() == [0, 40, 0]


@pytest.mark.parametrize("share, turns", [(1, -1), (0, 1), (0.5, 0)])
def test_quarter_turns_are_those_of_numpy(share, turns):
    image, labels = IMAGE[:, :12], LABELS[:, :12]
    patch, turned = draw(only(rotation=90), Chosen(share), image, labels)
    np.testing.assert_allclose(patch, np.rot90(image, turns), atol=1e-5)
    np.testing.assert_array_equal(turned, np.rot90(labels, turns))


def test_flips_copy_pixels_and_all_of_them_come():
    seen = set()
    for seed in range(40):
        patch, labels = draw(only(flips=True), RANDOM(seed))
        found = [
            axes
            for axes in ((), (0,), (1,), (0, 1))
            if np.array_equal(patch, np.flip(IMAGE, axes)) and np.array_equal(labels, np.flip(LABELS, axes))
        ]
        assert len(found) == 1
        seen.update(found)
    assert len(seen) == 4


@pytest.mark.parametrize("share, factor", [(0, 1 / 1.5), (0.5, 1), (1, 1.5)])
def test_zoom_magnifies_about_the_middle(share, factor):
    coordinates = only(zoom=0.5).coordinates((9, 21), Chosen(share))
    for axis, (length, place) in enumerate(zip((9, 21), coordinates)):
        expected = (np.arange(length) - (length - 1) / 2) / factor
        np.testing.assert_allclose(np.moveaxis(place, axis, -1) - expected, 0, atol=1e-12)


def test_crop_stretches_what_is_left_to_the_full_size():
    """Published: borders at 0 to 0.3 and at 0.7 to 1 of the size, then a resize to the whole."""
    random = RANDOM(3)
    low, high = RANDOM(3).uniform(0, 0.3, (2, 2))
    coordinates = only(crop=0.3).coordinates((10, 20), random)
    for axis, size in enumerate((10, 20)):
        edges = (low[axis] * size, (1 - high[axis]) * size)
        pixel = (edges[1] - edges[0]) / size
        expected = edges[0] + (np.arange(size) + 0.5) * pixel - size / 2
        np.testing.assert_allclose(np.moveaxis(coordinates[axis], axis, 0)[:, 0], expected)


def test_elastic_is_a_spline_through_random_points():
    size, amount = 33, 0.02
    grid = only().coordinates((size, size), None)
    fields = np.stack([only(elastic=amount).coordinates((size, size), RANDOM(seed)) - grid for seed in range(400)])
    nodes = fields[..., ::16, ::16]
    assert nodes.shape == (400, 2, 3, 3)
    assert nodes.std() == pytest.approx(amount * size, rel=0.03) and abs(nodes.mean()) < 0.03
    assert abs(np.corrcoef(nodes.reshape(400, -1).T) - np.eye(18)).max() < 0.25
    for line, ends in ((fields[0, 0, 16], nodes[0, 0, 1]), (fields[7, 1, :, 32], nodes[7, 1, :, 2])):
        expected = scipy.interpolate.CubicSpline([0, 16, 32], ends, bc_type="natural")(np.arange(33))
        np.testing.assert_allclose(line, expected, atol=1e-12)


def test_lighting():
    image = np.linspace(0, 1, 5, dtype=np.float32)[:, None, None]
    np.testing.assert_allclose(only(gamma=0.7).lighting(image, Chosen(1)), image ** np.exp(0.7), rtol=1e-5)
    np.testing.assert_allclose(only(brightness=0.3).lighting(image, Chosen(0)), np.maximum(image - 0.3, 0), atol=1e-6)
    both = Augmentation().lighting(IMAGE, RANDOM(0))
    assert both.dtype == np.float32 and both.min() >= 0 and both.max() <= 1
    assert (np.argsort(both.ravel(), kind="stable") == np.argsort(IMAGE.ravel(), kind="stable")).mean() > 0.9


# --- laws


@pytest.mark.parametrize("margin", [0, 5])
@pytest.mark.parametrize("shape, size", [((40, 50), (24, 31)), ((14, 17, 20), (9, 10, 11))])
def test_labels_follow_their_image(shape, size, margin):
    """Each label says which pixel it is; the image must have been read within half a pixel of it, with all parts at work."""
    image, labels = ramps(*shape)
    augmentation = Augmentation(crop=0.3, elastic=0.05, gamma=0, brightness=0)
    for seed in range(6):
        patch, numbers = draw(augmentation, RANDOM(seed), image, labels, (3,) * len(shape), size, margin)
        inner = patch[tuple(slice(margin, margin + length) for length in size)]
        places = np.stack(np.unravel_index(numbers, shape), axis=-1)
        assert patch.shape == tuple(length + 2 * margin for length in size) + (len(shape),)
        assert numbers.shape == size and np.abs(inner - places).max() <= 0.5 + 1e-4


def test_rotations_and_flips_keep_distances():
    for shape in ((7, 9), (5, 6, 7)):
        matrix = only(flips=True, rotation=180).coordinates(shape, RANDOM(0))
        steps = np.stack([np.diff(matrix, axis=1 + axis).reshape(len(shape), -1)[:, 0] for axis in range(len(shape))])
        np.testing.assert_allclose(steps.dot(steps.T), np.eye(len(shape)), atol=1e-12)


def test_same_random_numbers_same_patch():
    first, second, other = (draw(Augmentation(), RANDOM(seed)) for seed in (5, 5, 6))
    assert np.array_equal(first[0], second[0]) and np.array_equal(first[1], second[1])
    assert not np.array_equal(first[0], other[0])


def test_channels_change_alike_and_nothing_is_changed_in_place():
    image = np.repeat(IMAGE[..., :1], 3, axis=-1)
    before = image.copy()
    patch, labels = draw(Augmentation(), RANDOM(0), image)
    assert np.ptp(patch, axis=-1).max() == 0 and np.ptp(patch) > 0.3
    assert set(labels.ravel()) <= set(LABELS.ravel()) and np.array_equal(image, before)


# --- refusals


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (dict(rotation=-1), "`rotation` must be from 0 to 180. Received: -1. Try rotation=0."),
        (dict(elastic=10), "`elastic` must be from 0 to 0.2"),
        (dict(zoom=float("nan")), "`zoom` must be from 0 to 4"),
        (dict(crop=0.5), "`crop` must be from 0 to 0.49"),
        (dict(gamma=-0.1), "`gamma`"),
        (dict(brightness=2), "`brightness`"),
    ],
)
def test_refuses_what_is_out_of_range(arguments, expected):
    with pytest.raises(ValueError) as caught:
        Augmentation(**arguments)
    assert expected in str(caught.value)


def test_refuses_another_padding():
    for call in (lambda: cut(IMAGE, LABELS, (0, 0), (4, 4), 1, "wrap"), lambda: sample(IMAGE, np.zeros((2, 1)), "wrap")):
        with pytest.raises(ValueError, match="`padding` must be one of 'mirror', 'zero'. Received: 'wrap'"):
            call()
