"""CRNN-MRI: parameter count, the authors' weights against NumPy in float64, laws, their file, refusals."""

import collections
import importlib.util
import os
import pickle
import sys

import numpy as np
import pytest

import torch_files
from mrlayers import backend
from mrlayers.backend import keras
from plain_recurrence import bidirectional, convolve, recurrent
from runtime import RNG, random, to_complex, to_pairs
from zoo.cascade import convert_published, crnn_mri, deep_cascade, load_published

SHAPE, LINES = (3, 8, 6), (3, 8, 1, 1)
SMALL = dict(num_iterations=3, num_convolutions=3, filters=4)
NAMES = ["bcrnn.CRNN_model." + name for name in ("i2h", "h2h", "ih2ih")]
needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")


def series(truth, rows, seed=0):
    """Inputs of the network for a complex series `(frames, height, width)` of which only these rows were measured."""
    mask = np.zeros((1,) + truth.shape[:2] + (1, 1), "float32")
    for frame, measured in enumerate(rows):
        mask[0, frame, measured] = 1
    kspace = np.fft.fft2(truth, norm="ortho") * mask[..., 0]
    return [to_pairs(np.fft.ifft2(kspace, norm="ortho")), to_pairs(kspace), mask]


def point_test():
    """Zero-filled series, k-space and masks of the known answers."""
    t, a, b = np.meshgrid(np.arange(4), np.arange(8), np.arange(8), indexing="ij")
    truth = ((3 * a + 5 * b + 2 * t) % 7) / 6 + 1j * ((2 * a + b + t) % 5) / 10
    return series(truth, [[0, 1, 3, 7], [0, 1, 4, 7], [0, 1, 5, 7], [0, 1, 2, 7]])


def random_series(samples=1):
    random_rows = RNG(0)
    parts = [
        series(to_complex(random(*SHAPE + (2,), seed=seed)), [random_rows.permutation(8)[:4] for _ in range(3)])
        for seed in range(samples)
    ]
    return [np.concatenate(arrays) for arrays in zip(*parts)]


def forward(image, kspace, mask, tensors, iterations=5, recurrences=3):
    """The authors' loop in float64: `tensors` by their names, `(out, in, rows, columns)`; complex `(batch, frames, height, width)`."""

    def weights(name):
        return tensors[name + ".weight"].transpose(2, 3, 1, 0), tensors[name + ".bias"]

    cell = {name.rsplit(".", 1)[1]: weights(name) for name in NAMES}
    layers = [
        {"conv1_x": weights("conv%d_x" % number), "conv1_h": weights("conv%d_h" % number)}
        for number in range(1, recurrences + 1)
    ]
    filters = tensors[NAMES[0] + ".bias"].size
    hidden = [np.zeros(image.shape + (filters,))] * (recurrences + 1)
    for _ in range(iterations):
        hidden[0] = bidirectional(to_pairs(image, "float64"), hidden[0], cell)
        for index, layer in enumerate(layers):
            hidden[index + 1] = recurrent(hidden[index], hidden[index + 1], layer)
        image = image + to_complex(convolve(hidden[-1], weights("conv%d_x" % (recurrences + 1))))
        found = np.fft.fft2(image, norm="ortho")
        image = np.fft.ifft2(np.where(mask[..., 0] == 1, kspace, found), norm="ortho")
    return image


def random_tensors(filters=4, recurrences=1):
    """Weights by the authors' names."""
    convolutions = dict(zip(NAMES, [(filters, 2), (filters, filters), (filters, filters)]))
    for number in range(1, recurrences + 1):
        convolutions.update({"conv%d_%s" % (number, kind): (filters, filters) for kind in "xh"})
    convolutions["conv%d_x" % (recurrences + 1)] = (2, filters)
    tensors = {}
    for seed, (name, channels) in enumerate(sorted(convolutions.items())):
        tensors[name + ".weight"] = 0.2 * random(*channels + (3, 3), seed=seed)
        tensors[name + ".bias"] = 0.2 * random(channels[0], seed=100 + seed)
    return tensors


