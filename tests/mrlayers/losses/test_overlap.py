"""Dice and Tversky: known answers of other systems, NumPy class by class, limits, refusals."""

import numpy as np
import pytest
from scipy import special

from applied import values
from mrlayers import backend
from mrlayers.backend import keras
from mrlayers.losses import Dice, Tversky
from runtime import random


def probabilities(*shape, seed=0):
    logits = np.exp(random(*shape, seed=seed))
    return logits / logits.sum(axis=-1, keepdims=True)


def label_map(*shape, classes=4, seed=0):
    return np.random.RandomState(seed).randint(0, classes, shape + (1,)).astype("float32")


def one_hot(labels, classes=4):
    return (labels == np.arange(classes)).astype("float32")


def formula(true, prediction, squared=False, smoothing=(1e-5, 1e-5)):
    """The overlap of one class."""
    true, prediction = true.astype("float64"), prediction.astype("float64")
    total = np.sum(true**2 + prediction**2 if squared else true + prediction)
    return (2 * np.sum(true * prediction) + smoothing[0]) / (total + smoothing[1])


# numbers


def test_known_answers():
    """Four pixels, three of class 1, zero logits: one half everywhere."""
    true, half = np.array([0, 1, 1, 1], "float32").reshape(1, 4, 1), np.full((1, 4, 2), 0.5, "float32")
    nvidia = Dice.preset("nvidia")
    assert values(nvidia, true, half)[0] == pytest.approx(0.3749999, abs=1e-7)
    each = [values(Dice.preset("nvidia", labels=(label, 9)), true, half * np.array([1, 0], "float32"))[0] for label in (0, 1)]
    absent = 1 - 1e-6 / 1e-6  # nothing in either of the second class: it is right
    np.testing.assert_allclose(each, [(1 - 0.50000024 + absent) / 2, (1 - 0.75000006 + absent) / 2], atol=1e-7)
    assert values(nvidia, true, one_hot(true, 2))[0] == pytest.approx(0.0, abs=1e-7)
    assert 1 - values(Dice.preset("mindspore"), true, half)[0] == pytest.approx(2 / 3.0, abs=1e-6)


@pytest.mark.parametrize("shape", [(11,), (6, 7), (4, 5, 3)])
@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("background", [False, True])
def test_equals_numpy(shape, squared, background):
    labels, prediction = label_map(2, *shape), probabilities(2, *shape + (4,))
    true, first = one_hot(labels), 0 if background else 1
    for smoothing in (1e-5, 0.0, (0.0, 2.0), (1.0, 1.0)):
        pair = smoothing if isinstance(smoothing, tuple) else (smoothing, smoothing)
        scores = [[formula(t[..., c], p[..., c], squared, pair) for c in range(first, 4)] for t, p in zip(true, prediction)]
        loss = Dice(background=background, squared=squared, smoothing=smoothing)
        for target in (labels, true):
            np.testing.assert_allclose(values(loss, target, prediction), 1 - np.mean(scores, axis=1), rtol=1e-5)


def test_joint_classes_and_the_whole_batch():
    labels, prediction = label_map(3, 6, 7), probabilities(3, 6, 7, 4)
    true = one_hot(labels)
    expected = [1 - formula(t, p) for t, p in zip(true, prediction)]
    np.testing.assert_allclose(values(Dice(classes="joint"), labels, prediction), expected, rtol=1e-5)
    expected = 1 - np.mean([formula(true[..., c], prediction[..., c]) for c in range(4)])
    np.testing.assert_allclose(values(Dice(per="batch"), labels, prediction), np.full(3, expected), rtol=1e-5)
    expected = 1 - formula(true[..., 1:], prediction[..., 1:], squared=True)
    loss = Dice(per="batch", classes="joint", background=False, squared=True)
    np.testing.assert_allclose(values(loss, labels, prediction), np.full(3, expected), rtol=1e-5)


