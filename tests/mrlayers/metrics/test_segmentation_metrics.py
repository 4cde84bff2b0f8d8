"""Overlap by classes, by pixels and by cells, against every pair of pixels, scikit-image and published values."""

import inspect
import itertools
import sys

import numpy as np
import pytest
import skimage.metrics
from scipy import ndimage, special
from scipy.spatial import distance

from mrlayers import metrics

SHAPES = {1: (60,), 2: (13, 12), 3: (6, 7, 5)}
OF_CELLS = ["adapted_rand_error", "variation_of_information"]


@pytest.fixture(params=sorted(SHAPES), ids="{}-D".format)
def masks(request):
    """A prediction and a target that share some of their cells."""
    random, shape = np.random.RandomState(request.param), SHAPES[request.param]
    target = random.uniform(size=shape) < 0.6
    return np.where(random.uniform(size=shape) < 0.15, ~target, target).astype(int), target.astype(int)


def every_pair(prediction, target):
    """Error, precision and recall of pairs of pixels inside the target's cells; label maps of cells."""
    inside = target != 0
    pairs = list(itertools.combinations(zip(prediction[inside].tolist(), target[inside].tolist()), 2))
    predicted = sum(a[0] == b[0] for a, b in pairs)
    true = sum(a[1] == b[1] for a, b in pairs)
    both = sum(a == b for a, b in pairs)
    precision, recall = both / predicted, both / true
    return 1 - 2 * precision * recall / (precision + recall), precision, recall


def conditional_entropy(of, given):
    """In bits, group by group."""
    groups = [of[given == value] for value in np.unique(given)]
    entropies = [special.entr(np.unique(group, return_counts=True)[1] / group.size).sum() / np.log(2) for group in groups]
    return sum(group.size * each for group, each in zip(groups, entropies)) / of.size


# numbers


def test_iou_by_hand():
    prediction = np.array([[0, 2, 2, 5], [0, 2, 9, 9]])
    target = np.array([[0, 2, 5, 5], [2, 2, 0, 0]])
    np.testing.assert_allclose(metrics.iou(prediction, target, [2, 5, 9, 0]), [2 / 4.0, 1 / 2.0, 0.0, 1 / 4.0], rtol=1e-15)


def test_iou_and_pixel_error_of_scipy(masks):
    prediction, target = (mask.ravel() for mask in masks)
    expected = [1 - distance.jaccard(prediction == label, target == label) for label in (1, 0)]
    np.testing.assert_allclose(metrics.iou(masks[0], masks[1], [1, 0]), expected, rtol=1e-12)
    assert metrics.pixel_error(*masks) == pytest.approx(distance.hamming(prediction, target), rel=1e-12)


def test_known_answers_of_soft_dice():
    """Four pixels, three of class 1, one half everywhere; MindSpore and NVIDIA."""
    labels, half = np.array([[0, 1], [1, 1]]), np.full((2, 2, 2), 0.5, "float32")
    assert metrics.soft_dice(half, labels) == pytest.approx(2 / 3.0, abs=1e-6)
    np.testing.assert_allclose(metrics.soft_dice(half, labels, "per-class"), [0.50000024, 0.75000006], atol=1e-7)


def test_soft_dice_of_numpy():
    probabilities = special.softmax(np.random.RandomState(0).normal(size=(4, 5, 6, 3)), axis=-1)
    labels = np.random.RandomState(1).randint(0, 3, (4, 5, 6))
    one_hot = np.eye(3)[labels]
    p, y = probabilities.ravel(), one_hot.ravel()
    expected = 2 * p.dot(y) / (p.dot(p) + y.dot(y) + 1e-6)
    classes = [2 * np.sum(p * y) / np.sum(p**2 + y**2) for p, y in zip(probabilities.T, one_hot.T)]
    for target in (labels, labels[..., None], labels.astype("float32"), one_hot):
        assert metrics.soft_dice(probabilities, target) == pytest.approx(expected, rel=1e-12)
        np.testing.assert_allclose(metrics.soft_dice(probabilities, target, "per-class"), classes, rtol=1e-6)


def test_rand_error_of_every_pair_of_pixels(masks):
    prediction, target = masks
    cells = [ndimage.label(mask)[0] for mask in masks]
    found = metrics.adapted_rand_error(prediction, target)
    np.testing.assert_allclose(found, every_pair(*cells), rtol=1e-12)
    assert found[0] == pytest.approx(skimage.metrics.adapted_rand_error(cells[1], cells[0])[0], rel=1e-12)
    np.testing.assert_allclose(metrics.adapted_rand_error(*cells, definition="labels"), found, rtol=1e-15)


