"""Dice and HD95 against SciPy and against every pair of surface voxels; target registration error by hand."""

import inspect
import itertools

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import distance

from mrlayers import metrics

LABELS = [3, 1, 7]
SHAPES = {1: (40,), 2: (17, 14), 3: (9, 11, 8)}
SPACING = {1: [1.5], 2: [0.7, 2.0], 3: [1.0, 0.8, 3.0]}


@pytest.fixture(params=sorted(SHAPES), ids="{}-D".format)
def pair(request):
    """Two maps of blobs with the labels 0, 1, 3 and 7, some of which touch the faces of the volume."""
    random, shape = np.random.RandomState(request.param), SHAPES[request.param]
    smooth = [ndimage.gaussian_filter(random.normal(size=shape), 1.5) for _ in range(2)]
    first, second = smooth[0], smooth[0] + 0.5 * smooth[1]
    return tuple(np.array([1, 0, 3, 7])[np.digitize(x, np.quantile(x, [0.2, 0.6, 0.8]))] for x in (first, second))


def brute_force(first, second, spacing, definition):
    points = []
    for mask in (first, second):
        padded = np.pad(mask, 1, mode="constant")
        steps = [step for axis in range(mask.ndim) for step in (np.eye(mask.ndim, dtype=int)[axis],) for step in (step, -step)]
        places = [p for p in np.argwhere(padded) if not all(padded[tuple(p + step)] for step in steps)]
        points.append(np.array(places) * spacing)
    pairwise = distance.cdist(*points)
    there, back = pairwise.min(axis=1), pairwise.min(axis=0)
    if definition == "pooled":
        return np.percentile(np.concatenate([there, back]), 95)
    return max(np.percentile(there, 95), np.percentile(back, 95))


# numbers


def test_dice_by_hand():
    prediction = np.array([[0, 2, 2, 5], [0, 2, 9, 9]])
    target = np.array([[0, 2, 5, 5], [2, 2, 0, 0]])
    np.testing.assert_array_equal(metrics.dice(prediction, target, [2, 5, 9, 0]), [4 / 6.0, 2 / 3.0, 0.0, 2 / 5.0])


def test_dice_of_scipy(pair):
    first, second = pair
    expected = [1 - distance.dice((first == label).ravel(), (second == label).ravel()) for label in LABELS]
    np.testing.assert_allclose(metrics.dice(first, second, LABELS), expected, rtol=1e-14)


@pytest.mark.parametrize("definition", metrics.DEFINITIONS["hd95"])
def test_hd95_of_all_pairs_of_surface_voxels(pair, definition):
    first, second = pair
    spacing = SPACING[first.ndim]
    expected = [brute_force(first == label, second == label, spacing, definition) for label in LABELS]
    assert max(expected) > 1
    np.testing.assert_allclose(metrics.hd95(first, second, LABELS, spacing, definition), expected, rtol=1e-12)


def test_a_voxel_and_a_line_that_starts_there():
    """101 distances 0, 2 ... 200 one way, one distance 0 back: the 96th of 101 values, and between two of 102."""
    voxel, line = np.zeros((2, 3, 104), "uint8")
    voxel[1, 1] = 1
    line[1, 1:102] = 1
    assert metrics.hd95(line, voxel, [1], [9.0, 2.0]) == [190.0]
    assert metrics.hd95(line, voxel, [1], [9.0, 2.0], "pooled") == pytest.approx([189.9])


def test_monai_and_medpy():
    """Printed by MONAI 1.6.1 (in single precision) and MedPy 0.5.2 for two ellipsoids, one with a lump in a corner."""
    i, j, k = np.indices((16, 14, 12))
    first = (i - 7) ** 2 + 2 * (j - 6) ** 2 + 3 * (k - 5) ** 2 < 36
    second = 2 * (i - 9) ** 2 + (j - 7) ** 2 + 2 * (k - 6) ** 2 < 30
    second[13:, 11:, 9:] = True
    spacing = (1.0, 0.8, 2.3)
    assert metrics.hd95(first, second, [1], spacing, "maximum") == pytest.approx([8.571470260620117], rel=1e-6)
    assert metrics.hd95(first, second, [1], spacing, "pooled") == pytest.approx([7.108244355433336], rel=1e-12)
    assert metrics.dice(first, second, [1]) == pytest.approx([0.5591098748261474], rel=1e-12)


