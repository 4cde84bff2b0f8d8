"""What phantoms are made of."""

import numpy as np

from zoo.cascade.ellipses import grid, paint, rotation, waves


def test_grid_is_the_middles_of_the_pixels():
    y, x = grid((4, 5))
    np.testing.assert_allclose(y[:, 0], [-0.75, -0.25, 0.25, 0.75])
    np.testing.assert_allclose(x[0], [-0.8, -0.4, 0, 0.4, 0.8], atol=1e-7)


def test_an_ellipse_covers_its_area_and_is_turned_clockwise():
    """As it is displayed, with the first row on top: its long axis, upright at 0 degrees, leans to the right."""
    y, x = grid((200, 200))
    image = np.zeros((200, 200), np.float32)
    paint(image, y, x, [(1.0, 0.1, -0.2, 0.6, 0.1, 30)], rotation(0))
    assert abs(image.mean() * 4 - np.pi * 0.6 * 0.1) < 1e-3

    def at(y, x):
        return image[int((y + 1) * 100), int((x + 1) * 100)]

    up, right = 0.55 * np.cos(np.deg2rad(30)), 0.55 * np.sin(np.deg2rad(30))
    assert at(0.1 - up, -0.2 + right) == at(0.1 + up, -0.2 - right) == 1
    assert at(0.1 - up, -0.2 - right) == at(0.1 + up, -0.2 + right) == 0


def test_waves_have_unit_variance():
    fields = [waves(np.random.RandomState(seed), (32, 32), 2, 4) for seed in range(40)]
    assert abs(np.mean(np.square(fields)) - 1) < 0.1
