"""The cascade of series: parameter counts, the static cascade frame by frame, data sharing, skipped cascades, refusals."""

import numpy as np
import pytest

from mrlayers import backend
from mrlayers.backend import keras
from runtime import random, relative_error, to_complex, to_pairs
from zoo import training
from zoo.cascade import deep_cascade, dynamic_cascade, load_published

SHAPE, LINES = (4, 8, 6), (4, 8, 1, 1)
SMALL = dict(num_cascades=2, num_convolutions=3, filters=4)
SHARING = dict(SMALL, distances=(0, 1, 2))


def series(samples=2, shape=SHAPE, seed=0):
    """Truth, and the inputs of a network: zero-filled images, k-space and one mask of lines for each frame."""
    truth = to_complex(random(samples, *shape + (2,), seed=seed))
    mask = np.random.RandomState(seed).rand(samples, shape[0], shape[1], 1, 1) < 0.5
    mask[:, :, 0] = True
    kspace = np.fft.fft2(truth, norm="ortho") * mask[..., 0]
    inputs = [to_pairs(np.fft.ifft2(kspace, norm="ortho")), to_pairs(kspace), mask.astype("float32")]
    return to_pairs(truth), inputs


def shuffled(model, seed=0, scale=0.2):
    """As the last convolutions start from zeros, a new network does nothing."""
    model.set_weights([scale * random(*array.shape, seed=seed + index) for index, array in enumerate(model.get_weights())])
    return model


@pytest.mark.parametrize(
    "options, count",
    [
        (dict(distances=(0, 1, 2, 3, 4)), 3562260),
        (dict(num_cascades=2, num_convolutions=2, filters=16, distances=(0, 1)), 6948),
        (dict(num_cascades=5, kernel_size=(1, 3, 3)), 565770),
        (dict(num_cascades=5, kernel_size=(1, 3, 3), shared=True), 113154),
    ],
)
def test_parameter_counts(options, count):
    assert dynamic_cascade((6, 8, 8), (6, 8, 1, 1), **options).count_params() == count


# Numbers and laws.


@pytest.mark.parametrize("options", [SMALL, SHARING])
def test_starts_at_the_zero_filled_series_and_keeps_what_was_measured(options):
    _, inputs = series()
    model = dynamic_cascade(SHAPE, LINES, **options)
    np.testing.assert_allclose(model.predict(inputs, verbose=0), inputs[0], atol=1e-5)
    result = to_complex(shuffled(model).predict(inputs, verbose=0))
    assert relative_error(to_pairs(result), inputs[0]) > 0.1
    measured = np.fft.fft2(result, norm="ortho") * inputs[2][..., 0]
    np.testing.assert_allclose(to_pairs(measured), inputs[1], atol=1e-4)


def test_kernels_of_one_frame_are_the_static_cascade():
    _, inputs = series()
    model = shuffled(dynamic_cascade(SHAPE, LINES, kernel_size=(1, 3, 3), **SMALL))
    static = deep_cascade(SHAPE[1:], LINES[1:], **SMALL)
    static.set_weights([array.reshape(np.shape(old)) for array, old in zip(model.get_weights(), static.get_weights())])
    frames = [array.reshape((-1,) + array.shape[2:]) for array in inputs]
    expected = static.predict(frames, verbose=0).reshape(inputs[0].shape)
    np.testing.assert_allclose(model.predict(inputs, verbose=0), expected, atol=1e-4)


def test_published_weights_frame_by_frame(shared):
    _, inputs = series(1)
    path = shared("weights/d5_c5.npz")
    model, static = dynamic_cascade(SHAPE, LINES, num_cascades=5, kernel_size=(1, 3, 3)), deep_cascade(SHAPE[1:], LINES[1:])
    load_published(model, path)
    load_published(static, path)
    expected = static.predict([array[0] for array in inputs], verbose=0)
    np.testing.assert_allclose(model.predict(inputs, verbose=0)[0], expected, atol=1e-5)


@pytest.mark.parametrize("options", [SMALL, SHARING])
def test_a_circular_shift_of_time_shifts_what_sharing_sees(options):
    """With kernels of one frame nothing but data sharing looks at neighbours, and its circle has no first frame."""
    _, inputs = series()
    model = shuffled(dynamic_cascade(SHAPE, LINES, **dict(options, kernel_size=(1, 3, 3))))
    later = model.predict([np.roll(array, 1, axis=1) for array in inputs], verbose=0)
    np.testing.assert_allclose(later, np.roll(model.predict(inputs, verbose=0), 1, axis=1), atol=1e-4)


def test_shared_cascades_have_one_block_and_both_divisors():
    model = dynamic_cascade(SHAPE, LINES, shared=True, **SHARING)
    assert [model.get_layer("cascade%d_sharing" % number).divide_by for number in (1, 2)] == ["count", "window"]
    assert [layer.name for layer in model.layers if layer.weights] == ["cascade_convolution%d" % number for number in (1, 2, 3)]


