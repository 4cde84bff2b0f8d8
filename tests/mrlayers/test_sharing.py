"""DataSharing: contract, numbers, laws, refusals."""

import itertools

import numpy as np
import pytest

import contract
from mrlayers import DataSharing
from mrlayers.backend import RUNTIME, keras
from runtime import evaluate, gradients, random, relative_error, to_complex, to_pairs

OPTIONS = list(itertools.product(["count", "window", "frames"], ["circular", "clipped"]))
ENGINES = ["fft", "matmul"]
LINE, MEASURED = [1, 0, 3, 0, 0], [1, 0, 1, 0, 0]


def make_mask(*shape, rate=0.4):
    mask = (np.random.RandomState(7).uniform(size=shape + (1,)) < rate).astype("float32")
    mask.flat[0], mask.flat[-1] = 1, 0
    return mask


def example(frames=6, height=5, width=4):
    """k-space that is not zero where it was not measured, and a mask of lines for each frame."""
    return random(2, frames, height, width, 2), make_mask(2, frames, height, 1)


def shared(kspace, mask, distance, divide_by="count", boundary="circular"):
    """The definition, frame by frame, in float64: `kspace` complex, both `(batch, time, ...)`."""
    number = kspace.shape[1]
    mask = np.broadcast_to(mask, kspace.shape).astype("float64")
    result = np.empty_like(kspace, dtype="complex128")
    for frame in range(number):
        window = range(frame - distance, frame + distance + 1)
        if boundary == "clipped":
            window = [index for index in window if 0 <= index < number]
        else:
            window = [index % number for index in window]
        total = sum(kspace[:, index].astype("complex128") for index in window)
        count = np.maximum(1, sum(mask[:, index] for index in window))
        divisor = {"count": count, "window": 2 * distance + 1, "frames": len(window)}[divide_by]
        result[:, frame] = np.where(mask[:, frame] == 1, kspace[:, frame], total / divisor)
    return result


def transform(z, centered, inverse=False):
    function = np.fft.ifft2 if inverse else np.fft.fft2
    if not centered:
        return function(z, norm="ortho")
    return np.fft.fftshift(function(np.fft.ifftshift(z, axes=(-2, -1)), norm="ortho"), axes=(-2, -1))


def channels(copies):
    """Complex copies as the layer's channels: real, imaginary, real, imaginary, ..."""
    return np.concatenate([to_pairs(copy, "float64") for copy in copies], axis=-1)


@pytest.mark.parametrize(
    "options",
    [
        {"distances": (2, 0), "divide_by": "window", "boundary": "clipped", "include_input": True},
        {"distances": (0, 1), "domain": "image", "centered": True, "engine": "matmul"},
    ],
)
def test_contract(options, tmp_path):
    arrays = [random(3, 4, 6, 5, 2), make_mask(3, 4, 6, 1)]
    contract.check_layer(lambda: DataSharing(name="sharing", **options), arrays, tmp_path)


@pytest.mark.parametrize(
    "distance, divide_by, boundary, expected",
    [
        (1, "count", "circular", [1, 2, 3, 3, 1]),
        (1, "count", "clipped", [1, 2, 3, 3, 0]),
        (1, "window", "circular", [1, 4 / 3, 3, 1, 1 / 3]),
        (1, "window", "clipped", [1, 4 / 3, 3, 1, 0]),
        (1, "frames", "clipped", [1, 4 / 3, 3, 1, 0]),
        (2, "count", "circular", [1, 2, 3, 2, 2]),
        (2, "window", "circular", [1, 4 / 5, 3, 4 / 5, 4 / 5]),
        (2, "window", "clipped", [1, 4 / 5, 3, 3 / 5, 3 / 5]),
        (2, "frames", "clipped", [1, 1, 3, 3 / 4, 1]),
        (0, "count", "circular", LINE),
    ],
)
def test_known_answers(distance, divide_by, boundary, expected):
    """One sample over five frames; distance 2 worked out by hand."""
    series = np.zeros((1, 5, 1, 1, 2), "float32")
    series[0, :, 0, 0, 0], series[0, :, 0, 0, 1] = LINE, np.multiply(LINE, -2)
    mask = np.reshape(np.array(MEASURED, "float32"), (1, 5, 1, 1, 1))
    result = evaluate(DataSharing((distance,), divide_by, boundary), series, mask)[0, :, 0, 0]
    np.testing.assert_allclose(result[:, 0], expected, rtol=1e-6)
    np.testing.assert_allclose(result[:, 1], np.multiply(expected, -2), rtol=1e-6)


