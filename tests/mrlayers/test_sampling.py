"""Sampling masks: the reference's lines, exact rates, laws of order and randomness, refusals."""

import inspect
import itertools

import numpy as np
import pytest
from scipy.stats import chisquare

from mrlayers import sampling

LINES = [sampling.cartesian_mask, sampling.random_lines, sampling.equispaced_lines]
RANDOM = LINES + [sampling.variable_density_2d, sampling.kt_shear_mask]


def name_of(function):
    return function.__name__ if inspect.isfunction(function) else None


def rows(mask):
    """Indices of the lines of each pattern in a mask `(..., height, 1, 1)`."""
    flat = mask.reshape(-1, mask.shape[-3])
    return [list(np.flatnonzero(pattern)) for pattern in flat]


def center_of(function, size):
    return {"center_size" if function is sampling.variable_density_2d else "center_lines": size}


def all_masks(shape=(3, 40, 40), **options):
    """One mask of each kind; for the shear the first axis is time."""
    masks = [function(shape, 4, seed=5, **dict(center_of(function, 4), **options)) for function in RANDOM]
    return masks + [sampling.radial_mask(shape, 7, **options)]


# numbers


def test_cartesian_mask_measures_the_lines_of_the_reference():
    mask = sampling.cartesian_mask((1, 128, 128), 4, center_lines=8, seed=0)
    expected = "0 1 2 3 5 6 8 9 10 13 17 18 19 22 27 31 40 52 57 70 86 90 92 97 119 121 122 123 124 125 126 127"
    assert mask.shape == (1, 128, 1, 1)
    assert rows(mask) == [[int(row) for row in expected.split()]]


def test_cartesian_mask_of_the_published_data_has_85_lines():
    assert sampling.cartesian_mask((1, 256, 256), 3, center_lines=8, seed=0).sum() == 85


def test_integers_give_these_masks_on_every_numpy():
    assert rows(sampling.cartesian_mask((1, 21, 16), 3, 3, seed=[1, 2, 3], centered=True)) == [[0, 8, 9, 10, 11, 12, 17]]
    # RandomState(0).permutation(14) starts with 8 6 4 11 2 13, and randint(0, 14) with 12; the places 7.. are the lines 9..
    assert rows(sampling.random_lines((1, 16, 16), 2, 2, seed=0, centered=True)) == [[2, 4, 6, 7, 8, 10, 13, 15]]
    assert rows(sampling.equispaced_lines((1, 16, 16), 4, 2, seed=0, centered=True)) == [[5, 7, 8, 14]]
    assert rows(sampling.kt_shear_mask((2, 12, 12), 4, 0, seed=0, centered=True)) == [[0, 4, 8], [1, 5, 9]]
    points = np.flatnonzero(sampling.variable_density_2d((8, 8), 4, 2, seed=0, centered=True))
    assert list(points) == [14, 16, 26, 27, 28, 29, 30, 34, 35, 36, 43, 46, 47, 53, 60, 61]


def test_equispaced_lines_by_hand():
    # 16 / 2 = 8 lines, 2 in the centre (7 and 8), 6 among the 14 others at a distance of 14 / 6: places 0 2 4 7 9 11.
    mask = sampling.equispaced_lines((16, 16), 2, 2, offset=0, centered=True)
    assert rows(mask) == [[0, 2, 4, 7, 8, 9, 11, 13]]
    # One place further; a whole turn changes nothing.
    expected = [[1, 3, 5, 7, 8, 10, 12, 14]]
    assert rows(sampling.equispaced_lines((16, 16), 2, 2, offset=1, centered=True)) == expected
    assert rows(sampling.equispaced_lines((16, 16), 2, 2, offset=1 - 14, centered=True)) == expected


def test_equispaced_lines_where_the_fraction_formula_divides_by_zero():
    mask = sampling.equispaced_lines((64, 64), 8, center_lines=8, seed=0, centered=True)
    assert rows(mask) == [list(range(28, 36))]


