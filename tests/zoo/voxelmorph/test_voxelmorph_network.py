"""The networks: parameter counts, the published layers bit for bit, odd shapes, directions, sampling, refusals."""

import numpy as np
import pytest
import scipy.ndimage

from contract import HALF, compute_dtype
from mrlayers import backend, transforms
from mrlayers.backend import keras
from runtime import RNG, evaluate, random
from zoo.voxelmorph import voxelmorph, voxelmorph_diffeomorphic

SMALL = dict(encoder=(4, 4), decoder=(4, 4, 4, 4))
SMALL_HALF = dict(encoder=(4, 4), decoder=(4, 4, 4))
DIFFEOMORPHIC_NAMES = ["moved", "displacement", "posterior", "moved_fixed", "inverse_displacement"]


def images(*volume_shape, batch=1):
    return [RNG(seed).uniform(size=(batch,) + volume_shape + (1,)).astype("float32") for seed in (1, 2)]


def shuffled(model, scale=0.2):
    """The model with weights that make it do something."""
    model.set_weights([scale * random(*weight.shape, seed=index) for index, weight in enumerate(model.get_weights())])
    return model


def predict(model, arrays):
    return [np.asarray(output) for output in model.predict(arrays, verbose=0)]


@pytest.mark.parametrize("variant, count", [("vm1", 259675), ("vm2", 300547), ("vm2double", 1195523)])
def test_parameter_counts(variant, count):
    assert voxelmorph((16, 16, 16), variant).count_params() == count


def test_parameter_count_of_the_diffeomorphic_model():
    assert voxelmorph_diffeomorphic((16, 16, 16)).count_params() == 266374
    assert voxelmorph_diffeomorphic((16, 16, 16), probabilistic=False).count_params() == 266374 - 1299


def test_initial_values():
    """Kernels of the heads are almost zero, so that training starts at the identity and a narrow posterior."""
    model = voxelmorph_diffeomorphic((16, 16))
    flow, log_sigma = [model.get_layer(name).get_weights() for name in ("flow", "log_sigma")]
    assert 5e-6 < flow[0].std() < 2e-5 and not flow[1].any()
    assert 5e-11 < log_sigma[0].std() < 2e-10 and np.all(log_sigma[1] == -10)
    kernel = model.get_layer("decoder2").get_weights()[0]
    assert kernel.std() == pytest.approx(np.sqrt(2 / (9 * 64)), rel=0.05)
    moving, fixed = images(16, 16)
    moved, displacement, posterior = predict(model, [moving, fixed])
    assert np.abs(displacement).max() < 1e-2 and np.abs(moved - moving).max() < 1e-2
    assert np.abs(posterior[..., 2:] + 10).max() < 1e-3


def published_network(volume_shape, filters):
    """The published vm2 up to its field, spelled out in Keras layers."""
    layers = keras.layers

    def block(x, number, strides=1):
        return layers.LeakyReLU(0.2)(layers.Conv3D(number, 3, strides=strides, padding="same")(x))

    moving, fixed = [keras.Input(volume_shape + (1,)) for _ in range(2)]
    pair = layers.Concatenate()([moving, fixed])
    first = block(pair, filters[0], 2)
    second = block(first, filters[1], 2)
    third = block(second, filters[2], 2)
    x = block(block(third, filters[3], 2), filters[4])
    for skip, number in zip((third, second, first), filters[5:8]):
        x = block(layers.Concatenate()([layers.UpSampling3D()(x), skip]), number)
    x = block(x, filters[8])
    x = layers.Concatenate()([layers.UpSampling3D()(x), pair])
    for number in filters[9:]:
        x = block(x, number)
    return keras.Model([moving, fixed], layers.Conv3D(3, 3, padding="same")(x))


def test_equals_the_published_network_bit_for_bit():
    encoder, decoder = (3, 4, 5, 6), (5, 4, 3, 4, 5, 3, 4)
    model = shuffled(voxelmorph((16, 32, 16), encoder=encoder, decoder=decoder))
    plain = published_network((16, 32, 16), encoder + decoder)
    plain.set_weights(model.get_weights())
    arrays = images(16, 32, 16, batch=2)
    displacement = predict(model, arrays)[1]
    assert np.abs(displacement).mean() > 0.1
    assert np.array_equal(displacement, np.asarray(plain.predict(arrays, verbose=0)))