def test_target_registration_error_by_hand():
    points, targets = [[1, 2, 3], [4.5, 0, 0]], [[4, 6, 3], [4.5, 0, 2]]
    np.testing.assert_array_equal(metrics.target_registration_error(points, targets), [5, 2])
    np.testing.assert_array_equal(metrics.target_registration_error(points, targets, [4, 1.25, 7]), [13, 14])
    np.testing.assert_array_equal(metrics.target_registration_error(points, targets, 3), [15, 6])
    assert metrics.target_registration_error([points], [targets]).shape == (1, 2)
    assert metrics.target_registration_error(points[0], targets[0]) == 5


# laws


def test_equal_maps(pair):
    np.testing.assert_array_equal(metrics.dice(pair[0], pair[0], LABELS), 1)
    np.testing.assert_array_equal(metrics.hd95(pair[0], pair[0], LABELS, 2.0), 0)


@pytest.mark.parametrize("name", ["dice", "hd95"])
def test_symmetry_names_and_order_of_labels(pair, name):
    metric = metrics.dice if name == "dice" else lambda *inputs: metrics.hd95(*inputs, spacing=1.5)
    first, second = pair
    expected = metric(first, second, LABELS)
    assert expected.shape == (3,) and expected.dtype == "float64"
    np.testing.assert_array_equal(metric(second, first, LABELS), expected)
    np.testing.assert_array_equal(metric(first, second, LABELS[::-1]), expected[::-1])
    np.testing.assert_array_equal([metric(first, second, [label])[0] for label in LABELS], expected)
    np.testing.assert_array_equal(metric(300 * first, 300 * second, 300 * np.array(LABELS)), expected)
    np.testing.assert_array_equal(metric(first - 5, second - 5, np.array(LABELS) - 5), expected)
    for dtype in ("uint8", "int16", "float32", "float64"):
        np.testing.assert_array_equal(metric(first.astype(dtype), second.tolist(), LABELS), expected)
    np.testing.assert_array_equal(metric(first == 7, second == 7, [1]), expected[2:])


def test_dice_of_a_linear_image_is_that_of_its_volume(pair):
    first, second = pair
    flat = metrics.dice(first.ravel(), second.ravel(), LABELS)
    np.testing.assert_array_equal(metrics.dice(first, second, LABELS), flat)


@pytest.mark.parametrize("definition", metrics.DEFINITIONS["hd95"])
def test_hd95_is_a_length(pair, definition):
    """Axes may be permuted and flipped, mm are proportional, and background around the volume does not matter inside it."""
    first, second = pair
    spacing = np.array(SPACING[first.ndim])
    expected = metrics.hd95(first, second, LABELS, spacing, definition)
    for axes in itertools.permutations(range(first.ndim)):
        moved = metrics.hd95(first.transpose(axes), second.transpose(axes), LABELS, spacing[list(axes)], definition)
        np.testing.assert_allclose(moved, expected, rtol=1e-14)
        np.testing.assert_allclose(
            metrics.hd95(np.flip(first, axes[0]), np.flip(second, axes[0]), LABELS, spacing, definition), expected, rtol=1e-14
        )
    np.testing.assert_allclose(metrics.hd95(first, second, LABELS, 3 * spacing, definition), 3 * expected, rtol=1e-14)
    padded = [np.pad(x, 5, mode="constant") for x in pair]
    np.testing.assert_array_equal(metrics.hd95(padded[0], padded[1], LABELS, spacing, definition), expected)


def test_a_voxel_that_moves_far_is_seen_outside_both_boxes():
    first, second = np.zeros((2, 30, 20, 10), "uint8")
    first[0, 0, 0] = second[29, 19, 9] = 1
    np.testing.assert_allclose(metrics.hd95(first, second, [1], 1.0), np.sqrt(29**2 + 19**2 + 9**2))


def test_five_per_cent_of_outliers_are_left_out():
    first = np.zeros((30, 60), "uint8")
    first[2, :40] = 1
    second = first.copy()
    second[25, 50] = 1
    assert metrics.hd95(first, second, [1], 1.0) == 0
    second[25, 50:53] = 1
    assert metrics.hd95(first, second, [1], 1.0) > 20


def test_labels_that_are_absent():
    first, second = np.zeros((2, 6, 6), int)
    first[2, 2] = 4
    for empty, value in [("nan", np.nan), ("one", 1), ("zero", 0)]:
        np.testing.assert_array_equal(metrics.dice(first, second, [8, 4], empty=empty), [value, 0])
    np.testing.assert_array_equal(metrics.hd95(first, second, [8, 4], 1.0), [np.nan, np.inf])
    np.testing.assert_array_equal(metrics.hd95(second, first, [8, 4], 1.0, empty="zero", missing="nan"), [0, np.nan])