def test_shear_by_hand():
    mask = sampling.kt_shear_mask((4, 8, 8), 3, 2, seed=1, centered=True)
    start = 1
    assert mask.shape == (4, 8, 1, 1)
    for frame in range(4):
        lattice = {line for line in range(8) if line % 3 == (start + frame) % 3}
        assert rows(mask)[frame] == sorted(lattice | {3, 4})


def test_one_spoke_along_each_axis_and_diagonal():
    points = [
        np.argwhere(sampling.radial_mask((5, 5), 1, first_angle=angle, centered=True)[..., 0]) for angle in (0, 45, 90, 135)
    ]
    five = np.arange(5)
    for found, expected in zip(points, [(five * 0 + 2, five), (five, five), (five, five * 0 + 2), (five, 4 - five)]):
        np.testing.assert_array_equal(found, np.stack(expected, axis=1))


def test_golden_angle():
    assert sampling.GOLDEN_ANGLE == pytest.approx(111.24611797498108)
    mask = sampling.radial_mask((2, 64, 64), 3)
    for spoke in range(6):
        alone = sampling.radial_mask((64, 64), 1, first_angle=111.24611797498108 * spoke)
        assert (alone <= mask[spoke // 3]).all()
        assert not (alone <= mask[1 - spoke // 3]).all()


def test_even_spokes_are_the_same_in_all_patterns():
    mask = sampling.radial_mask((2, 64, 64), 4, golden_angle=False)
    np.testing.assert_array_equal(mask[0], mask[1])
    np.testing.assert_array_equal(
        mask[0], np.max([sampling.radial_mask((64, 64), 1, first_angle=angle) for angle in (0, 45, 90, 135)], axis=0)
    )


@pytest.mark.parametrize(
    "mask, expected",
    [
        (np.ones((2, 9, 1, 1)), ("lines", 1.0, 9, "uncentered")),
        (np.zeros((9, 9, 1)), ("lines", float("inf"), 0, "uncentered")),
        (np.array([1, 1, 0, 0, 0, 0, 0, 1.0]).reshape(1, 8, 1, 1), ("lines", 8 / 3.0, 3, "uncentered")),
        (np.array([0, 0, 0, 1, 1, 1, 0, 0]).reshape(1, 8, 1, 1), ("lines", 8 / 3.0, 3, "centered")),
        (np.array([0, 0, 0, 1, 1, 1, 0, 0]).reshape(1, 1, 8, 1) * np.ones((1, 4, 1, 1)), ("lines", 8 / 3.0, 3, "centered")),
        (np.array([[0, 0, 0], [0, 1, 1], [0, 0, 0]])[None, ..., None], ("2-D", 4.5, 1, "centered")),
        (np.array([[0, 0, 0], [0, 1, 1], [0, 1, 0]])[None, ..., None], ("2-D", 3.0, 1, "centered")),
        (np.array([[1, 1, 0], [1, 1, 0], [0, 0, 0]])[None, ..., None] > 0, ("2-D", 9 / 4.0, 1, "uncentered")),
        (np.array([[1, 0, 1], [0, 0, 0], [1, 0, 1]])[None, ..., None], ("2-D", 9 / 4.0, 2, "uncentered")),
    ],
)
def test_describe_mask_by_hand(mask, expected):
    assert tuple(sampling.describe_mask(mask)) == expected


def test_description_in_words():
    lines = sampling.cartesian_mask((1, 128, 128), 4, center_lines=8, seed=0)
    assert str(sampling.describe_mask(lines)) == "lines, acceleration 4.00, 8 lines around zero frequency, uncentered"
    points = sampling.variable_density_2d((1, 64, 64), 8, center_size=5, seed=0, centered=True)
    assert str(sampling.describe_mask(points)) == "2-D, acceleration 8.00, 5 x 5 points around zero frequency, centered"


# laws


@pytest.mark.parametrize("function", LINES, ids=name_of)
def test_lines_have_the_exact_rate_and_the_whole_centre(function):
    for height, acceleration, center_lines in itertools.product([31, 32, 65, 128], [1, 1.7, 2, 4, 5.5], [0, 1, 4, 5]):
        mask = function((6, height, 8), acceleration, center_lines, seed=3, centered=True)
        assert mask.shape == (6, height, 1, 1) and mask.dtype == "float32"
        assert set(np.unique(mask)) <= {0, 1}
        np.testing.assert_array_equal(mask.sum(axis=(1, 2, 3)), int(height / acceleration))
        start = height // 2 - center_lines // 2
        assert mask[:, start : start + center_lines].all()


@pytest.mark.parametrize("function", LINES, ids=name_of)
def test_a_rate_that_rounding_would_cut_keeps_its_lines(function):
    assert int(9 / (9 / 7.0)) == 6
    assert function((9, 9), 9 / 7.0, 0, seed=0).sum() == 7


def test_points_have_the_exact_rate_and_the_whole_centre():
    for shape, acceleration, center_size in itertools.product([(31, 32), (48, 33), (64, 64)], [1, 2.5, 8], [0, 4, 7]):
        mask = sampling.variable_density_2d((3,) + shape, acceleration, center_size, seed=3, centered=True)
        assert mask.shape == (3,) + shape + (1,) and mask.dtype == "float32"
        np.testing.assert_array_equal(mask.sum(axis=(1, 2, 3)), int(shape[0] * shape[1] / acceleration))
        top, left = (size // 2 - center_size // 2 for size in shape)
        assert mask[:, top : top + center_size, left : left + center_size].all()


@pytest.mark.parametrize("acceleration", [1, 2, 3, 7])
def test_every_period_of_the_shear_measures_each_line_once(acceleration):
    mask = sampling.kt_shear_mask((2, 10, 29, 8), acceleration, center_lines=0, seed=0)
    assert mask.shape == (2, 10, 29, 1, 1)
    for first in range(10 - acceleration + 1):
        assert (mask[:, first : first + acceleration].sum(axis=1) == 1).all()


@pytest.mark.parametrize("height", [16, 17])
@pytest.mark.parametrize("center_lines", [0, 1, 4, 5, 16])
def test_the_shear_measures_the_whole_centre_in_each_frame(height, center_lines):
    mask = sampling.kt_shear_mask((12, height, 8), 4, center_lines, seed=0, centered=True)
    bare = sampling.kt_shear_mask((12, height, 8), 4, 0, seed=0, centered=True)
    bare[:, height // 2 - center_lines // 2 :][:, :center_lines] = 1
    np.testing.assert_array_equal(mask, bare)


@pytest.mark.parametrize("function", LINES, ids=name_of)
@pytest.mark.parametrize("height", [16, 17])
def test_the_centre_may_take_all_lines(function, height):
    mask = function((2, height, 8), 4, height // 4, seed=0, centered=True)
    start = height // 2 - 2
    assert rows(mask) == [list(range(start, start + 4))] * 2
    assert function((2, height, 8), 1, height, seed=0).all()


@pytest.mark.parametrize("function", RANDOM, ids=name_of)
def test_acceleration_one_measures_everything(function):
    assert function((2, 3, 15, 14), 1, seed=0).all()


@pytest.mark.parametrize("shape", [(3, 40, 40), (2, 2, 33, 40), (3, 32, 41), (3, 35, 37)])
def test_centered_is_the_shift_of_uncentered(shape):
    for centered, uncentered in zip(all_masks(shape, centered=True), all_masks(shape)):
        np.testing.assert_array_equal(centered, np.fft.fftshift(uncentered, axes=(-3, -2)))
        assert uncentered[..., 0, 0, 0].all() and centered[..., shape[-2] // 2, centered.shape[-2] // 2, 0].all()
        assert uncentered.flags.c_contiguous and uncentered.dtype == "float32"


@pytest.mark.parametrize("function", RANDOM, ids=name_of)
def test_the_seed_decides(function):
    def mask(seed):
        return function((20, 3, 64, 48), 4, seed=seed)

    for seed in (7, [7, 1, 2], np.int64(7)):
        np.testing.assert_array_equal(mask(seed), mask(seed))
    np.testing.assert_array_equal(mask(7), mask(np.random.RandomState(7)))
    np.testing.assert_array_equal(mask(np.random.default_rng(7)), mask(np.random.default_rng(7)))
    assert (mask(7) != mask(8)).any() and (mask([7, 1, 2]) != mask([7, 1, 3])).any()
    assert (mask(None) != mask(None)).any()
    generator = np.random.RandomState(7)
    assert (mask(generator) != mask(generator)).any()


@pytest.mark.parametrize("function", RANDOM, ids=name_of)
def test_the_global_generator_is_left_alone(function):
    before = np.random.get_state()[1].copy()
    function((2, 3, 32, 32), 2, seed=0)
    function((2, 3, 32, 32), 2)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize("function", RANDOM, ids=name_of)
def test_patterns_are_independent(function):
    mask = function((20, 2, 48, 48), 4, seed=1)
    series = mask.reshape(20, -1)
    assert len({pattern.tobytes() for pattern in series}) > (2 if function is sampling.kt_shear_mask else 8)  # 4 starts
    if function is not sampling.kt_shear_mask:
        assert any((pattern[0] != pattern[1]).any() for pattern in mask)


def test_a_given_offset_is_the_same_for_all_patterns():
    mask = sampling.equispaced_lines((4, 48, 48), 4, offset=3)
    assert (mask == mask[0]).all()


@pytest.mark.parametrize("acceleration, center_lines", [(3, 4), (4, 0), (2.3, 7)])
def test_equispaced_gaps_differ_by_one_line_at_most(acceleration, center_lines):
    mask = sampling.equispaced_lines((50, 61), acceleration, center_lines, seed=0, centered=True)[:, 0, 0]
    outside = np.delete(mask, np.arange(50 // 2 - center_lines // 2, 50 // 2 - center_lines // 2 + center_lines))
    lines = np.flatnonzero(outside)
    gaps = np.diff(np.append(lines, lines[0] + outside.size))
    assert gaps.max() - gaps.min() <= 1


def density_of_the_reference(height, center, acceleration):
    line = np.arange(height)
    density = np.exp(-0.5 * ((line - height // 2) / (height / 10.0)) ** 2) + 1 / (2.0 * acceleration)
    density[height // 2 - center // 2 :][:center] = 0
    return density / density.sum()


def draws(mask, center):
    """How often each place outside the centre was measured, in the centered order, and where these places are."""
    start = [size // 2 - center // 2 for size in mask.shape[-3:-1]]
    count = mask.sum(axis=tuple(range(mask.ndim - 3)))[..., 0]
    outside = np.ones(count.shape, bool)
    outside[start[0] : start[0] + center, start[1] : start[1] + center] = False
    return count[outside], outside


@pytest.mark.parametrize("height", [20, 21])
@pytest.mark.parametrize("function", LINES, ids=name_of)
def test_one_line_beside_the_centre_follows_the_density(function, height):
    center, acceleration = 3, height / 4.0
    mask = function((4000, height, 1), acceleration, center, seed=0, centered=True)
    count = mask.sum(axis=0).ravel()
    expected = np.delete(density_of_the_reference(height, center, acceleration), np.s_[height // 2 - 1 : height // 2 + 2])
    if function is not sampling.cartesian_mask:
        expected = np.full(height - center, 1.0 / (height - center))
    found = np.delete(count, np.s_[height // 2 - 1 : height // 2 + 2])
    assert found.sum() == 4000
    assert chisquare(found, 4000 * expected).pvalue > 0.001


def test_one_point_beside_the_centre_follows_the_density():
    height, width, patterns = 9, 8, 20000
    mask = sampling.variable_density_2d((patterns, height, width), height * width / 5.0, 2, seed=0, centered=True)
    found, outside = draws(mask, 2)
    y, x = np.mgrid[:height, :width]
    radius = np.sqrt(2 * (((y - 4) / 10.0) ** 2 + ((x - 4) / 9.0) ** 2))
    expected = ((1 - radius) ** 3)[outside]
    assert found.sum() == patterns
    assert chisquare(found, patterns * expected / expected.sum()).pvalue > 0.001


def test_the_start_of_the_shear_is_uniform():
    mask = sampling.kt_shear_mask((2000, 1, 5, 4), 5, 0, seed=0)
    assert chisquare(mask.sum(axis=(0, 1)).ravel()).pvalue > 0.001


def test_radial_masks_are_symmetric_and_start_at_zero_frequency():
    mask = sampling.radial_mask((4, 33, 47), 9, centered=True)[..., 0]
    np.testing.assert_array_equal(mask, mask[:, ::-1, ::-1])
    assert mask[:, 16, 23].all()


@pytest.mark.parametrize("shape", [(32, 20), (20, 32), (1, 9), (9, 1)])
def test_spokes_run_from_edge_to_edge(shape):
    along_width = sampling.radial_mask(shape, 1)
    assert along_width[0].all() and along_width.sum() == shape[1]
    along_height = sampling.radial_mask(shape, 1, first_angle=90)
    assert along_height[:, 0].all() and along_height.sum() == shape[0]


def test_each_spoke_is_one_point_thick():
    for angle in np.linspace(0, 180, 13):
        assert sampling.radial_mask((32, 32), 1, first_angle=angle).sum() in (31, 32)


@pytest.mark.parametrize("centered", [False, True])
def test_describe_mask_finds_what_the_mask_was_made_with(centered):
    for mask in all_masks((30, 64, 64), centered=centered):
        found = sampling.describe_mask(mask)
        assert found.order == ("centered" if centered else "uncentered")
        assert found == sampling.describe_mask(mask, centered=centered)
        assert found.kind == ("lines" if mask.shape[-2] == 1 else "2-D")
        assert found.acceleration == pytest.approx(mask.size / mask.sum(dtype="float64"))
    for function in RANDOM:
        mask = function((30, 64, 64), 4, seed=2, centered=centered, **center_of(function, 5))
        assert sampling.describe_mask(mask).center_size == 5


def test_describe_mask_sees_lines_in_a_mask_of_full_width():
    mask = sampling.cartesian_mask((1, 128, 128), 4, seed=0)
    assert sampling.describe_mask(mask * np.ones((1, 1, 128, 1))) == sampling.describe_mask(mask)


def test_an_order_that_cannot_be_seen_is_called_uncentered():
    assert {sampling.describe_mask(np.ones((1, height, 1, 1))).order for height in range(1, 60)} == {"uncentered"}


# refusals

SHAPE = (1, 64, 48)
REFUSED = [
    (lambda f: f(SHAPE, 0.5), "`acceleration` must be a finite number of at least 1. Received: 0.5. Try acceleration=4"),
    (lambda f: f(SHAPE, float("nan")), "`acceleration` must be a finite number of at least 1"),
    (lambda f: f(SHAPE, float("inf")), "`acceleration` must be a finite number of at least 1"),
    (lambda f: f(SHAPE, "4"), "`acceleration` must be a finite number of at least 1. Received: '4'"),
    (lambda f: f((64,), 4), r"`shape` must be positive integers that end in \(height, width\). Received: \(64,\). Try"),
    (lambda f: f(64, 4), "`shape` must be positive integers"),
    (lambda f: f((0, 64, 64), 4), "`shape` must be positive integers"),
    (lambda f: f((None, 64, 64), 4), "`shape` must be positive integers"),
    (lambda f: f((1, 64.0, 64), 4), "`shape` must be positive integers"),
    (lambda f: f((1, 64, 64, 2), 4), r"without the axis of \(real, imaginary\).* Try \(1, 64, 64\)"),
    (lambda f: f(SHAPE, 4, 2.0), "must be an integer .* Received: 2.0"),
    (lambda f: f(SHAPE, 4, -1), "must be an integer .* Received: -1"),
    (lambda f: f(SHAPE, 4, seed=-1), "`seed` must be None, integers"),
    (lambda f: f(SHAPE, 4, seed=1.5), "`seed` must be None, integers .* Received: 1.5. Try seed=0"),
]


@pytest.mark.parametrize("function", LINES + [sampling.variable_density_2d], ids=name_of)
@pytest.mark.parametrize("call, message", REFUSED, ids=range(len(REFUSED)))
def test_refuses(function, call, message):
    with pytest.raises(ValueError, match=message):
        call(function)


@pytest.mark.parametrize("function", LINES, ids=name_of)
def test_refuses_more_centre_lines_than_the_mask_may_hold(function):
    message = "`center_lines` must be small enough for the 16 lines that acceleration 4 leaves of 64. Received: 17. Try center_lines=16"
    with pytest.raises(ValueError, match=message):
        function(SHAPE, 4, 17)
    with pytest.raises(
        ValueError, match="`acceleration` must be low enough to leave one of 64 lines. Received: 65. Try acceleration=64"
    ):
        function(SHAPE, 65, 0)


def test_refuses_a_centre_that_is_larger_than_the_points_or_the_axes():
    with pytest.raises(
        ValueError, match="for the 48 points that acceleration 64 leaves of 3072. Received: 7. Try center_size=6"
    ):
        sampling.variable_density_2d(SHAPE, 64, 7)
    with pytest.raises(ValueError, match="`center_size` must be an integer from 0 to 48. Received: 49"):
        sampling.variable_density_2d(SHAPE, 1, 49)


SHEAR_REFUSED = [
    (((64, 64), 4), r"`shape` must be positive integers that end in \(frames, height, width\)"),
    (((30, 64, 64, 2), 4), r"without the axis of \(real, imaginary\).* Try \(30, 64, 64\)"),
    (((30, 64, 64), 2.5), "`acceleration` must be an integer from 1 to 64. Received: 2.5. Try acceleration=4"),
    (((30, 64, 64), 0), "`acceleration` must be an integer from 1 to 64"),
    (((30, 64, 64), 65), "`acceleration` must be an integer from 1 to 64"),
    (((30, 64, 64), 4, 65), "`center_lines` must be an integer from 0 to 64"),
    (((30, 64, 64), 4, 1.5), "`center_lines` must be an integer from 0 to 64"),
]


@pytest.mark.parametrize("arguments, message", SHEAR_REFUSED, ids=range(len(SHEAR_REFUSED)))
def test_shear_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        sampling.kt_shear_mask(*arguments)


def test_radial_refuses():
    for num_spokes in (0, -3, 2.5):
        with pytest.raises(ValueError, match="`num_spokes` must be an integer of at least 1. Received: "):
            sampling.radial_mask(SHAPE, num_spokes)
    with pytest.raises(ValueError, match="`first_angle` must be a finite number of degrees"):
        sampling.radial_mask(SHAPE, 4, first_angle=float("inf"))


def test_equispaced_refuses_a_fractional_offset():
    with pytest.raises(ValueError, match="`offset` must be None or an integer. Received: 0.5"):
        sampling.equispaced_lines(SHAPE, 4, offset=0.5)


@pytest.mark.parametrize(
    "mask, message",
    [
        (np.ones((64, 64)), r"`mask` must be of shape \(..., height, width, 1\). Received: \(64, 64\). Try mask\[..., None\]"),
        (np.ones((2, 64, 64)), r"`mask` must be of shape \(..., height, width, 1\)"),
        (np.ones((0, 64, 1, 1)), r"`mask` must be of shape"),
        (np.full((1, 64, 1, 1), 0.5), "`mask` must be 0 or 1 everywhere. Received: .*0.5.*. Try mask != 0"),
        (np.full((1, 64, 1, 1), np.nan), "`mask` must be 0 or 1 everywhere"),
    ],
)
def test_describe_mask_refuses(mask, message):
    with pytest.raises(ValueError, match=message):
        sampling.describe_mask(mask)