@pytest.mark.parametrize("divide_by, boundary", OPTIONS)
def test_equals_the_definition(divide_by, boundary):
    """With masks of every shape, and distances in any order, longer than the series too."""
    kspace, lines = example()
    cases = [(lines, (0, 1, 2, 3, 4), False), (lines, (3, 1), True), (make_mask(2, 6, 5, 4), (2, 0, 8, 13), True)]
    cases += [(make_mask(*shape), (1, 4), False) for shape in [(2, 1, 5, 1), (1, 6, 1, 4), (1, 6, 1, 1)]]
    for mask, distances, include_input in cases:
        copies = [shared(to_complex(kspace), mask[..., 0], distance, divide_by, boundary) for distance in distances]
        expected = channels([to_complex(kspace)] * include_input + copies)
        layer = DataSharing(distances, divide_by, boundary, include_input)
        assert relative_error(evaluate(layer, kspace, mask), expected) < 1e-6


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("centered", [False, True])
def test_images_are_shared_in_kspace(centered, engine):
    image = random(2, 6, 5, 4, 2)
    kspace = transform(to_complex(image), centered)
    for mask in [make_mask(2, 6, 5, 1), make_mask(2, 6, 1, 4), make_mask(2, 6, 5, 4), make_mask(2, 6, 1, 1)]:
        copies = [transform(shared(kspace, mask[..., 0], distance), centered, inverse=True) for distance in (0, 0, 1, 4)]
        layer = DataSharing((0, 1, 4), include_input=True, domain="image", centered=centered, engine=engine)
        result = evaluate(layer, image, mask)
        assert relative_error(result, channels(copies)) < 1e-5
        assert np.array_equal(result[..., :2], image) and np.array_equal(result[..., 2:4], image)


def test_coils_share_one_mask():
    kspace, mask = random(2, 6, 3, 5, 4, 2), make_mask(2, 6, 1, 5, 1)
    result = evaluate(DataSharing((1,)), kspace, mask)
    for coil in range(3):
        assert np.array_equal(result[:, :, coil], evaluate(DataSharing((1,)), kspace[:, :, coil], mask[:, :, 0]))


def test_one_mask_for_all_frames():
    """The same as that mask given for each frame: nothing is filled, for no neighbour has measured more."""
    kspace, mask = example()
    mask = mask[:, :1]
    every = np.broadcast_to(mask, (2, 6, 5, 1, 1)).copy()
    for divide_by, boundary in OPTIONS:
        layer = DataSharing((0, 2), divide_by, boundary)
        assert np.array_equal(evaluate(layer, kspace, mask), evaluate(layer, kspace, every))
    measured = kspace * mask
    assert np.array_equal(evaluate(DataSharing((3,)), measured, mask), measured)


def test_masks_and_series_of_other_types():
    kspace, mask = example()
    truth = evaluate(DataSharing(), kspace, mask)
    for dtype in ("bool", "uint8", "int32"):
        assert np.array_equal(evaluate(DataSharing(), kspace, mask.astype(dtype)), truth)
    whole = np.round(10 * kspace)
    assert np.array_equal(evaluate(DataSharing(), whole.astype("int32"), mask), evaluate(DataSharing(), whole, mask))


def test_sums_keep_the_digits_of_small_frames():
    """A frame 1e8 times as bright must not disturb windows that it is no part of, as it would a cumulative sum."""
    kspace = random(1, 40, 3, 2, 2)
    kspace[:, 2] *= 1e8
    mask = np.zeros((1, 40, 1, 1, 1), "float32")
    result = evaluate(DataSharing((4,), "window", "clipped"), kspace, mask)
    expected = channels([shared(to_complex(kspace), mask[..., 0], 4, "window", "clipped")])
    assert relative_error(result[:, 7:], expected[:, 7:]) < 1e-6