def test_one_mask_for_all_frames_and_a_series_of_one_frame():
    _, inputs = series()
    inputs[2] = inputs[2][:, :1]
    inputs[1] = to_pairs(np.fft.fft2(to_complex(inputs[0]), norm="ortho")) * inputs[2]
    model = shuffled(dynamic_cascade(SHAPE, (1, 8, 1, 1), **SHARING))
    full = dynamic_cascade(SHAPE, LINES, **SHARING)
    full.set_weights(model.get_weights())
    expected = full.predict(inputs[:2] + [np.repeat(inputs[2], 4, axis=1)], verbose=0)
    np.testing.assert_allclose(model.predict(inputs, verbose=0), expected, atol=1e-4)
    first = [array[:, :1] for array in inputs]
    single = dynamic_cascade((1,) + SHAPE[1:], (1, 8, 1, 1), **SHARING)
    single.set_weights(model.get_weights())
    still = [np.repeat(first[0], 4, axis=1), np.repeat(first[1], 4, axis=1), first[2]]
    middle = dynamic_cascade(SHAPE, (1, 8, 1, 1), **dict(SHARING, kernel_size=(1, 3, 3)))
    flat = dynamic_cascade((1,) + SHAPE[1:], (1, 8, 1, 1), **dict(SHARING, kernel_size=(1, 3, 3)))
    flat.set_weights(shuffled(middle).get_weights())
    expected = middle.predict(still, verbose=0)[:, 1:2]
    np.testing.assert_allclose(flat.predict(first, verbose=0), expected, atol=1e-4)
    assert single.predict(first, verbose=0).shape == (2, 1, 8, 6, 2)


def test_centered_network_is_the_same_network():
    _, inputs = series()
    model = shuffled(dynamic_cascade(SHAPE, LINES, **SHARING))
    centered = dynamic_cascade(SHAPE, LINES, centered=True, **SHARING)
    centered.set_weights(model.get_weights())
    expected = model.predict(inputs, verbose=0)
    sign = np.array([[(-1) ** (a + b) for b in range(6)] for a in range(8)])[..., np.newaxis]
    # The image in the middle instead of at index 0 is a shift of both, and a shift of the image is a phase in k-space.
    kspace = np.fft.fftshift(inputs[1], axes=(2, 3)) * (sign * (-1) ** (4 + 3))
    mask = np.fft.fftshift(inputs[2], axes=2)
    np.testing.assert_allclose(centered.predict([inputs[0], kspace, mask], verbose=0), expected, atol=1e-4)


def test_skipped_cascades():
    """Rates grow evenly from 0, and every sample of a training step is what some of the cascades alone would make."""
    truth, inputs = series(1)
    options = dict(SMALL, num_cascades=3)
    model = shuffled(dynamic_cascade(SHAPE, LINES, stochastic=0.5, **options))
    assert "cascade1_depth" not in [layer.name for layer in model.layers]
    assert [model.get_layer("cascade%d_depth" % number).rate for number in (2, 3)] == [0.25, 0.5]
    plain = dynamic_cascade(SHAPE, LINES, **options)
    plain.set_weights(model.get_weights())
    np.testing.assert_array_equal(model.predict(inputs, verbose=0), plain.predict(inputs, verbose=0))

    possible = set()
    arrays = model.get_weights()
    per_cascade = len(arrays) // 3
    for kept in [(0,), (0, 1), (0, 2), (0, 1, 2)]:
        some = dynamic_cascade(SHAPE, LINES, **dict(options, num_cascades=len(kept)))
        some.set_weights([array for cascade in kept for array in arrays[cascade * per_cascade : (cascade + 1) * per_cascade]])
        possible.add(round(float(np.mean((some.predict(inputs, verbose=0) - truth) ** 2)), 4))
    assert len(possible) == 4
    model.compile(keras.optimizers.SGD(0.0), loss="mse", **backend.COMPILE_OPTIONS)
    found = {round(float(model.train_on_batch(inputs, truth)), 4) for _ in range(30)}
    assert 2 <= len(found) and found <= possible


@pytest.mark.parametrize(
    "options", [dict(SHARING, stochastic=0.3), dict(SMALL, shared=True, trainable_data_weight=True, data_weight=1.0)]
)
def test_trains_and_crosses_by_name(tmp_path, options):
    truth, inputs = series()
    model = dynamic_cascade(SHAPE, LINES, **options)
    model.compile(keras.optimizers.Adam(1e-2), loss="mse", **backend.COMPILE_OPTIONS)
    losses = [float(model.train_on_batch(inputs, truth)) for _ in range(8)]
    assert losses[-1] < losses[0]
    path = str(tmp_path / "weights.npz")
    training.save_weights(model, path)
    again = dynamic_cascade(SHAPE, LINES, **options)
    training.load_weights(again, path)
    np.testing.assert_array_equal(again.predict(inputs, verbose=0), model.predict(inputs, verbose=0))


# Refusals.


@pytest.mark.parametrize(
    "shape, mask_shape, options, words",
    [
        ((8, 6), None, {}, r"`series_shape` must be \(frames, height, width\). Received: \(8, 6\)"),
        ((4, 8, 0), None, {}, "`series_shape` must be"),
        (SHAPE, (8, 1, 1), {}, r"`mask_shape` must be \(4, 8, 6, 1\).* Received: \(8, 1, 1\). Try \(4, 8, 1, 1\)"),
        (SHAPE, (3, 8, 1, 1), {}, r"Received: \(3, 8, 1, 1\)"),
        (SHAPE, None, dict(num_cascades=0), "`num_cascades` must be an integer from 1"),
        (SHAPE, None, dict(num_convolutions=1), "`num_convolutions` must be an integer from 2"),
        (SHAPE, None, dict(filters=1.5), "`filters` must be an integer from 1"),
        (SHAPE, None, dict(stochastic=1), "`stochastic` must be a number from 0 to below 1"),
        (SHAPE, None, dict(distances=(0, -1)), "`distances` must be"),
        (SHAPE, None, dict(distances=(1, 1)), "`distances` must be"),
        (SHAPE, None, dict(distances=(0, 1), divide_by="mean"), "`divide_by` must be one of"),
    ],
)
def test_refusals(shape, mask_shape, options, words):
    with pytest.raises(ValueError, match=words):
        dynamic_cascade(shape, mask_shape, **dict(SMALL, **options))