def test_landmarks_in_a_rotated_volume():
    random = np.random.RandomState(0)
    rotation, _ = np.linalg.qr(random.normal(size=(3, 3)))
    affine = rotation * SPACING[3]
    points, targets = random.normal(size=(2, 12, 3))
    expected = np.linalg.norm(points.dot(affine.T) - targets.dot(affine.T), axis=-1)
    np.testing.assert_allclose(metrics.target_registration_error(points, targets, SPACING[3]), expected, rtol=1e-12)


def test_the_first_definition_is_the_default():
    assert inspect.signature(metrics.hd95).parameters["definition"].default == metrics.DEFINITIONS["hd95"][0]


# refusals

MAP = np.zeros((4, 5), int)
BOTH = [
    (MAP + 0.5, MAP, [1], "`prediction` must be a label map, of whole numbers. Received: 0.5 and 19 others. Try nearest"),
    (MAP, np.where(MAP == 0, np.nan, 0), [1], "`target` must be a label map.* Received: nan"),
    (MAP + np.inf, MAP, [1], "`prediction` must be a label map.* Received: inf"),
    (MAP + 0j, MAP, [1], r"`prediction` must be a label map.* Received: complex128 of shape \(4, 5\)"),
    (3, 3, [1], r"`prediction` must be a label map.* Received: int64 of shape \(\)"),
    (3.0, 3.0, [1], r"`prediction` must be a label map.* Received: float64 of shape \(\)"),
    (MAP, MAP[:3], [1], r"`target` must have the shape of `prediction`, \(4, 5\). Received: shape \(3, 5\)"),
    (MAP, MAP, 1, r"`labels` must be a list .* Received: shape \(\), int64. Try numpy.unique"),
    (MAP, MAP, [[1, 2]], r"`labels` must be a list .* Received: shape \(1, 2\)"),
    (MAP, MAP, [], r"`labels` must be a list of one or more integers without repetition. Received: \[\]"),
    (MAP, MAP, [1.0], r"`labels` must be a list .* Received: \[1.0\]"),
    (MAP, MAP, [True], "`labels` must be a list"),
    (MAP, MAP, [2, 1, 2], r"`labels` must be a list .* Received: \[2, 1, 2\]"),
]


@pytest.mark.parametrize("name", ["dice", "hd95"])
@pytest.mark.parametrize("prediction, target, labels, message", BOTH, ids=range(len(BOTH)))
def test_refuses_label_maps(name, prediction, target, labels, message):
    options = {} if name == "dice" else {"spacing": 1.0}
    with pytest.raises(ValueError, match=message):
        getattr(metrics, name)(prediction, target, labels, **options)


@pytest.mark.parametrize("spacing", [0, -1, [1, 1, 1], [1, np.nan], [1, np.inf], [[1, 1]]])
def test_refuses_spacings(spacing):
    message = "`spacing` must be one positive number, or one for each of 2 axes. Received: .* Try the zooms"
    with pytest.raises(ValueError, match=message):
        metrics.hd95(MAP, MAP, [1], spacing)
    with pytest.raises(ValueError, match=message):
        metrics.target_registration_error(np.zeros((7, 2)), np.zeros((7, 2)), spacing)


@pytest.mark.parametrize("option", ["definition", "empty", "missing"])
def test_refuses_unknown_names(option):
    with pytest.raises(ValueError, match="`%s` must be one of .* Received: 'best'" % option):
        metrics.hd95(MAP, MAP, [1], 1.0, **{option: "best"})
    with pytest.raises(ValueError, match="`empty` must be one of 'nan', 'one', 'zero'. Received: None"):
        metrics.dice(MAP, MAP, [1], empty=None)


def test_refuses_landmarks():
    with pytest.raises(ValueError, match=r"`targets` must have the shape of `points`.* Received: \(3, 2\) and \(4, 2\)"):
        metrics.target_registration_error(np.zeros((3, 2)), np.zeros((4, 2)))
    with pytest.raises(ValueError, match="`targets` must have the shape"):
        metrics.target_registration_error(1.0, 2.0)
    with pytest.raises(ValueError, match="`targets` must be finite. Received: 2 values that are not"):
        metrics.target_registration_error(np.zeros((3, 2)), [[0, 0], [np.nan, 0], [0, np.inf]])