@pytest.mark.parametrize("divide_by, boundary", OPTIONS)
def test_measured_samples_keep_every_bit(divide_by, boundary):
    kspace, mask = 1e3 * random(2, 7, 5, 4, 2), make_mask(2, 7, 5, 1)
    result = evaluate(DataSharing((0, 1, 4, 9), divide_by, boundary), kspace, mask)
    where = np.broadcast_to(mask == 1, kspace.shape)
    for index in range(0, 8, 2):
        assert np.array_equal(result[..., index : index + 2][where], kspace[where])
    assert np.array_equal(result[..., :2], kspace)  # distance 0, measured or not


def test_circular_equals_clipped_away_from_the_borders():
    kspace, mask = example(frames=9)
    for divide_by in ("count", "window", "frames"):
        for distance in (1, 3):
            first, second = [
                evaluate(DataSharing((distance,), divide_by, name), kspace, mask) for name in ("circular", "clipped")
            ]
            assert np.array_equal(first[:, distance:-distance], second[:, distance:-distance])
            assert np.abs(first - second).max() > 0.01


@pytest.mark.parametrize("divide_by, boundary", OPTIONS)
def test_time_runs_either_way(divide_by, boundary):
    """A series that runs backwards is shared backwards, to the bit; a circular one may begin with any frame."""
    kspace, mask = example(frames=7)
    layer = DataSharing((0, 1, 3), divide_by, boundary)
    result = evaluate(layer, kspace, mask)
    assert np.array_equal(evaluate(layer, kspace[:, ::-1].copy(), mask[:, ::-1].copy()), result[:, ::-1])
    if boundary == "circular":
        turned = evaluate(layer, np.roll(kspace, 2, axis=1), np.roll(mask, 2, axis=1))
        assert relative_error(turned, np.roll(result, 2, axis=1)) < 1e-6


def test_a_series_at_rest_is_completed():
    """Lines that together cover k-space, of an object that does not move: one window of them is the whole object."""
    still = np.broadcast_to(random(1, 1, 8, 4, 2), (1, 8, 8, 4, 2)).copy()
    mask = np.reshape(np.eye(8, dtype="float32"), (1, 8, 8, 1, 1))
    assert relative_error(evaluate(DataSharing((4,)), still * mask, mask), still) < 1e-6


def test_one_frame():
    """It shares with itself only; a circular window meets it again and again."""
    kspace, mask = random(2, 1, 5, 4, 2), make_mask(2, 1, 5, 1)
    kspace *= mask
    for divide_by, boundary in OPTIONS:
        result = evaluate(DataSharing(divide_by=divide_by, boundary=boundary), kspace, mask)
        assert np.array_equal(result, np.concatenate([kspace] * 5, axis=-1))


@pytest.mark.parametrize(
    "domain, divide_by, boundary",
    [("kspace",) + option for option in OPTIONS] + [("image", "count", "circular"), ("image", "frames", "clipped")],
)
def test_gradient_is_the_adjoint(domain, divide_by, boundary):
    """Sharing is linear: <A x, y> = <x, A^H y>, and no gradient flows to the mask."""
    series, mask = example()
    layer = DataSharing((2, 0, 1, 7), divide_by, boundary, include_input=True, domain=domain)
    y = random(2, 6, 5, 4, 10, seed=3)
    (gradient, to_mask), _ = gradients(layer, [series, mask], y)
    for x in (series, random(*series.shape, seed=5)):
        forward = np.sum(evaluate(layer, x, mask) * y, dtype="float64")
        assert np.sum(gradient * x, dtype="float64") == pytest.approx(forward, rel=1e-4, abs=1e-4)
    assert to_mask is None or not np.any(to_mask)