@pytest.mark.parametrize("volume_shape", [(13,), (1, 6), (6, 7, 9)])
def test_any_shape_is_padded_at_the_far_ends(volume_shape):
    """The same weights on volumes that were padded with zeros by hand."""
    padded_shape = tuple(-(-size // 4) * 4 for size in volume_shape)
    model, padded = [shuffled(voxelmorph(shape, **SMALL)) for shape in (volume_shape, padded_shape)]
    arrays = images(*volume_shape, batch=2)
    widths = [(0, 0)] + [(0, large - size) for large, size in zip(padded_shape, volume_shape)] + [(0, 0)]
    moved, displacement = predict(model, arrays)
    reference = predict(padded, [np.pad(array, widths, mode="constant") for array in arrays])[1]
    reference = reference[(slice(None),) + tuple(slice(size) for size in volume_shape)]
    assert np.array_equal(displacement, reference)
    assert moved.shape == arrays[0].shape and displacement.shape == moved.shape[:-1] + (len(volume_shape),)


@pytest.mark.parametrize("volume_shape, half_resolution", [((12,), True), ((9, 14), False), ((6, 7, 9), True)])
def test_diffeomorphic_outputs_belong_together(volume_shape, half_resolution):
    """The displacement is the integral of the mean, the inverse that of its negative, and both warp what they should."""
    filters = SMALL_HALF if half_resolution else SMALL
    model = voxelmorph_diffeomorphic(volume_shape, 5, half_resolution, bidirectional=True, **filters)
    shuffled(model)
    arrays = images(*volume_shape)
    moved, displacement, posterior, moved_fixed, inverse = predict(model, arrays)
    ndim = len(volume_shape)
    grid = tuple((size + 1) // 2 for size in volume_shape) if half_resolution else volume_shape
    assert posterior.shape == (1,) + grid + (2 * ndim,)
    for velocity, expected in [(posterior[..., :ndim], displacement), (-posterior[..., :ndim], inverse)]:
        result = evaluate(lambda x: transforms.integrate(x, 5), velocity)
        if half_resolution:
            result = evaluate(lambda x: transforms.rescale(x, 2), result)
        result = result[(slice(None),) + tuple(slice(size) for size in volume_shape)]
        np.testing.assert_allclose(expected, result, atol=1e-5)
    assert np.abs(displacement).mean() > 0.05
    for image, field, expected in [(arrays[0], displacement, moved), (arrays[1], inverse, moved_fixed)]:
        np.testing.assert_allclose(expected, warped(image, field), atol=1e-5)


def warped(image, field):
    """SciPy's linear interpolation with repeated edges."""
    lattice = np.moveaxis(np.indices(field.shape[1:-1]), 0, -1)
    result = [
        scipy.ndimage.map_coordinates(x[..., 0].astype("float64"), np.moveaxis(lattice + u, -1, 0), order=1, mode="nearest")
        for x, u in zip(image, field.astype("float64"))
    ]
    return np.stack(result)[..., np.newaxis]


def test_bidirectional_warps_with_the_inverse():
    model = voxelmorph((12, 12), bidirectional=True, **SMALL)
    assert [layer for layer in model.output_names] == ["moved", "displacement", "moved_fixed", "inverse_displacement"]
    shuffled(model, 0.15)
    arrays = images(12, 12)
    moved, displacement, moved_fixed, inverse = predict(model, arrays)
    np.testing.assert_allclose(moved, warped(arrays[0], displacement), atol=1e-5)
    np.testing.assert_allclose(moved_fixed, warped(arrays[1], inverse), atol=1e-5)
    np.testing.assert_allclose(inverse, evaluate(transforms.invert, displacement), atol=1e-5)
    alone = voxelmorph((12, 12), **SMALL)
    alone.set_weights(model.get_weights())
    assert np.array_equal(predict(alone, arrays)[0], moved)


def test_output_names():
    assert voxelmorph_diffeomorphic((12, 13), bidirectional=True).output_names == DIFFEOMORPHIC_NAMES
    assert voxelmorph_diffeomorphic((12, 16), probabilistic=False).output_names == ["moved", "displacement", "velocity"]


def test_volumes_of_a_batch_are_independent():
    model = shuffled(voxelmorph((6, 7, 9), **SMALL))
    arrays = images(6, 7, 9, batch=3)
    for together, alone in zip(predict(model, arrays), predict(model, [array[1:2] for array in arrays])):
        np.testing.assert_allclose(together[1:2], alone, rtol=1e-5, atol=1e-5)


def test_sampling_in_training_and_the_mean_at_inference():
    """With a learning rate of zero the loss of a training step differs from step to step, unless nothing is sampled."""
    arrays = images(12, 12)
    spread = {}
    for sample in ("training", "always", "never"):
        model = voxelmorph_diffeomorphic((12, 12), 3, sample=sample, **SMALL_HALF)
        model.get_layer("log_sigma").set_weights(
            [0 * w + index for index, w in enumerate(model.get_layer("log_sigma").get_weights())]
        )
        twice = [predict(model, arrays)[1] for _ in range(2)]
        training = keras.Model(model.inputs, model.outputs[1])
        training.compile(keras.optimizers.SGD(0.0), loss="mse", **backend.COMPILE_OPTIONS)
        losses = []
        for _ in range(2):
            training.reset_metrics()
            losses.append(float(np.ravel(training.train_on_batch(arrays, np.zeros((1, 12, 12, 2), "float32")))[0]))
        spread[sample] = (np.abs(twice[0] - twice[1]).max() > 0.1, abs(losses[0] - losses[1]) > 1e-3)
    assert spread == {"training": (False, True), "always": (True, True), "never": (False, False)}


def test_samples_have_the_mean_and_the_deviation_of_the_posterior():
    from zoo.voxelmorph.network import NormalSample

    mean, log_variance = np.full((1, 200, 200, 1), 3.0, "float32"), np.full((1, 200, 200, 1), 2 * np.log(0.5), "float32")
    drawn = evaluate(NormalSample(always=True), mean, log_variance)
    assert drawn.mean() == pytest.approx(3, abs=0.02) and drawn.std() == pytest.approx(0.5, abs=0.02)
    again = NormalSample.from_config(NormalSample(always=True).get_config())
    assert again.always
    assert np.array_equal(evaluate(NormalSample(), mean, log_variance), mean)


@pytest.mark.parametrize("make", [voxelmorph, voxelmorph_diffeomorphic])
def test_fields_stay_in_single_precision(make):
    arrays = images(9, 16)
    expected = predict(shuffled(make((9, 16)), 0.05), arrays)
    backend.set_precision("mixed_" + HALF)
    model = shuffled(make((9, 16)), 0.05)
    assert compute_dtype(model.get_layer("decoder1")) == HALF
    assert compute_dtype(model.get_layer("flow")) == "float32"
    result = predict(model, arrays)
    for value, reference in zip(result, expected):
        assert value.dtype == np.float32
        np.testing.assert_allclose(value, reference, atol=0.05)


def test_whole_model_comes_back(tmp_path):
    model = shuffled(voxelmorph_diffeomorphic((9, 8), 3, bidirectional=True, **SMALL_HALF))
    path = str(tmp_path / "model") + backend.SAVED_MODEL_SUFFIX
    model.save(path)
    again = keras.saving.load_model(path)
    for value, expected in zip(predict(again, images(9, 8)), predict(model, images(9, 8))):
        assert np.array_equal(value, expected)


@pytest.mark.parametrize(
    "make, options, message",
    [
        (voxelmorph, dict(variant="vm3"), "`variant` must be one of 'vm1', 'vm2', 'vm2double'. Received: 'vm3'"),
        (voxelmorph, dict(volume_shape=(8, 8, 8, 8)), "`volume_shape` must be a tuple of one to three sizes"),
        (voxelmorph, dict(volume_shape=160), "`volume_shape` must be a tuple .* Received: 160. Try"),
        (voxelmorph, dict(volume_shape=(8, None)), "`volume_shape` must be an integer .* Received: None"),
        (voxelmorph, dict(encoder=()), "`encoder` must have at least one"),
        (voxelmorph, dict(encoder=(4, 0)), "`encoder` must be an integer"),
        (voxelmorph, dict(encoder=(4, 4), decoder=(4, 4, 4)), "`decoder` must have at least 4 numbers .* encoder of 2 levels"),
        (
            voxelmorph_diffeomorphic,
            dict(decoder=(8,) * 6),
            "`decoder` must have 5 numbers of filters .* Try .32, 32, 32, 32, 16",
        ),
        (voxelmorph_diffeomorphic, dict(sample="test"), "`sample` must be one of 'training', 'always', 'never'"),
        (voxelmorph_diffeomorphic, dict(steps=-1), "`steps` must be an integer"),
    ],
)
def test_refusals(make, options, message):
    with pytest.raises(ValueError, match=message):
        make(**dict(dict(volume_shape=(8, 8)), **options))
