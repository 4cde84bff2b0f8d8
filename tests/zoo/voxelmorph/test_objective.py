"""Objectives of registration: values by hand, training in every dimension, weights that go back and forth, refusals."""

import numpy as np
import pytest

from mrlayers import SpatialTransformer, losses
from mrlayers.backend import keras
from runtime import RNG, evaluate, random
from zoo import training as zoo_training
from zoo.voxelmorph import compile_registration, field_shape, voxelmorph, voxelmorph_diffeomorphic

SMALL = dict(encoder=(4, 4), decoder=(4, 4, 4, 4))
SMALL_HALF = dict(encoder=(4, 4), decoder=(4, 4, 4))


def images(*volume_shape, batch=1):
    return [RNG(seed).uniform(size=(batch,) + volume_shape + (1,)).astype("float32") for seed in (1, 2)]


def shuffled(model, scale=0.2):
    model.set_weights([scale * random(*weight.shape, seed=index) for index, weight in enumerate(model.get_weights())])
    return model


def zeros(training, batch=1):
    return np.zeros((batch,) + tuple(field_shape(training)), "float32")


def mse(first, second):
    return np.mean((first.astype("float64") - second) ** 2)


def roughness(field):
    axes = range(1, field.ndim - 1)
    return np.mean([np.mean(np.diff(field.astype("float64"), axis=axis) ** 2) for axis in axes])


def value(loss, true, prediction):
    return float(evaluate(lambda pair: loss(pair[0], pair[1]), true, prediction))


def total(training, inputs, targets):
    return float(training.evaluate(inputs, targets, verbose=0)[0])


@pytest.mark.parametrize("volume_shape", [(14,), (9, 14), (6, 7, 9)])
def test_mean_squares_and_smoothness(volume_shape):
    model = shuffled(voxelmorph(volume_shape, **SMALL))
    moving, fixed = images(*volume_shape, batch=2)
    training = compile_registration(model)
    moved, displacement = [np.asarray(x) for x in model.predict([moving, fixed], verbose=0)]
    expected = mse(moved, fixed) + 0.01 * roughness(displacement)
    assert total(training, [moving, fixed], [fixed, zeros(training, 2)]) == pytest.approx(expected, rel=1e-4)