@pytest.mark.parametrize("boundary", ["circular", "clipped"])
def test_gradient_entry_by_entry(boundary):
    """Against the matrix of the windows, read off unit series."""
    unit = np.zeros((10, 5, 1, 1, 2), "float32")
    unit.reshape(10, 10)[...] = np.eye(10)
    mask = np.reshape(np.array(MEASURED, "float32"), (1, 5, 1, 1, 1))
    layer = DataSharing((3, 0, 1), "window", boundary, include_input=True)
    matrix = evaluate(layer, unit, mask).reshape(10, 40)
    y = random(1, 5, 1, 1, 8)
    (gradient, _), _ = gradients(layer, [random(1, 5, 1, 1, 2), mask], y)
    np.testing.assert_allclose(gradient.reshape(10), matrix @ y.reshape(40), rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(RUNTIME not in ("tensorflow", "torch"), reason="only TensorFlow 2 and PyTorch work in slabs of rows")
@pytest.mark.parametrize("domain", ["kspace", "image"])
def test_slabs_of_rows_change_nothing(domain, monkeypatch):
    """Five rows at once, and two at a time, with coils and with masks that have one row for all."""
    name = {"torch": "torch_kernels.SLAB", "tensorflow": "tensorflow_slabs.SLAB"}[RUNTIME]
    kspace, layer = random(2, 6, 3, 5, 4, 2), DataSharing((2, 0, 1), include_input=True, domain=domain)
    upstream = random(2, 6, 3, 5, 4, 8, seed=3)
    for mask in [make_mask(2, 6, 1, 5, 4), make_mask(2, 6, 1, 5, 1), make_mask(1, 6, 1, 1, 4), make_mask(2, 1, 1, 1, 1)]:
        results = []
        for pairs in (2**19, 2 * 6 * 3 * 4 * 2):
            monkeypatch.setattr("mrlayers.backend." + name, pairs)
            results.append([evaluate(layer, kspace, mask), gradients(layer, [kspace, mask], upstream)[0][0]])
        for whole, slabs in zip(*results):
            assert relative_error(slabs, whole) < 1e-6


def refused(match, series=(2, 6, 8, 4, 2), mask=(2, 6, 8, 1, 1)):
    arrays = [random(*shape) for shape in (series, mask)]
    with pytest.raises(ValueError, match=match):
        evaluate(DataSharing(), *arrays)
    with pytest.raises(ValueError, match=match):
        DataSharing()([keras.Input(array.shape[1:]) for array in arrays])


def test_refusals_of_shapes():
    refused(
        "`series` must have the shape \\(batch, time, height, width, 2\\).*expand_dims\\(series, 1\\)",
        (2, 8, 4, 2),
        (2, 8, 1, 1),
    )
    refused("`series` must have the shape .*Received: shape .*Try `numpy.stack", (2, 6, 8, 4, 3))
    refused("`mask` must have as many frames as the series, 6.*Received: 7 frames.*Try `mask\\[:, :6\\]`", mask=(2, 7, 8, 1, 1))
    refused("`mask` must have as many frames .*Received: 5 frames.*Try a mask for every frame", mask=(2, 5, 8, 1, 1))
    refused("`mask` must have the rank of the series: .*Try `numpy.expand_dims\\(mask, 1\\)`", mask=(2, 8, 1, 1))
    refused("`mask` must be broadcastable to the series: .*Received: shape", mask=(2, 6, 7, 1, 1))
    refused("`mask` must be broadcastable to the series: .*1 in the last", mask=(2, 6, 8, 1, 2))
    with pytest.raises(ValueError, match="`series` must have a known number of frames"):
        DataSharing()([keras.Input((None, 8, 4, 2)), keras.Input((None, 8, 1, 1))])


def test_refusals_of_arguments():
    for distances in [(-1,), (0, 1.5), (0, True), "01"]:
        with pytest.raises(ValueError, match="`distances` must be an integer from 0"):
            DataSharing(distances)
    for distances in [(), (0, 1, 1)]:
        with pytest.raises(ValueError, match="`distances` must be one or more whole numbers, none of them twice"):
            DataSharing(distances)
    for name in ("divide_by", "boundary", "domain", "engine"):
        with pytest.raises(ValueError, match="`%s` must be one of .*Received: 'else'" % name):
            DataSharing(**{name: "else"})


def test_refusals_of_dtypes_and_lists():
    kspace, mask = example()
    with pytest.raises(ValueError, match="`inputs` must be one list of two tensors.*Received: 3 of them"):
        evaluate(DataSharing(), kspace, mask, mask)
    with pytest.raises(ValueError, match="`series` must be real.*Received: a complex dtype"):
        evaluate(DataSharing(), kspace.astype("complex64"), mask)
