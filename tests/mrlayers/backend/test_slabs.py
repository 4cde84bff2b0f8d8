"""Slabs of rows: that they cover all rows once, and steps in turn."""

import pytest

from mrlayers.backend.slabs import in_turn, joined, slabs


@pytest.mark.parametrize(
    "shape, pairs, expected",
    [
        ((1, 30, 256, 256, 2), 30 * 256 * 100, [(0, 100), (100, 100), (200, 56)]),
        ((1, 30, 256, 256, 2), 30 * 256 * 256, [(0, 256)]),
        ((2, 3, 5, 4, 2), 1, [(row, 1) for row in range(5)]),
        ((None, 3, 5, 4, 10), 3 * 4 * 2, [(0, 2), (2, 2), (4, 1)]),
        ((None, 3, None, 4, 2), 1, [(0, None)]),
    ],
)
def test_slabs(shape, pairs, expected):
    assert slabs(shape, pairs) == expected


def test_steps_take_what_the_one_before_returns():
    double = in_turn(lambda a, b, options: (a + b, options), lambda total, given, options: (total, given == options, options))
    assert double(1, 2, "options") == (3, True, "options")
    assert in_turn(lambda a, options: a)(4, None) == 4


def test_a_list_of_the_last_step_is_joined():
    steps = (lambda a, options: (a,), lambda a, options: [a, a] if options else a)
    assert in_turn(*joined(steps, sum))(3, True) == 6
    assert in_turn(*joined(steps, sum))(3, False) == 3