def saved(path, tensors):
    np.savez(str(path), **tensors)
    return str(path)


@pytest.fixture
def published(shared, tmp_path):
    """The authors' tensors as an `.npz`."""
    return saved(tmp_path / "crnn.npz", torch_files.read(shared("weights/crnn_mri_d5_c5.pth")))


# Numbers.


def test_parameter_count():
    assert crnn_mri((2, 8, 8), (2, 8, 1, 1)).count_params() == 297794


@pytest.mark.parametrize("mask_shape", [(4, 8, 1, 1), None])
def test_published_weights_against_numpy(published, mask_shape):
    image, kspace, mask = point_test()
    assert image[0, 2, 3, 5] == pytest.approx([0.5494944985685012, 0.4322864055897047], abs=1e-6)
    model = crnn_mri((4, 8, 8), mask_shape)
    load_published(model, published)
    with np.load(published) as archive:
        tensors = {name: archive[name].astype("float64") for name in archive.files}
    expected = forward(to_complex(image.astype("float64")), to_complex(kspace.astype("float64")), mask, tensors)
    mask = np.broadcast_to(mask, (1,) + (mask_shape or (4, 8, 8, 1)))
    result = model.predict([image, kspace, mask], verbose=0)
    np.testing.assert_allclose(result, to_pairs(expected, "float64"), atol=1e-4)
    assert np.abs(result - image).max() > 0.1


@needs_torch
def test_reads_and_converts_the_published_file(shared, published, tmp_path):
    path, output = shared("weights/crnn_mri_d5_c5.pth"), str(tmp_path / "converted.npz")
    convert_published(path, output)
    models = [crnn_mri((2, 8, 8), (2, 8, 1, 1)) for _ in range(3)]
    for model, file in zip(models, (published, path, output)):
        load_published(model, file)
    for weights in zip(*[model.get_weights() for model in models]):
        assert np.array_equal(weights[0], weights[1]) and np.array_equal(weights[0], weights[2])


@pytest.mark.parametrize("recurrences", [0, 1, 2])
def test_random_weights_against_numpy(tmp_path, recurrences):
    tensors = random_tensors(recurrences=recurrences)
    model = crnn_mri(SHAPE, LINES, 3, recurrences + 2, 4)
    load_published(model, saved(tmp_path / "weights.npz", tensors))
    image, kspace, mask = random_series(2)
    expected = forward(to_complex(image), to_complex(kspace), mask, tensors, 3, recurrences)
    np.testing.assert_allclose(model.predict([image, kspace, mask], verbose=0), to_pairs(expected), atol=1e-4)


# Laws.


def test_starts_at_the_zero_filled_series():
    inputs = random_series(2)
    result = crnn_mri(SHAPE, LINES, **SMALL).predict(inputs, verbose=0)
    np.testing.assert_allclose(result, inputs[0], atol=1e-5)


def test_backwards_in_time_is_backwards_in_time(tmp_path):
    model = crnn_mri(SHAPE, LINES, **SMALL)
    load_published(model, saved(tmp_path / "weights.npz", random_tensors()))
    inputs = random_series()
    result = model.predict([array[:, ::-1] for array in inputs], verbose=0)
    np.testing.assert_allclose(result[:, ::-1], model.predict(inputs, verbose=0), atol=1e-5)


def test_a_series_of_one_frame(tmp_path):
    model = crnn_mri((1,) + SHAPE[1:], (1, 8, 1, 1), **SMALL)
    tensors = random_tensors()
    load_published(model, saved(tmp_path / "weights.npz", tensors))
    image, kspace, mask = [array[:, :1] for array in random_series()]
    expected = forward(to_complex(image), to_complex(kspace), mask, tensors, 3, 1)
    np.testing.assert_allclose(model.predict([image, kspace, mask], verbose=0), to_pairs(expected), atol=1e-4)


