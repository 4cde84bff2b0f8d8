"""Measured k-space from files: NumPy's transforms are the oracle, for both orders and odd sizes; refusals; files written."""

import nibabel
import numpy as np
import pytest
import scipy.io

from runtime import random, to_complex
from zoo.cascade.measurements import load_measurement, reconstruct, write_series
from zoo.cascade.series import load_series

TRUTH = to_complex(random(2, 3, 9, 8, 2))
LINES = (np.random.RandomState(0).rand(3, 9) < 0.5).astype("uint8")
LINES[:, 0] = 1


class Identity:
    """A network that keeps what it gets, and notes it."""

    def predict_on_batch(self, inputs):
        self.inputs = inputs
        return inputs["image"]


def kspace(centered=False):
    if not centered:
        return np.fft.fft2(TRUTH, norm="ortho")
    return np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(TRUTH, axes=(2, 3)), norm="ortho"), axes=(2, 3))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("kspace.npy", kspace())
    np.save("mask.npy", LINES)
    return tmp_path


@pytest.mark.parametrize("centered", [False, True])
def test_both_orders_give_the_same_images(folder, centered):
    shifted = np.fft.fftshift(LINES, axes=1) if centered else LINES
    scipy.io.savemat("scan.mat", {"samples": kspace(centered).transpose(2, 3, 0, 1), "lines": shifted.T})
    found, mask = load_measurement("scan.mat", "scan.mat", "samples", "lines", "hwnt", "ht", centered)
    assert mask.shape == (1, 3, 9, 1, 1) and found.dtype == np.complex64
    np.testing.assert_array_equal(mask[0, :, :, 0, 0], LINES)
    np.testing.assert_allclose(found, np.fft.fft2(TRUTH, norm="ortho") * mask[..., 0], atol=1e-5)


@pytest.mark.parametrize(
    "mask, axes, shape",
    [
        (LINES[0], None, (1, 1, 9, 1, 1)),
        (LINES, None, (1, 3, 9, 1, 1)),
        (np.ones((8, 9)), "wh", (1, 1, 9, 8, 1)),
        (np.ones((3, 9, 8), bool), None, (1, 3, 9, 8, 1)),
    ],
)
def test_masks_may_lack_axes(folder, mask, axes, shape):
    np.save("other.npy", mask)
    assert load_measurement("kspace.npy", "other.npy", mask_axes=axes)[1].shape == shape


@pytest.mark.parametrize("peak", [1.0, 4.0])
def test_the_network_sees_the_peak_and_the_unit_comes_back(peak):
    """Of a still series whose frames have measured all lines together, the peak of the truth is known."""
    still = np.repeat(TRUTH[:1, :1], 3, axis=1)
    mask = np.array([line % 3 == frame for frame in range(3) for line in range(9)], "float32").reshape(1, 3, 9, 1, 1)
    model = Identity()
    zero_filled, result = reconstruct(model, np.fft.fft2(still, norm="ortho") * mask[..., 0], mask, peak)
    np.testing.assert_allclose(result, zero_filled, atol=1e-5)
    seen = to_complex(model.inputs["image"])
    np.testing.assert_allclose(seen[0], zero_filled[0] * peak / np.abs(still).max(), atol=1e-5)
    np.testing.assert_allclose(np.fft.fft2(seen, norm="ortho"), to_complex(model.inputs["kspace"]), atol=1e-5)


def test_a_series_of_zeros_stays_zero():
    kspace = np.zeros((1, 3, 9, 8), np.complex64)
    assert not reconstruct(Identity(), kspace, np.ones((1, 3, 9, 1, 1), "float32"))[1].any()


def test_files_come_back(folder):
    series = np.complex64(np.repeat(np.repeat(TRUTH, 2, axis=2), 2, axis=3))
    for name in ("a.npz", "b.npy"):
        write_series(name, series)
        np.testing.assert_allclose(load_series(name), series / np.abs(series).max(), atol=1e-6)
    write_series("c.nii.gz", series)
    stored = nibabel.load("c.nii.gz")
    assert stored.shape == (18, 16, 2, 3)
    np.testing.assert_allclose(np.asarray(stored.dataobj)[..., 1, 2], np.abs(series[1, 2]), rtol=1e-6)


@pytest.mark.parametrize(
    "mask, options, words",
    [
        (LINES[:2], {}, "`mask` must have as many frames as the k-space, 3. Received: 2"),
        (LINES.T, {}, "as many frames as the k-space, 3. Received: 9"),
        (LINES[:, :5], {}, "as many lines as the k-space, 9. Received: 5"),
        (np.ones((3, 9, 7)), {}, "as many columns as the k-space, 8. Received: 7"),
        (2 * LINES, {}, "`mask` must be 0 or 1 everywhere"),
        (0 * LINES, {}, "and not 0 everywhere"),
        (LINES, dict(mask_axes="tt"), "`mask` must have some of the axes"),
        (LINES, dict(mask_axes="thw"), "`mask` must have some of the axes"),
        (np.ones((1, 3, 9, 8)), {}, "`mask` must have some of the axes"),
        (LINES, dict(axes="thw"), "`axes` must have a letter for each axis"),
        (LINES, dict(mask_key="mask"), "`key` must be None unless"),
    ],
)
def test_refusals(folder, mask, options, words):
    np.save("other.npy", mask)
    with pytest.raises(ValueError, match=words):
        load_measurement("kspace.npy", "other.npy", **options)


def test_refuses_nothing_measured_and_nothing_there(folder):
    np.save("empty.npy", kspace() * (1 - LINES[0][:, np.newaxis]))
    np.save("line.npy", LINES[0])
    with pytest.raises(ValueError, match="`kspace` must hold a sample that is not zero where `mask` is 1"):
        load_measurement("empty.npy", "line.npy")
    np.save("magnitude.npy", np.abs(kspace()))
    with pytest.raises(ValueError, match="`kspace` must hold complex numbers. Received: float(32|64) in magnitude.npy"):
        load_measurement("magnitude.npy", "line.npy")
    with pytest.raises(FileNotFoundError, match="`path` must exist"):
        load_measurement("absent.npy", "mask.npy")
