"""Cross-entropy, focal loss and Dice with cross-entropy: known answers, SciPy pixel by pixel, limits, refusals."""

import numpy as np
import pytest
from scipy import special

from applied import gradients_of, values
from mrlayers import backend
from mrlayers.backend import keras
from mrlayers.losses import CrossEntropy, Dice, DiceCrossEntropy, Focal
from runtime import random

LOGITS = 3 * random(2, 6, 7, 4)
PROBABILITIES = special.softmax(LOGITS, axis=-1)
LABELS = np.random.RandomState(0).randint(0, 4, (2, 6, 7, 1)).astype("float32")
ONE_HOT = (LABELS == np.arange(4)).astype("float32")
WEIGHT = np.random.RandomState(1).uniform(0, 9, (2, 6, 7, 1)).astype("float32")


def entropy(logits, true):
    """Of each pixel, in double precision."""
    return -np.sum(true * special.log_softmax(logits.astype("float64"), axis=-1), axis=-1)


def with_weight(true, weight=WEIGHT):
    return np.concatenate([true, weight], axis=-1)


# numbers


def test_known_answers():
    """Four pixels, three of class 1, zero logits; NVIDIA's loss is the sum of both."""
    true, logits = np.array([0, 1, 1, 1], "float32").reshape(1, 4, 1), np.zeros((1, 4, 2), "float32")
    assert values(CrossEntropy(from_logits=True), true, logits)[0] == pytest.approx(0.6931472, abs=1e-6)
    assert values(CrossEntropy(), true, logits + 0.5)[0] == pytest.approx(0.6931472, abs=1e-6)
    nvidia = DiceCrossEntropy(from_logits=True)
    assert values(nvidia, true, logits)[0] == pytest.approx(0.6931472 + 0.3749999, abs=1e-6)
    assert values(nvidia, true, (200.0 * (true == [0, 1]) - 100.0).astype("float32"))[0] == pytest.approx(0.0, abs=1e-6)
    assert values(Focal(2.0, from_logits=True), true, logits)[0] == pytest.approx(0.25 * 0.6931472, abs=1e-6)
    weights = (0.75, 0.25)
    assert values(Focal(2.0, weights, True), true, logits)[0] == pytest.approx(0.375 * 0.25 * 0.6931472, abs=1e-6)


@pytest.mark.parametrize("shape", [(11,), (6, 7), (4, 5, 3)], ids="{0}".format)
def test_cross_entropy_of_scipy(shape):
    logits, soft = 3 * random(2, *shape + (3,)), special.softmax(random(2, *shape + (3,), seed=1), axis=-1)
    labels = np.random.RandomState(0).randint(0, 3, (2,) + shape + (1,))
    for true, encoded in ((labels.astype("int32"), labels == np.arange(3)), (soft, soft)):
        expected = entropy(logits, encoded).reshape(2, -1).mean(axis=1)
        np.testing.assert_allclose(values(CrossEntropy(from_logits=True), true, logits), expected, rtol=2e-6)
        np.testing.assert_allclose(values(CrossEntropy(), true, special.softmax(logits, axis=-1)), expected, rtol=2e-6)


def test_weights_of_pixels():
    """The sum of weighted entropies over the number of pixels, not over the sum of weights."""
    expected = (WEIGHT[..., 0] * entropy(LOGITS, ONE_HOT)).sum(axis=(1, 2)) / 42
    loss = CrossEntropy(from_logits=True, weighted=True)
    for true in (LABELS, ONE_HOT):
        np.testing.assert_allclose(values(loss, with_weight(true), LOGITS), expected, rtol=2e-6)
    np.testing.assert_allclose(values(CrossEntropy(weighted=True), with_weight(LABELS), PROBABILITIES), expected, rtol=2e-6)


def test_focal_loss_of_scipy():
    log_p = special.log_softmax(LOGITS.astype("float64"), axis=-1)
    alpha = np.array([0.5, 2.0, 0.0, 1.0])
    for gamma in (0.5, 2.0):
        expected = -np.sum(alpha * ONE_HOT * (1 - np.exp(log_p)) ** gamma * log_p, axis=-1).mean(axis=(1, 2))
        for from_logits, prediction in ((True, LOGITS), (False, PROBABILITIES)):
            loss = Focal(gamma, alpha=alpha.tolist(), from_logits=from_logits)
            np.testing.assert_allclose(values(loss, LABELS, prediction), expected, rtol=1e-5)