def test_trains():
    """On a still image, of which every frame has measured other rows: what one frame lacks its neighbours know."""
    truth = np.repeat(to_complex(random(1, 8, 6, 2)), 3, axis=0)
    inputs = series(truth, [[0, 1, 2], [3, 4, 5], [6, 7, 0]])
    model = crnn_mri(SHAPE, LINES, **SMALL)
    model.compile(keras.optimizers.Adam(1e-2), loss="mse", **backend.COMPILE_OPTIONS)
    losses = [float(model.train_on_batch(inputs, to_pairs(truth)[np.newaxis])) for _ in range(20)]
    assert losses[-1] < 0.9 * losses[0]


# Refusals.


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("harm",)


@needs_torch
def test_executes_nothing_that_a_file_holds(tmp_path, monkeypatch):
    import torch

    monkeypatch.chdir(tmp_path)
    model = crnn_mri(SHAPE, LINES, **SMALL)
    torch.save(collections.OrderedDict(harm=Harmful()), "zip.pth")
    torch.save(collections.OrderedDict(harm=Harmful()), "legacy.pth", _use_new_zipfile_serialization=False)
    with open("plain.pth", "wb") as file:
        pickle.dump(Harmful(), file)
    for name in ("zip.pth", "legacy.pth", "plain.pth"):
        for call in (lambda: load_published(model, name), lambda: convert_published(name, "out.npz")):
            with pytest.raises(ValueError, match="`path` must be a file of tensors.*%s" % name):
                call()
    assert sorted(os.listdir(".")) == ["legacy.pth", "plain.pth", "zip.pth"]


def test_says_what_reads_the_file_where_pytorch_is_absent(tmp_path, monkeypatch):
    (tmp_path / "weights.pth").write_bytes(b"anything")
    model = crnn_mri(SHAPE, LINES, **SMALL)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        ValueError, match="`path` must have a reader that is installed.*weights.pth, read by torch.*pip install"
    ):
        load_published(model, str(tmp_path / "weights.pth"))


def test_refuses_other_files(tmp_path):
    model, tensors = crnn_mri(SHAPE, LINES, **SMALL), random_tensors()
    with pytest.raises(FileNotFoundError, match="`path` must exist"):
        load_published(model, str(tmp_path / "absent.npz"))
    with pytest.raises(ValueError, match=r"must hold 12 arrays .*Received: 16 arrays.*Try `crnn_mri\("):
        load_published(model, saved(tmp_path / "deeper.npz", random_tensors(recurrences=2)))
    with pytest.raises(ValueError, match="must hold 20 arrays arr_0"):
        load_published(deep_cascade((8, 6), num_cascades=2), saved(tmp_path / "crnn.npz", tensors))
    before = model.get_weights()
    tensors["conv1_h.weight"] = tensors["conv1_h.weight"][:, :3]
    with pytest.raises(ValueError, match=r"must fit the model. Received: \(4, 3, 3, 3\)"):
        load_published(model, saved(tmp_path / "other.npz", tensors))
    assert all(np.array_equal(new, old) for new, old in zip(model.get_weights(), before))


@pytest.mark.parametrize(
    "options, words",
    [
        (dict(num_iterations=0), "`num_iterations` must be an integer from 1"),
        (dict(num_convolutions=1), "`num_convolutions` must be an integer from 2"),
        (dict(filters=True), "`filters` must be an integer from 1"),
        (dict(mask_shape=(8, 1, 1)), "`mask_shape` must be"),
        (dict(series_shape=(8, 6)), "`series_shape` must be"),
    ],
)
def test_refusals(options, words):
    with pytest.raises(ValueError, match=words):
        crnn_mri(**dict(dict(series_shape=SHAPE, mask_shape=LINES, **SMALL), **options))