def test_soft_targets_and_one_channel():
    true, prediction = probabilities(2, 6, 7, 3), probabilities(2, 6, 7, 3, seed=1)
    expected = [1 - np.mean([formula(t[..., c], p[..., c]) for c in range(3)]) for t, p in zip(true, prediction)]
    np.testing.assert_allclose(values(Dice(), true, prediction), expected, rtol=1e-5)
    expected = [1 - formula(t[..., 0], p[..., 0]) for t, p in zip(true, prediction)]
    np.testing.assert_allclose(values(Dice(), true[..., :1], prediction[..., :1]), expected, rtol=1e-5)


def test_values_of_a_published_list_of_labels():
    """Labels in the order of channels; voxels of other labels, and the background, belong to no class."""
    names = np.array([0, 17, 53, 4, 99], "float32")
    labels = names[label_map(2, 6, 7, classes=5).astype(int)]
    listed, prediction = (53, 4, 17), probabilities(2, 6, 7, 3)
    expected = values(Dice(), one_hot(labels - np.array(listed), 1) * np.ones(3, "float32"), prediction)
    true = np.concatenate([(labels == label).astype("float32") for label in listed], axis=-1)
    np.testing.assert_array_equal(one_hot(labels - np.array(listed), 1), true)
    np.testing.assert_allclose(values(Dice(labels=listed), labels, prediction), expected, rtol=1e-6)
    np.testing.assert_allclose(values(Dice(labels=list(listed)), labels.astype("int32"), prediction), expected, rtol=1e-6)


def test_nnunet():
    """Over the batch and without background; the numbers of nnU-Net 2 are minus the overlap."""
    labels, prediction = label_map(2, 6, 7), probabilities(2, 6, 7, 4)
    true, smooth = one_hot(labels).astype("float64"), 1e-5
    overlap = [
        (2 * np.sum(p * t) + smooth) / max(np.sum(p) + np.sum(t) + smooth, 1e-8)
        for p, t in zip(np.moveaxis(prediction, -1, 0)[1:], np.moveaxis(true, -1, 0)[1:])
    ]
    np.testing.assert_allclose(values(Dice.preset("nnunet"), labels, prediction), np.full(2, 1 - np.mean(overlap)), rtol=1e-5)
    expected = values(Dice(background=False), labels, prediction)
    np.testing.assert_allclose(values(Dice.preset("nnunet", per="image"), labels, prediction), expected, rtol=1e-6)


def test_tversky_equals_numpy():
    labels, prediction = label_map(2, 6, 7), probabilities(2, 6, 7, 4)
    true = one_hot(labels).astype("float64")
    found, too_much, missed = [
        np.sum(x, axis=(1, 2)) for x in (true * prediction, (1 - true) * prediction, true * (1 - prediction))
    ]
    for alpha, beta, smoothing in [(0.3, 0.7, 1e-5), (0.0, 2.0, 0.0), (1.0, 1.0, 3.0)]:
        scores = (found + smoothing) / (found + alpha * too_much + beta * missed + smoothing)
        loss = Tversky(alpha, beta, smoothing)
        np.testing.assert_allclose(values(loss, labels, prediction), 1 - scores.mean(axis=-1), rtol=1e-5)
    expected = 1 - (found / (found + 0.3 * too_much + 0.7 * missed))[:, 1:].mean(axis=-1)
    loss = Tversky(smoothing=0.0, labels=(5, 1, 2, 3), background=False)
    np.testing.assert_allclose(values(loss, labels, prediction), expected, rtol=1e-5)