def test_values_of_a_published_list_of_labels():
    """Labels in the order of channels; a pixel of another label adds nothing but is one of the pixels."""
    names, order = np.array([0, 17, 53, 4]), (53, 4, 17)
    labels = names[LABELS.astype(int)].astype("float32")
    expected = entropy(LOGITS[..., :3], labels == np.array(order)).mean(axis=(1, 2))
    loss = CrossEntropy(from_logits=True, labels=order)
    np.testing.assert_allclose(values(loss, labels, LOGITS[..., :3]), expected, rtol=2e-6)
    assert values(Focal(0.0, from_logits=True, labels=order), labels, LOGITS[..., :3]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("preset", ["nvidia", "nnunet", None])
def test_sum_of_dice_and_cross_entropy(preset):
    options, inner = {"labels": (2, 0, 1, 3)}, {"labels": (2, 0, 1, 3), "from_logits": True}
    overlap = values(Dice(**inner) if preset is None else Dice.preset(preset, **inner), LABELS, LOGITS)
    expected = 0.5 * overlap + 2.0 * values(CrossEntropy(from_logits=True, labels=(2, 0, 1, 3)), LABELS, LOGITS)
    loss = DiceCrossEntropy(0.5, 2.0, from_logits=True, preset=preset, dice=options)
    np.testing.assert_allclose(values(loss, LABELS, LOGITS), expected, rtol=1e-6)


def test_weights_do_not_reach_dice():
    plain = CrossEntropy(from_logits=True), CrossEntropy(from_logits=True, weighted=True)
    without, weighted = values(plain[0], LABELS, LOGITS), values(plain[1], with_weight(LABELS), LOGITS)
    both = DiceCrossEntropy(from_logits=True), DiceCrossEntropy(from_logits=True, weighted=True)
    change = values(both[1], with_weight(LABELS), LOGITS) - values(both[0], LABELS, LOGITS)
    np.testing.assert_allclose(change, weighted - without, rtol=1e-5)
    options = {"squared": False, "smoothing": (0.0, 2.0), "per": "batch"}
    expected = values(Dice(from_logits=True, **options), LABELS, LOGITS)
    np.testing.assert_allclose(values(DiceCrossEntropy(1.0, 0.0, True, dice=options), LABELS, LOGITS), expected, rtol=1e-6)


# limits


def test_limits_of_the_weights_and_of_gamma():
    expected = values(CrossEntropy(from_logits=True), LABELS, LOGITS)
    weighted = CrossEntropy(from_logits=True, weighted=True)
    np.testing.assert_allclose(values(weighted, with_weight(LABELS, 0 * WEIGHT + 1), LOGITS), expected, rtol=1e-6)
    assert np.all(values(weighted, with_weight(LABELS, 0 * WEIGHT), LOGITS) == 0)
    np.testing.assert_allclose(values(Focal(0.0, from_logits=True), LABELS, LOGITS), expected, rtol=1e-6)


def test_one_channel_is_two_classes():
    """A mask: the logits 0 outside and `x` inside, whether it is given as labels 0 and 1 or as probabilities."""
    single, mask = LOGITS[..., :1], ONE_HOT[..., :1]
    two = np.concatenate([0 * single, single], axis=-1)
    for make, options in ((CrossEntropy, {}), (Focal, {"alpha": (0.75, 0.25)})):
        for true in (mask, 0.3 * mask + 0.1):
            expected = values(make(from_logits=True, **options), np.concatenate([1 - true, true], axis=-1), two)
            np.testing.assert_allclose(values(make(from_logits=True, **options), true, single), expected, rtol=1e-5)
            np.testing.assert_allclose(values(make(**options), true, special.expit(single)), expected, rtol=1e-5)
    expected = (WEIGHT[..., 0] * entropy(two, np.concatenate([1 - mask, mask], axis=-1))).mean(axis=(1, 2))
    np.testing.assert_allclose(values(CrossEntropy(True, True), with_weight(mask), single), expected, rtol=1e-5)


@pytest.mark.parametrize("channels", [1, 2])
def test_any_logits_have_finite_values_and_gradients(channels):
    """However sure, right or wrong: two pixels that are wrong cost as much as their logits and pull with one half each."""
    logits = np.array([[1000.0, -1000.0], [-1000.0, 1000.0]], "float32").reshape(1, 2, 2)[..., -channels:]
    right = np.array([0, 1], "float32").reshape(1, 2, 1)
    true, both = np.concatenate([right, 1 - right]), np.concatenate([logits, logits])
    for loss in (CrossEntropy(from_logits=True), Focal(0.5, from_logits=True)):
        np.testing.assert_allclose(values(loss, true, both), [0.0, 1000.0 * channels], rtol=1e-6, atol=1e-6)
        _, pull = gradients_of(loss, [true, both], np.ones(2))
        np.testing.assert_allclose(np.abs(pull), np.array([0, 0.5]).reshape(2, 1, 1) + 0 * pull, atol=1e-6)


def test_impossible_probabilities_count_as_epsilon():
    true, certain = ONE_HOT[:1], np.roll(ONE_HOT[:1], 1, axis=-1)
    assert values(CrossEntropy(epsilon=1e-4), true, certain)[0] == pytest.approx(-np.log(1e-4), rel=1e-5)
    assert values(CrossEntropy(), true, true)[0] == 0.0
    assert values(Focal(0.5), true, true)[0] == 0.0


def test_label_maps_with_weights_in_fit():
    """TensorFlow 1.15 does not know there whether a target is a label map or one-hot before the graph runs."""
    inputs = keras.Input((6, 7, 4))
    model = keras.Model(inputs, keras.layers.Conv2D(4, 1)(inputs))
    loss = DiceCrossEntropy(from_logits=True, weighted=True)
    model.compile(keras.optimizers.SGD(0.1), loss=loss, **backend.COMPILE_OPTIONS)
    expected = values(loss, with_weight(LABELS), model.predict(LOGITS, verbose=0)).mean()
    for true in (with_weight(LABELS), with_weight(ONE_HOT)):
        assert model.evaluate(LOGITS, true, batch_size=2, verbose=0) == pytest.approx(expected, rel=1e-5)
    model.train_on_batch(LOGITS, with_weight(LABELS))
    assert model.evaluate(LOGITS, with_weight(LABELS), batch_size=2, verbose=0) < expected


# refusals


def test_refusals_of_arguments():
    for make in (CrossEntropy, Focal):
        for epsilon in (0.0, 0.5, float("nan")):
            with pytest.raises(ValueError, match="`epsilon` must be above 0 and below 0.5. Received: .* Try epsilon=1e-7."):
                make(epsilon=epsilon)
        with pytest.raises(ValueError, match="`labels` must be different integers"):
            make(labels=[1, 1])
    for gamma in (-1.0, float("inf")):
        with pytest.raises(ValueError, match="`gamma` must be a number of at least 0. Received: {}. Try".format(gamma)):
            Focal(gamma)
    for alpha in (0.25, (), (0.5, -0.5)):
        with pytest.raises(ValueError, match="`alpha` must be numbers of at least 0, one for each class, or None. Received"):
            Focal(alpha=alpha)
    for weights in ((-1.0, 1.0), (1.0, float("inf")), (1.0, float("nan"))):
        with pytest.raises(
            ValueError,
            match="`dice_weight` and `cross_entropy_weight` must be numbers .*Received: {!r} and {!r}".format(*weights),
        ):
            DiceCrossEntropy(*weights)
    with pytest.raises(ValueError, match="`preset` must be one of 'mindspore', 'nnunet', 'nvidia', None. Received: 'monai'."):
        DiceCrossEntropy(preset="monai")
    for dice in ({"from_logits": True}, {"square": True}, "nvidia"):
        with pytest.raises(
            ValueError, match="`dice` must be a dictionary of arguments of `Dice`: absent, background, classes,"
        ):
            DiceCrossEntropy(dice=dice)


def test_refusals_of_shapes():
    for loss in (CrossEntropy(), Focal(), DiceCrossEntropy()):
        with pytest.raises(ValueError, match="`y_true` must be a label map with a last axis of 1, or have the 4 channels"):
            values(loss, ONE_HOT[..., :3], PROBABILITIES)
        with pytest.raises(ValueError, match="`y_true` must have the shape of `y_pred`"):
            values(loss, np.swapaxes(LABELS, 1, 2), PROBABILITIES)
    for loss in (CrossEntropy(labels=(1, 2)), Focal(labels=(1, 2)), DiceCrossEntropy(dice={"labels": (1, 2)})):
        with pytest.raises(ValueError, match="`labels` must have one value for each of the 4 channels.*Received: 2 of them"):
            values(loss, LABELS, PROBABILITIES)
    for loss in (CrossEntropy(weighted=True), DiceCrossEntropy(weighted=True)):
        for true in (LABELS, ONE_HOT):
            expected = (
                "`y_true` must end with the weight of each pixel when `weighted=True`: a label and a weight, or 5 channels"
            )
            with pytest.raises(ValueError, match=expected):
                values(loss, true, PROBABILITIES)
    with pytest.raises(ValueError, match=r"`alpha` must have one number for each of 4 classes. Received: \(0.75, 0.25\)"):
        values(Focal(alpha=(0.75, 0.25)), LABELS, PROBABILITIES)


def test_refuses_labels_that_are_not_whole():
    labels = LABELS + 0.5
    for loss in (CrossEntropy(), Focal(), DiceCrossEntropy()):
        with pytest.raises(
            ValueError, match="`y_true` must hold whole numbers when it is a label map. Received: .*5. Try nearest"
        ):
            loss(labels, PROBABILITIES)
    for loss in (CrossEntropy(weighted=True), DiceCrossEntropy(weighted=True)):
        with pytest.raises(ValueError, match="`y_true` must hold whole numbers when it is a label map"):
            loss(with_weight(labels), PROBABILITIES)
        loss(with_weight(LABELS), PROBABILITIES)