def test_information_of_every_cell(masks):
    prediction, target = masks
    cells = [ndimage.label(mask)[0] for mask in masks]
    inside = target != 0
    predicted, true = cells[0][inside], cells[1][inside]
    expected = conditional_entropy(predicted, true), conditional_entropy(true, predicted)
    np.testing.assert_allclose(metrics.variation_of_information(prediction, target), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(metrics.variation_of_information(*cells, definition="labels"), expected, rtol=1e-12, atol=1e-12)


def test_a_gap_and_a_wall_by_hand():
    """Two cells of 3 x 4 pixels: a hole of one pixel joins them; a wall of three pixels halves the first."""
    target = np.ones((3, 9), int)
    target[:, 4] = 0
    hole, wall = target.copy(), target.copy()
    hole[1, 4], wall[:, 1] = 1, 0
    both, one = 2 * 12 * 11, 24 * 23
    error = 1 - 2 * both / (one + both)
    np.testing.assert_allclose(metrics.adapted_rand_error(hole, target), [error, both / one, 1])
    np.testing.assert_allclose(metrics.variation_of_information(hole, target), [0, 1], atol=1e-15)
    both = 3 * 2 + 3 * 2 + 6 * 5 + 12 * 11  # left of the wall, the wall itself, right of it, and the second cell
    np.testing.assert_allclose(metrics.adapted_rand_error(wall, target)[1:], [1, both / (2 * 12 * 11)])
    np.testing.assert_allclose(metrics.variation_of_information(wall, target), [0.5 * 1.5, 0], atol=1e-15)
    assert metrics.pixel_error(hole, target) == 1 / 27.0


def test_corners_do_not_touch():
    mask = np.array([[1, 0, 0, 1], [0, 1, 1, 1], [1, 0, 0, 0]])
    components = metrics.connected_components(mask)
    np.testing.assert_array_equal(components, [[1, 0, 0, 2], [0, 2, 2, 2], [3, 0, 0, 0]])
    assert components.dtype == "int32"
    volume = np.stack([mask, np.zeros_like(mask), mask])
    assert metrics.connected_components(volume.astype("float32")).max() == 6
    volume[1, 0, 0] = 1
    assert metrics.connected_components(volume == 1).max() == 5


# laws


def test_a_perfect_segmentation(masks):
    _, target = masks
    np.testing.assert_array_equal(metrics.iou(target, target, [1, 0]), 1)
    assert metrics.pixel_error(target, target) == 0
    assert metrics.adapted_rand_error(target, target) == (0, 1, 1)
    np.testing.assert_allclose(metrics.variation_of_information(target, target), 0, atol=1e-12)
    assert metrics.soft_dice(np.eye(2)[target], target) == pytest.approx(1, abs=1e-6)
    np.testing.assert_array_equal(metrics.soft_dice(np.eye(2)[target], target, "per-class"), 1)


def test_iou_is_a_function_of_dice(masks):
    overlap = metrics.dice(masks[0], masks[1], [1, 7, 0])
    np.testing.assert_allclose(metrics.iou(masks[0], masks[1], [1, 7, 0]), overlap / (2 - overlap), rtol=1e-15)
    np.testing.assert_array_equal(metrics.iou(masks[1], masks[0], [1, 7, 0]), metrics.iou(masks[0], masks[1], [1, 7, 0]))


def test_labels_that_are_absent():
    first, second = np.zeros((2, 6, 6), int)
    first[2, 2] = 4
    for empty, value in [("nan", np.nan), ("one", 1), ("zero", 0)]:
        np.testing.assert_array_equal(metrics.iou(first, second, [8, 4], empty=empty), [value, 0])


@pytest.mark.parametrize("name", OF_CELLS)
def test_names_of_cells_do_not_matter_nor_where_the_membranes_of_the_target_are(name, masks):
    metric, (prediction, target) = getattr(metrics, name), masks
    cells = [ndimage.label(mask)[0] for mask in masks]
    expected = metric(prediction, target)
    np.testing.assert_allclose(metric(-7 * cells[0] + 3, 10**6 * cells[1], "labels"), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(metric(prediction == 1, target.astype("float32")), expected, rtol=1e-12, atol=1e-12)
    changed = np.where(target == 0, 99, cells[0])
    np.testing.assert_allclose(metric(changed, cells[1], "labels"), expected, rtol=1e-12, atol=1e-12)


def test_targets_without_cells_and_predictions_without_any():
    nothing, everything = np.zeros((4, 5), int), np.ones((4, 5), int)
    np.testing.assert_array_equal(metrics.adapted_rand_error(everything, nothing), [np.nan] * 3)
    np.testing.assert_array_equal(metrics.variation_of_information(everything, nothing), [np.nan] * 2)
    target = np.array([[1, 0, 1, 0, 1]])
    np.testing.assert_array_equal(metrics.adapted_rand_error(0 * target, target), [1, 0, np.nan])
    np.testing.assert_allclose(metrics.variation_of_information(0 * target, target), [0, np.log2(3)], atol=1e-12)


def test_the_first_definition_is_the_default():
    for name in OF_CELLS + ["soft_dice"]:
        assert inspect.signature(getattr(metrics, name)).parameters["definition"].default == metrics.DEFINITIONS[name][0]


# refusals


def test_refuses_probabilities():
    half, labels = np.full((4, 5, 2), 0.5), np.zeros((4, 5), int)
    for wrong, message in [
        (4 * half - 3, r"`probabilities` must be probabilities from 0 to 1. Received: values from -1 to -1. Try softmax"),
        (half * np.nan, "`probabilities` must be probabilities from 0 to 1. Received: values from nan to nan"),
        (half[..., :1], r"`probabilities` must have the shape .* Received: shape \(4, 5, 1\). Try numpy.stack"),
        (half[0, 0], r"`probabilities` must have the shape .* Received: shape \(2,\)"),
        (half[:0], r"`probabilities` must be probabilities from 0 to 1. Received: shape \(0, 5, 2\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            metrics.soft_dice(wrong, labels)
    for target, message in [
        (labels + 255, "`target` must hold labels from 0 to 1. Received: values from 255 to 255. Try target == 255"),
        (labels - 1, "`target` must hold labels from 0 to 1. Received: values from -1 to -1"),
        (labels + 0.5, "`target` must be a label map, of whole numbers. Received: 0.5 and 19 others"),
        (
            labels[:3],
            r"`target` must be a label map of shape \(4, 5\), or have the shape .*\(4, 5, 2\). Received: shape \(3, 5\)",
        ),
        (2 + half, "`target` must be probabilities from 0 to 1. Received: values from 2.5 to 2.5"),
    ]:
        with pytest.raises(ValueError, match=message):
            metrics.soft_dice(half, target)
    with pytest.raises(ValueError, match="`definition` must be one of 'mindspore', 'per-class'. Received: 'joint'."):
        metrics.soft_dice(half, labels, "joint")


@pytest.mark.parametrize("name", OF_CELLS + ["pixel_error", "iou"])
def test_refuses_label_maps(name):
    mask, more = np.zeros((4, 5), int), ([1],) if name == "iou" else ()
    metric = getattr(metrics, name)
    with pytest.raises(ValueError, match=r"`target` must have the shape of `prediction`, \(4, 5\). Received: shape \(3, 5\)"):
        metric(mask, mask[:3], *more)
    with pytest.raises(ValueError, match="`prediction` must be a label map, of whole numbers. Received: 0.5 and 19 others"):
        metric(mask + 0.5, mask, *more)


@pytest.mark.parametrize("name", OF_CELLS)
def test_refuses_what_is_not_a_mask(name, monkeypatch):
    metric, mask = getattr(metrics, name), np.zeros((4, 5), int)
    for pair, argument in [((mask + 255, mask), "prediction"), ((mask, mask + 255), "target")]:
        with pytest.raises(ValueError, match="`%s` must be a mask of 0 and 1. Received: values from 255 to 255" % argument):
            metric(*pair)
    with pytest.raises(ValueError, match="`definition` must be one of 'interior', 'labels'. Received: 'isbi'."):
        metric(mask, mask, "isbi")
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(ImportError, match="`%s` needs scikit-image, which is not installed. Try `pip install" % name):
        metric(mask, mask)


def test_refuses_components():
    with pytest.raises(ValueError, match="`mask` must be a mask of 0 and 1. Received: values from -1 to 0. Try mask == 255"):
        metrics.connected_components([[-1, 0]])
    with pytest.raises(ValueError, match="`mask` must be a label map"):
        metrics.connected_components([[0.5]])