@pytest.mark.parametrize("make", [Dice, Tversky])
def test_logits(make):
    logits = 3 * random(2, 6, 7, 4)
    labels, mask = label_map(2, 6, 7), label_map(2, 6, 7, classes=2)
    expected = values(make(), labels, special.softmax(logits, axis=-1))
    np.testing.assert_allclose(values(make(from_logits=True), labels, logits), expected, rtol=1e-5)
    single = logits[..., :1]
    expected = values(make(), mask, special.expit(single))
    np.testing.assert_allclose(values(make(from_logits=True), mask, single), expected, rtol=1e-5)
    certain = np.where(one_hot(labels) > 0, 500.0, -500.0).astype("float32")
    np.testing.assert_allclose(values(make(from_logits=True), labels, certain), 0.0, atol=1e-6)
    np.testing.assert_allclose(values(make(from_logits=True), mask, 500 * (2 * mask - 1)), 0.0, atol=1e-6)


# limits


def test_tversky_is_dice_and_jaccard():
    labels, prediction = label_map(2, 6, 7), probabilities(2, 6, 7, 4)
    expected = values(Dice(smoothing=2.0), labels, prediction)
    np.testing.assert_allclose(values(Tversky(0.5, 0.5, smoothing=1.0), labels, prediction), expected, rtol=1e-5)
    mask, other = np.array([[1, 1, 0, 1], [1, 0, 0, 1]], "float32").reshape(2, 1, 4, 1)
    assert values(Tversky(1.0, 1.0, 0.0), mask[None], other[None])[0] == pytest.approx(1 / 3.0)
    assert values(Tversky(smoothing=0.0), 0 * mask[None], 0 * other[None])[0] == 0.0


def test_tversky_blames_each_mistake_by_itself():
    true, found_all = np.array([1, 0, 0, 0], "float32").reshape(1, 4, 1), np.ones((1, 4, 1), "float32")
    assert values(Tversky(0.2, 0.9, 0.0), true, found_all)[0] == pytest.approx(1 - 1 / (1 + 0.2 * 3))
    assert values(Tversky(0.2, 0.9, 0.0), found_all, true)[0] == pytest.approx(1 - 1 / (1 + 0.9 * 3))


def test_classes_that_are_absent():
    true, prediction = one_hot(np.zeros((1, 6, 1))), np.zeros((1, 6, 4), "float32")
    prediction[..., 0], prediction[:, :3, 1] = 1.0, 0.5
    wrong = 1 - 1e-5 / (1.5 + 1e-5)  # class 1 is predicted and absent; classes 2 and 3 are absent in both, which is right
    assert values(Dice(), true, prediction)[0] == pytest.approx(wrong / 4, rel=1e-5)
    assert values(Dice(smoothing=0.0), true, prediction)[0] == pytest.approx(1 / 4.0, rel=1e-5)
    assert values(Dice(absent="skip"), true, prediction)[0] == pytest.approx(0.0, abs=1e-6)
    assert values(Dice(absent="skip", background=False), true, prediction)[0] == 0.0
    assert values(Dice(smoothing=(0.0, 1e-5)), true, prediction)[0] == pytest.approx(3 / 4.0, rel=1e-5)


def test_perfect_and_disjoint():
    labels = label_map(2, 6, 7)
    true = one_hot(labels)
    for loss in (Dice(), Dice(squared=True), Dice(classes="joint", smoothing=0.0), Dice(absent="skip")):
        np.testing.assert_allclose(values(loss, labels, true), 0.0, atol=1e-6)
        np.testing.assert_allclose(values(loss, labels, np.roll(true, 1, axis=-1)), 1.0, atol=1e-5)


def test_one_class_may_be_exchanged_for_another():
    labels, prediction = label_map(2, 6, 7), probabilities(2, 6, 7, 4)
    order = np.array([2, 0, 3, 1])
    expected = values(Dice(), labels, prediction)
    np.testing.assert_allclose(values(Dice(labels=tuple(order.tolist())), labels, prediction[..., order]), expected, rtol=1e-5)


