"""Phantoms: no oracle draws them, so the laws say what they must be."""

import numpy as np
import pytest

from zoo.cascade.phantoms import random_phantoms


# --- numbers


def test_shape_type_and_range():
    images = random_phantoms(6, (48, 64), seed=3)
    assert images.shape == (6, 48, 64) and images.dtype == np.complex64
    peaks = np.abs(images).max(axis=(1, 2))
    assert peaks.max() <= 1 and peaks.min() > 1 - 1e-5


def test_every_edge_is_about_one_pixel_wide():
    # Where the outline crosses the middle row there is one partly covered pixel or two, never a ramp and never only a step.
    images = np.abs(random_phantoms(8, (128, 128), seed=0))
    partly = []
    for row in images[:, 64]:
        body = np.flatnonzero(row)
        edge = row[body[0] : body[0] + 3] / row[body[0] + 3]
        partly.append(np.count_nonzero((edge > 0.02) & (edge < 0.9)))
    assert max(partly) <= 2 and np.mean(partly) > 0.5


# --- laws


def test_an_image_depends_on_seed_and_index_only():
    many = random_phantoms(5, (32, 32), seed=7)
    np.testing.assert_array_equal(many[:2], random_phantoms(2, (32, 32), seed=7))
    np.testing.assert_array_equal(many, random_phantoms(5, (32, 32), seed=7))


def test_no_two_images_are_alike_within_and_across_seeds():
    images = np.concatenate([random_phantoms(20, (64, 64), seed=seed) for seed in (0, 1, 2)]).reshape(60, -1)
    magnitude = np.abs(images)
    distance = np.linalg.norm(magnitude[:, None] - magnitude, axis=-1) / np.linalg.norm(magnitude, axis=-1)
    assert distance[~np.eye(60, dtype=bool)].min() > 0.1


def test_air_is_zero_around_a_body_that_fills_a_good_part():
    magnitude = np.abs(random_phantoms(20, (96, 80), seed=1))
    border = np.concatenate([magnitude[:, 0], magnitude[:, -1]], axis=1)
    assert np.median(border) == 0
    body = (magnitude > 0).mean(axis=(1, 2))
    assert 0.25 < body.min() and body.max() < 0.85


def test_organs_and_details_of_many_intensities():
    for magnitude in np.abs(random_phantoms(10, (128, 128), seed=2)):
        body = np.count_nonzero(magnitude)
        shares = np.histogram(magnitude[magnitude > 0], bins=8, range=(0, 1))[0] / body
        assert np.count_nonzero(shares > 0.005) >= 5
        edges = np.abs(np.diff(magnitude, axis=1)) > 0.08
        assert np.count_nonzero(edges) > 0.14 * body  # the outlines of the body alone are below 0.125


def test_phase_is_smooth_and_not_constant():
    for image in random_phantoms(20, (128, 128), seed=3):
        both = (np.abs(image[:, 1:]) > 0.05) & (np.abs(image[:, :-1]) > 0.05)
        step = np.angle(image[:, 1:] * image[:, :-1].conj())[both]
        assert np.abs(step).max() < 0.3  # radians per pixel
        inside = image[np.abs(image) > 0.05]
        assert abs((inside / np.abs(inside)).mean()) < 0.995


def test_heads_and_chests():
    magnitude = np.abs(random_phantoms(30, (64, 64), seed=4)) > 0
    height, width = magnitude.any(axis=2).sum(axis=1), magnitude.any(axis=1).sum(axis=1)
    assert 5 < np.count_nonzero(width > height) < 25


@pytest.mark.parametrize("shape", [(17, 33), (16, 16), [24, 120]])
def test_odd_small_and_oblong_shapes(shape):
    images = random_phantoms(2, shape)
    assert images.shape == (2,) + tuple(shape) and np.isfinite(images).all()


# --- refusals


@pytest.mark.parametrize("count", [0, -1, 2.0, True, None])
def test_refuses_count(count):
    with pytest.raises(ValueError, match="`count` must be an integer of 1 or more. Received: .* Try"):
        random_phantoms(count)


@pytest.mark.parametrize("shape", [(15, 64), (64,), (64, 64, 2), 64, (64.0, 64), None])
def test_refuses_shape(shape):
    with pytest.raises(ValueError, match=r"`shape` must be \(height, width\), .* Received: .* Try"):
        random_phantoms(1, shape)


@pytest.mark.parametrize("seed", [-1, 2**32, 0.5, None])
def test_refuses_seed(seed):
    with pytest.raises(ValueError, match="`seed` must be an integer from 0 to .* Received: .* Try"):
        random_phantoms(1, (16, 16), seed)