def test_correlation_and_smoothness():
    model = shuffled(voxelmorph((12, 13), **SMALL))
    moving, fixed = images(12, 13)
    moved, displacement = [np.asarray(x) for x in model.predict([moving, fixed], verbose=0)]
    for similarity, weight in [("ncc", None), (losses.NCC(5, squared=False), 0.3)]:
        training = compile_registration(model, similarity, weight)
        loss = losses.NCC() if similarity == "ncc" else similarity
        expected = value(loss, fixed, moved) + (1.0 if weight is None else weight) * roughness(displacement)
        assert total(training, [moving, fixed], [fixed, zeros(training)]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_likelihood_and_divergence(bidirectional):
    """The published weights: similarity 1, or a half for each direction, over the squared image sigma; the divergence 1."""
    model = shuffled(voxelmorph_diffeomorphic((9, 10), 3, sample="never", bidirectional=bidirectional, **SMALL_HALF))
    moving, fixed = images(9, 10)
    outputs = [np.asarray(x) for x in model.predict([moving, fixed], verbose=0)]
    for options, sigma, prior in [(dict(), 0.02, 10.0), (dict(image_sigma=0.5, prior_lambda=25.0), 0.5, 25.0)]:
        training = compile_registration(model, **options)
        assert field_shape(training) == (5, 5, 4)
        expected = value(losses.KL(prior), zeros(training), outputs[2])
        similarities = [mse(outputs[0], fixed)] + ([mse(outputs[3], moving)] if bidirectional else [])
        expected += np.mean(similarities) / sigma**2
        targets = [fixed, zeros(training)] + ([moving] if bidirectional else [])
        assert total(training, [moving, fixed], targets) == pytest.approx(expected, rel=1e-4)


def test_one_velocity_is_smoothed_by_its_gradient():
    model = shuffled(voxelmorph_diffeomorphic((9, 10), 3, probabilistic=False, **SMALL_HALF))
    moving, fixed = images(9, 10)
    moved, _, velocity = [np.asarray(x) for x in model.predict([moving, fixed], verbose=0)]
    training = compile_registration(model, smoothness_weight=0.2)
    expected = mse(moved, fixed) + 0.2 * roughness(velocity)
    assert total(training, [moving, fixed], [fixed, zeros(training)]) == pytest.approx(expected, rel=1e-4)


def test_labels_are_warped_linearly():
    """Semi-supervised: Dice of one-hot labels on top of everything else, with the same displacement as the image."""
    model = shuffled(voxelmorph((9, 14), bidirectional=True, **SMALL))
    moving, fixed = images(9, 14)
    one_hot = [np.eye(3, dtype="float32")[RNG(seed).randint(3, size=(1, 9, 14))] for seed in (3, 4)]
    plain = compile_registration(model)
    without = total(plain, [moving, fixed], [fixed, zeros(plain), moving])
    training = compile_registration(model, num_labels=3, label_weight=0.5)
    assert [keras_input.name.split(":")[0] for keras_input in training.inputs] == ["moving", "fixed", "moving_labels"]
    inputs, targets = [moving, fixed, one_hot[0]], [fixed, zeros(training), moving, one_hot[1]]
    moved_labels = np.asarray(training.predict(inputs, verbose=0)[3])
    displacement = np.asarray(model.predict([moving, fixed], verbose=0)[1])
    np.testing.assert_allclose(moved_labels, evaluate(SpatialTransformer(), one_hot[0], displacement), atol=1e-5)
    np.testing.assert_allclose(moved_labels.sum(axis=-1), 1, atol=1e-5)
    assert len(np.unique(moved_labels)) > 10
    dice = value(losses.Dice(), one_hot[1], moved_labels)
    assert total(training, inputs, targets) == pytest.approx(without + 0.5 * dice, rel=1e-4)


@pytest.mark.parametrize(
    "make, volume_shape, options",
    [
        (voxelmorph, (14,), dict()),
        (voxelmorph, (9, 14), dict(similarity="ncc")),
        (voxelmorph, (6, 7, 9), dict()),
        pytest.param(voxelmorph_diffeomorphic, (6, 7, 9), dict(), marks=pytest.mark.slow),
    ],
)
def test_training_lowers_the_loss(make, volume_shape, options):
    """Every weight learns, in one, two and three dimensions."""
    both = len(volume_shape) == 3
    model = make(volume_shape, bidirectional=both, **(SMALL if make is voxelmorph else SMALL_HALF))
    training = compile_registration(model, optimizer=keras.optimizers.Adam(1e-2), **options)
    moving, fixed = images(*volume_shape)
    targets = [fixed, zeros(training)] + ([moving] if both else [])
    before, first = model.get_weights(), total(training, [moving, fixed], targets)
    for _ in range(8):
        training.train_on_batch([moving, fixed], targets)
    assert total(training, [moving, fixed], targets) < first
    assert all(np.abs(new - old).max() > 0 for new, old in zip(model.get_weights(), before))


class Batches:
    """One pair, again and again, with its labels."""

    def __init__(self, training, moving, fixed, labels):
        self.batch = dict(moving=moving, fixed=fixed, moving_labels=labels), (fixed, zeros(training), labels)

    def __len__(self):
        return 2

    def epoch(self, index):
        return iter([self.batch] * 2)


def test_fits_and_weights_go_both_ways(tmp_path):
    """`zoo.training` writes the same file from the network and from the model that trained it, and reads it into either."""
    moving, fixed = images(9, 14)
    labels = np.eye(3, dtype="float32")[RNG(3).randint(3, size=(1, 9, 14))]
    model = voxelmorph_diffeomorphic((9, 14), 3, **SMALL_HALF)
    training = compile_registration(model, num_labels=3)
    history = zoo_training.fit(training, Batches(training, moving, fixed, labels), 1, str(tmp_path / "run"), verbose=0).history
    assert {"loss", "moved_loss", "posterior_loss", "moved_labels_loss"} <= set(history)
    again = voxelmorph_diffeomorphic((9, 14), 3, **SMALL_HALF)
    zoo_training.load_weights(again, str(tmp_path / "run" / "last.npz"))
    assert all(np.array_equal(new, old) for new, old in zip(again.get_weights(), model.get_weights()))
    zoo_training.save_weights(again, str(tmp_path / "plain.npz"))
    with np.load(str(tmp_path / "plain.npz")) as archive:
        expected = ["encoder1", "encoder2", "decoder1", "decoder2", "decoder3", "flow", "log_sigma"]
        assert sorted(archive.files) == sorted(name + what for name in expected for what in ("/kernel", "/bias"))
    training.set_weights([0 * weight for weight in training.get_weights()])
    zoo_training.load_weights(training, str(tmp_path / "plain.npz"))
    assert all(np.array_equal(new, old) for new, old in zip(model.get_weights(), again.get_weights()))


def test_refusals():
    plain, posterior = voxelmorph((8, 8), **SMALL), voxelmorph_diffeomorphic((8, 8), **SMALL_HALF)
    for model, options, message in [
        (plain, dict(similarity="mi"), "`similarity` must be one of 'mse', 'ncc'. Received: 'mi'"),
        (plain, dict(similarity=losses.MutualInformation()), "`smoothness_weight` must be given"),
        (plain, dict(prior_lambda=10.0), "`prior_lambda` is for models with a posterior. Received: 10.0. Try"),
        (posterior, dict(smoothness_weight=1.0), "`smoothness_weight` is for models without a posterior"),
        (plain, dict(similarity="ncc", image_sigma=0.1), '`image_sigma` belongs to `similarity="mse"`'),
        (plain, dict(num_labels=-1), "`num_labels` must be an integer"),
    ]:
        with pytest.raises(ValueError, match=message):
            compile_registration(model, **options)