def test_label_maps_in_fit():
    """TensorFlow 1.15 does not know there whether a target is a label map or one-hot before the graph runs."""
    labels, prediction = label_map(3, 6, 7), probabilities(3, 6, 7, 4)
    inputs = keras.Input((6, 7, 4))
    model = keras.Model(inputs, keras.layers.Conv2D(4, 1, activation="softmax")(inputs))
    model.compile(keras.optimizers.SGD(0.1), loss=Dice(background=False), **backend.COMPILE_OPTIONS)
    expected = values(Dice(background=False), labels, model.predict(prediction, verbose=0)).mean()
    for target in (labels, labels.astype("int32"), one_hot(labels)):
        assert model.evaluate(prediction, target, batch_size=3, verbose=0) == pytest.approx(expected, rel=1e-5)
    model.train_on_batch(prediction, labels)
    assert model.evaluate(prediction, labels, batch_size=3, verbose=0) < expected


# refusals


def test_refusals_of_arguments():
    for name, value in [("classes", "all"), ("per", "volume"), ("absent", "nan")]:
        with pytest.raises(ValueError, match="`{}` must be one of .*Received: '{}'.".format(name, value)):
            Dice(**{name: value})
    for smoothing in (-1.0, (1.0, float("inf")), (1.0, 1.0, 1.0)):
        with pytest.raises(ValueError, match="`smoothing` must be a number of at least 0, or two: .*Try smoothing=1e-5."):
            Dice(smoothing=smoothing)
    for labels in ([], [1.0, 2.0], [1, 1], [[1, 2]], 3):
        with pytest.raises(ValueError, match="`labels` must be different integers, one for each channel, or None. Received"):
            Dice(labels=labels)
    for name in ("alpha", "beta", "smoothing"):
        with pytest.raises(ValueError, match="`{}` must be a number of at least 0. Received: -0.1. Try {}=".format(name, name)):
            Tversky(**{name: -0.1})
    with pytest.raises(ValueError, match="`labels` must be different integers"):
        Tversky(labels=[1, 1])
    with pytest.raises(ValueError, match="`name` must be one of 'mindspore', 'nnunet', 'nvidia'. Received: 'monai'."):
        Dice.preset("monai")


def test_refusals_of_shapes():
    prediction = probabilities(2, 6, 7, 4)
    expected = r"`y_true` must be a label map with a last axis of 1, or have the 4 channels.*\(2, 6, 7, 3\).*Try numpy.argmax"
    with pytest.raises(ValueError, match=expected):
        values(Dice(), prediction[..., :3], prediction)
    with pytest.raises(ValueError, match="`y_true` must have the shape of `y_pred`"):
        values(Dice(), label_map(2, 7, 6), prediction)
    with pytest.raises(ValueError, match="`labels` must have one value for each of the 4 channels.*Received: 2 of them"):
        values(Dice(labels=(1, 2)), label_map(2, 6, 7), prediction)
    with pytest.raises(ValueError, match="`background` must be True for a prediction of one channel"):
        values(Dice(background=False), prediction[..., :1], prediction[..., :1])
    with pytest.raises(ValueError, match="`background` must be True for a prediction of one channel"):
        values(Tversky(background=False), prediction[..., :1], prediction[..., :1])
    with pytest.raises(ValueError, match="`labels` must have one value for each of the 4 channels.*Received: 3 of them"):
        values(Tversky(labels=(1, 2, 3)), label_map(2, 6, 7), prediction)


def test_refuses_labels_that_are_not_whole():
    labels, prediction = label_map(2, 6, 7), probabilities(2, 6, 7, 4)
    for wrong in (1.5, np.nan):
        labels[0, 0, 0] = wrong
        with pytest.raises(
            ValueError, match="`y_true` must hold whole numbers when it is a label map. Received: {}.".format(wrong)
        ):
            Dice()(labels, prediction)
        with pytest.raises(
            ValueError, match="`y_true` must hold whole numbers when it is a label map. Received: {}".format(wrong)
        ):
            Tversky()(labels, prediction)
    Dice()(prediction[..., :1], prediction[..., :1])  # a soft mask
