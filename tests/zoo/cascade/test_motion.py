"""Random motion: smooth functions, which can be computed at any place, are the oracle of what is interpolated."""

import numpy as np
import pytest

from zoo.cascade.motion import Motion

STILL = dict(flips=False, rotation=0, translation=0, elastic=0, time=False)
SERIES = (np.random.RandomState(0).standard_normal((6, 20, 17, 2)) @ [1, 1j]).astype(np.complex64)


def blob(y, x):
    """A smooth complex image without any symmetry, for places in pixels from the middle."""
    return np.exp(-((y - 4) ** 2 / 40 + (x + 3) ** 2 / 60) + 0.2j * y - 0.1j * x)


def places(height, width):
    return np.indices((height, width)) - np.reshape([(height - 1) / 2, (width - 1) / 2], (2, 1, 1))


def draw(image, seed=0, **named):
    return Motion(**dict(STILL, **named))(image, np.random.RandomState(seed))


# --- numbers


@pytest.mark.parametrize("order, tolerance", [(1, 0.03), (3, 0.002)])
@pytest.mark.parametrize("height, width", [(48, 48), (51, 40)])
def test_rotation_of_a_smooth_image(order, tolerance, height, width):
    y, x = places(height, width)
    for seed in range(4):
        angle = np.deg2rad(np.random.RandomState(seed).uniform(-90, 90))
        expected = blob(np.cos(angle) * y - np.sin(angle) * x, np.sin(angle) * y + np.cos(angle) * x)
        rotated = draw(blob(y, x), seed, rotation=90, order=order)
        near = np.hypot(y, x) < min(height, width) / 2 - 1  # elsewhere the mirror image is read
        assert rotated.dtype == np.complex64
        np.testing.assert_allclose(rotated[near], expected[near], atol=tolerance)


def test_translation_of_a_smooth_image_is_a_fraction_of_each_axis():
    y, x = places(60, 80)
    for seed in range(4):
        down, across = np.random.RandomState(seed).uniform(-0.1, 0.1, 2) * (60, 80)
        near = (np.abs(y) < 23) & (np.abs(x) < 31)
        moved = draw(blob(y, x), seed, translation=0.1)
        np.testing.assert_allclose(moved[near], blob(y + down, x + across)[near], atol=0.002)


def test_elastic_displacements_are_smooth_and_have_their_standard_deviation():
    y, x = places(60, 80)
    inner = (slice(14, -14),) * 2  # where nothing is read beyond the edge
    found = []
    for seed in range(40):
        moved = draw(y + 1j * x, seed, elastic=0.02, order=1)  # of a ramp, which linear splines read exactly
        displacement = (moved - (y + 1j * x))[inner]
        assert max(np.abs(np.diff(displacement, axis=axis)).max() for axis in (0, 1)) < 0.5  # pixels per pixel: no folds
        found.append(displacement)
    assert 0.6 < np.std(np.real(found)) / (0.02 * 60) < 1.1 and 0.6 < np.std(np.imag(found)) / (0.02 * 80) < 1.1


def test_flips_move_pixels_and_interpolate_none():
    image = SERIES[0]
    versions = [image, image[::-1], image[:, ::-1], image[::-1, ::-1]]
    drawn = [[np.array_equal(draw(image, seed, flips=True), version) for version in versions].index(True) for seed in range(40)]
    assert min(np.bincount(drawn, minlength=4)) > 2


def test_time_rolls_and_reverses():
    frames = np.arange(6)[:, np.newaxis, np.newaxis] * np.ones((6, 20, 17))
    orders = {tuple(draw(frames, seed, time=True)[:, 3, 4].real.astype(int)) for seed in range(120)}
    turns = {tuple(np.roll(np.arange(6), first)) for first in range(6)}
    assert orders == turns | {turn[::-1] for turn in turns}
    assert {tuple(draw(frames, seed)[:, 3, 4].real) for seed in range(20)} == {tuple(range(6))}


# --- laws


def test_with_everything_left_out_nothing_changes():
    for image in (SERIES, SERIES[0], SERIES.real):
        moved = draw(image)
        assert moved.dtype == np.complex64 and moved.flags.c_contiguous
        np.testing.assert_array_equal(moved, image)


def test_all_frames_move_alike_and_as_an_image_does():
    moved = Motion(time=False)(SERIES, np.random.RandomState(3))
    for frame, before in zip(moved, SERIES):
        np.testing.assert_array_equal(frame, Motion(time=False)(before, np.random.RandomState(3)))
    still = Motion()(np.stack([SERIES[0]] * 6), np.random.RandomState(3))
    np.testing.assert_array_equal(still, np.stack([still[0]] * 6))


@pytest.mark.parametrize("order", [1, 3])
def test_linear_in_complex_numbers(order):
    def moved(image):
        return Motion(order=order)(image, np.random.RandomState(5))

    expected = (2 - 1j) * moved(SERIES) + 0.5j * moved(SERIES[::-1, ::-1])
    np.testing.assert_allclose(moved((2 - 1j) * SERIES + 0.5j * SERIES[::-1, ::-1]), expected, atol=1e-5)


def test_a_constant_stays_constant():
    moved = Motion(elastic=0.05)(np.full((3, 33, 18), 0.3 - 0.7j), np.random.RandomState(0))
    np.testing.assert_allclose(moved, 0.3 - 0.7j, atol=1e-6)


def test_the_same_random_state_gives_the_same_and_another_another():
    first, again, other = (Motion()(SERIES, np.random.RandomState(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).mean() > 0.1


def test_writes_to_nothing():
    series = SERIES.copy()
    for named in (dict(time=True), dict(flips=True), {}):
        draw(series, **named)[...] = 0
    np.testing.assert_array_equal(series, SERIES)


@pytest.mark.parametrize("shape", [(1, 1), (1, 16, 1), (2, 3, 40)])
def test_odd_and_small_shapes(shape):
    moved = Motion()(np.ones(shape), np.random.RandomState(0))
    assert moved.shape == shape
    np.testing.assert_allclose(moved, 1, atol=1e-6)


# --- refusals


@pytest.mark.parametrize(
    "name, value",
    [
        ("rotation", -1),
        ("rotation", 181),
        ("rotation", (0, 90)),
        ("translation", 0.6),
        ("translation", None),
        ("elastic", 0.06),
        ("elastic", np.nan),
        ("flips", 0.5),
        ("time", "reverse"),
        ("order", 2),
    ],
)
def test_refuses_arguments(name, value):
    with pytest.raises(ValueError, match="`%s` must be .* Received: " % name):
        Motion(**{name: value})


@pytest.mark.parametrize("shape", [(16,), (2, 3, 16, 16)])
def test_refuses_other_ranks(shape):
    with pytest.raises(ValueError, match=r"`image` must be \(height, width\) or \(time, height, width\). Received: .* Try"):
        Motion()(np.ones(shape), np.random.RandomState(0))
