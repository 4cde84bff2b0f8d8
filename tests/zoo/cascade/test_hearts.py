"""Beating hearts: no oracle draws them, so the laws say what they must be."""

import numpy as np
import pytest

from zoo.cascade.hearts import _heart, random_hearts

HEARTS = random_hearts(6, (24, 64, 64), seed=0)
BREATHING = random_hearts(6, (24, 64, 64), seed=0, respiration=True)


def steps(series):
    """Root mean square of the change from each frame to the next, the last to the first at the end."""
    magnitude = np.abs(series)
    return np.sqrt(((np.roll(magnitude, -1, axis=0) - magnitude) ** 2).mean(axis=(1, 2)))


def areas(seed, frames=64):
    """Areas of the blood pool of the left ventricle and of its wall, over one beat."""
    ellipses = _heart(np.random.RandomState(seed), np.arange(frames).reshape(-1, 1, 1) / float(frames))
    wall, pool = ((np.pi * ellipse[3] * ellipse[4]).ravel() for ellipse in ellipses[7:9])
    return pool, wall - pool


# --- numbers


def test_shape_type_and_range():
    series = random_hearts(3, (5, 48, 64), seed=3)
    assert series.shape == (3, 5, 48, 64) and series.dtype == np.complex64
    peaks = np.abs(series).max(axis=(1, 2, 3))
    assert peaks.max() <= 1 and peaks.min() > 1 - 1e-5


def test_the_blood_pool_shrinks_as_the_wall_thickens():
    for seed in range(20):
        pool, wall = areas(seed)
        ejected = 1 - 0.9 * pool.min() / pool.max()  # the slice sees a heart that is 0.9 as long
        assert 0.44 < ejected < 0.71
        assert wall.max() / wall.min() == pytest.approx(1 / 0.9, rel=0.01)
        thickness = np.sqrt((pool + wall) / np.pi) - np.sqrt(pool / np.pi)
        assert thickness[pool.argmin()] > 1.2 * thickness[pool.argmax()]


def test_systole_is_fast_and_diastole_slow():
    for seed in range(20):
        pool, _ = areas(seed, 100)
        change = np.diff(np.append(pool, pool[0]))
        moving = np.abs(change) > 0.02 * np.ptp(pool) / 100
        shrinking, growing = np.count_nonzero(moving & (change < 0)), np.count_nonzero(moving & (change > 0))
        assert 22 < shrinking < 42 and growing > 1.2 * shrinking


def test_the_blood_of_the_picture_beats():
    for series in np.abs(HEARTS):
        bright = np.count_nonzero(series > 0.7, axis=(1, 2)).astype(float)
        assert 0.1 < 1 - bright.min() / bright.max() < 0.8


# --- laws


@pytest.mark.parametrize("respiration", [False, True])
def test_a_series_depends_on_its_arguments_and_index_only(respiration):
    many = random_hearts(3, (4, 32, 32), 7, respiration)
    np.testing.assert_array_equal(many[:1], random_hearts(1, (4, 32, 32), 7, respiration))
    np.testing.assert_array_equal(many, random_hearts(3, (4, 32, 32), 7, respiration))


def test_more_frames_are_instants_between():
    few, many = (np.abs(random_hearts(2, (frames, 32, 32), seed=1)) for frames in (6, 18))
    scale = many[:, ::3].max(axis=(1, 2, 3), keepdims=True)
    np.testing.assert_allclose(many[:, ::3] / scale, few, atol=1e-4)


def test_the_last_frame_continues_into_the_first():
    for series in HEARTS:
        assert steps(series)[-1] <= 1.05 * steps(series)[:-1].max()
        phase = np.angle(np.roll(series, -1, axis=0) * series.conj())[np.abs(series) > 0.05]
        assert 0 < np.abs(phase).max() < 0.4  # changes, and little from the last to the first too
    jumps = [steps(series)[-1] / np.median(steps(series)) for series in BREATHING]
    assert np.median(jumps) > 2 > np.median([steps(series)[-1] / np.median(steps(series)) for series in HEARTS])


def test_only_breathing_moves_the_organs_around():
    for still, breathing in zip(np.abs(HEARTS), np.abs(BREATHING)):
        body = still.max(axis=0) > 0
        unmoved, left = ((series.std(axis=0)[body] < 1e-6).mean() for series in (still, breathing))
        assert unmoved > 0.5 and left < unmoved - 0.15  # what is left is within lungs and organs of one intensity
        assert np.count_nonzero(body) == pytest.approx(np.count_nonzero(breathing.max(axis=0) > 0), rel=0.1)


def test_breathing_drifts_smoothly():
    for series in BREATHING:
        assert steps(series)[:-1].max() < 4 * np.median(steps(series))


def test_no_two_series_are_alike_within_and_across_seeds():
    magnitude = np.abs(np.concatenate([random_hearts(8, (2, 32, 32), seed=seed) for seed in (0, 1)])).reshape(16, -1)
    distance = np.linalg.norm(magnitude[:, None] - magnitude, axis=-1) / np.linalg.norm(magnitude, axis=-1)
    assert distance[~np.eye(16, dtype=bool)].min() > 0.2


def test_air_is_zero_around_a_body_that_fills_a_good_part():
    for magnitude in np.abs(HEARTS):
        assert not magnitude[:, [0, -1]].any()
        assert 0.5 < (magnitude > 0).mean() < 0.85


def test_phase_is_smooth_and_not_constant():
    for image in HEARTS[:, 0]:
        both = (np.abs(image[:, 1:]) > 0.02) & (np.abs(image[:, :-1]) > 0.02)
        assert np.abs(np.angle(image[:, 1:] * image[:, :-1].conj())[both]).max() < 0.5  # radians per pixel
        inside = image[np.abs(image) > 0.02]
        assert abs((inside / np.abs(inside)).mean()) < 0.995


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 17, 33), [2, 24, 120]])
@pytest.mark.parametrize("respiration", [False, True])
def test_odd_small_and_oblong_shapes(shape, respiration):
    series = random_hearts(2, shape, respiration=respiration)
    assert series.shape == (2,) + tuple(shape) and np.isfinite(series).all()


# --- refusals


@pytest.mark.parametrize("count", [0, 2.0, True, None])
def test_refuses_count(count):
    with pytest.raises(ValueError, match="`count` must be an integer of 1 or more. Received: .* Try"):
        random_hearts(count)


@pytest.mark.parametrize("shape", [(16, 15, 64), (0, 64, 64), (64, 64), (16, 64, 64, 2), 64, (16.0, 64, 64), None])
def test_refuses_shape(shape):
    with pytest.raises(ValueError, match=r"`shape` must be \(time, height, width\), .* Received: .* Try"):
        random_hearts(1, shape)


@pytest.mark.parametrize("seed", [-1, 2**32, 0.5, None])
def test_refuses_seed(seed):
    with pytest.raises(ValueError, match="`seed` must be an integer from 0 to .* Received: .* Try"):
        random_hearts(1, (1, 16, 16), seed)
