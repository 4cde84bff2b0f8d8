"""Reading series, from files that their own libraries wrote, and patches of them."""

import os
import pathlib
import sys

import h5py
import nibabel
import numpy as np
import pytest
import scipy.io

from zoo.cascade.series import cut_patches, load_series

SERIES = (np.random.RandomState(0).standard_normal((3, 5, 18, 20, 2)) @ [1, 1j]).astype(np.complex64)  # n t h w
PAIRS = np.stack([SERIES.real, SERIES.imag], axis=-1)
ONE = np.moveaxis(SERIES[0], 0, 2)  # h w t, as MATLAB users store it


def scaled(series):
    return (series / np.abs(series).max()).astype(np.complex64)


def same(loaded, series):
    assert loaded.dtype == np.complex64 and loaded.flags.c_contiguous
    np.testing.assert_allclose(loaded, scaled(series), rtol=1e-6, atol=1e-7)


def write(path, **arrays):
    """A file of named arrays by its ending; `.mat` as MATLAB 7.3 writes it if the name says so."""
    path = str(path)
    if path.endswith(".npz"):
        np.savez(path, **arrays)
    elif path.endswith((".h5", ".hdf5")):
        with h5py.File(path, "w") as file:
            file.update(arrays)
    elif "73" in os.path.basename(path):
        with h5py.File(path, "w", userblock_size=512) as file:
            for name, array in arrays.items():
                file[name] = compound(array.T) if array.dtype.kind == "c" else array.T
        with open(path, "r+b") as stream:
            stream.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64")
    else:
        scipy.io.savemat(path, arrays, do_compression="packed" in path)
    return path


def compound(array):
    stored = np.empty(array.shape, [("real", array.real.dtype), ("imag", array.real.dtype)])
    stored["real"], stored["imag"] = array.real, array.imag
    return stored


def write_nifti(path, volume):
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), str(path))
    return str(path)


def refusal(call, *arguments, **named):
    with pytest.raises(ValueError) as caught:
        call(*arguments, **named)
    message = str(caught.value)
    assert " must " in message and ". Received: " in message and ". Try " in message and "\n" not in message
    return message


NAMED = ["a.npz", "a.h5", "a.hdf5", "a.mat", "packed.mat", "a73.mat"]


# --- numbers


@pytest.mark.parametrize("name", NAMED)
def test_the_one_series_among_named_arrays(tmp_path, name):
    path = write(tmp_path / name, seq=ONE, spacing=np.ones((1, 3)), mask=np.ones((18, 20)))
    same(load_series(path, axes="hwt"), SERIES[:1])
    same(load_series(path, key="seq", axes="hwt"), SERIES[:1])


@pytest.mark.parametrize("name", NAMED)
def test_four_axes_by_key(tmp_path, name):
    path = write(tmp_path / name, first=SERIES, second=SERIES[:, ::-1].real)
    same(load_series(path, key="first"), SERIES)
    same(load_series(path, key="second"), SERIES[:, ::-1].real)


def test_matlab_names_of_any_case(tmp_path):
    same(load_series(write(tmp_path / "a73.mat", seq=ONE), axes="hwt"), SERIES[:1])
    os.rename(str(tmp_path / "a73.mat"), str(tmp_path / "A73.MAT"))
    same(load_series(tmp_path / "A73.MAT", axes="hwt"), SERIES[:1])


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float16, np.float64, np.complex128, bool])
def test_npy_of_any_type(tmp_path, dtype):
    series = (SERIES if np.dtype(dtype).kind == "c" else np.abs(SERIES) * 50).astype(dtype)
    np.save(str(tmp_path / "a.npy"), series)
    same(load_series(tmp_path / "a.npy"), series.astype(np.complex128))


def test_values_beyond_single_precision_and_the_lowest_integer(tmp_path):
    series = np.zeros((1, 2, 16, 16), np.int8)
    series[0, 0, 0, :2] = -128, 64
    for array in (series, series * 1e200):
        np.save(str(tmp_path / "a.npy"), array)
        np.testing.assert_array_equal(load_series(tmp_path / "a.npy")[0, 0, 0, :2], [-1, 0.5])


@pytest.mark.parametrize("axes", ["nthw", "hwnt", "thwn", "wtnh", "nthwc", "cnthw", "hwcnt"])
def test_axes_in_any_order(tmp_path, axes):
    stored = PAIRS if "c" in axes else SERIES
    order = ["nthwc".index(letter) for letter in axes]
    np.save(str(tmp_path / "a.npy"), stored.transpose(order))
    same(load_series(tmp_path / "a.npy", axes=axes), SERIES)


@pytest.mark.parametrize("axes", ["thw", "hwt", "whtc"])
def test_one_series_without_an_axis_for_it(tmp_path, axes):
    stored = PAIRS[0] if "c" in axes else SERIES[0]
    np.save(str(tmp_path / "a.npy"), stored.transpose(["thwc".index(letter) for letter in axes]))
    same(load_series(tmp_path / "a.npy", axes=axes), SERIES[:1])


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti_slices_are_series(tmp_path, suffix):
    path = write_nifti(tmp_path / ("a" + suffix), SERIES.transpose(2, 3, 0, 1))
    same(load_series(path), SERIES)
    same(load_series(path, axes="whnt"), SERIES.swapaxes(2, 3))
    same(load_series(write_nifti(path, SERIES[0].transpose(1, 2, 0)), axes="hwt"), SERIES[:1])


def test_hdf5_in_groups_and_with_complex_compounds(tmp_path):
    with h5py.File(str(tmp_path / "a.h5"), "w") as file:
        file["scan/first"], file["scan/name"] = compound(SERIES), b"chest"
    same(load_series(tmp_path / "a.h5"), SERIES)
    same(load_series(tmp_path / "a.h5", key="scan/first"), SERIES)


def test_matlab_keeps_the_order_of_axes_in_all_versions(tmp_path):
    for name in ("a.mat", "a73.mat"):
        same(load_series(write(tmp_path / name, x=SERIES.transpose(2, 3, 0, 1)), axes="hwnt"), SERIES)


def test_other_matlab_variables_are_no_candidates(tmp_path):
    cells = np.empty((2, 2, 2), object)
    cells[:] = 1.0
    path = write(tmp_path / "a.mat", seq=ONE, cells=cells, note="text", info={"fps": 30.0})
    same(load_series(path, axes="hwt"), SERIES[:1])
    assert "holds seq (18, 20, 5)" in refusal(load_series, path, key="cells", axes="hwt")
    path = write(tmp_path / "a73.mat", seq=ONE)
    with h5py.File(path, "a") as file:
        file["#refs#/a"], file["#refs#/b"] = SERIES.real, SERIES.real
    same(load_series(path, axes="hwt"), SERIES[:1])


def test_scale_between_series_is_kept_and_empty_ones_are_left_out(tmp_path):
    series = SERIES.copy()
    series[0] *= 0.1
    series[1] = 0
    np.save(str(tmp_path / "a.npy"), series)
    same(load_series(tmp_path / "a.npy"), series[[0, 2]])


@pytest.mark.parametrize(
    "name, key, axes, order",
    [("cine_rat/cine.npz", "cine", "hwt", (2, 0, 1)), ("kidney_complex/series.npz", "magnitude", "hwnt", (2, 3, 0, 1))],
)
def test_real_files(shared, name, key, axes, order):
    with np.load(shared("data/" + name)) as file:
        expected = np.float64(file[key]).transpose(order)
    same(load_series(shared("data/" + name), key, axes), expected.reshape((-1,) + expected.shape[-3:]))


def test_patches_equal_slices():
    patches = cut_patches(SERIES, 8, [0, 12, 5])
    assert patches.shape == (9, 5, 18, 8) and patches.dtype == np.complex64
    for series in range(3):
        for position, first in enumerate((0, 12, 5)):
            np.testing.assert_array_equal(patches[3 * series + position], SERIES[series, ..., first : first + 8])
    np.testing.assert_array_equal(cut_patches(SERIES, 20, np.arange(1)), SERIES)


# --- laws


def test_a_patch_undersampled_along_the_height_is_the_patch_of_the_undersampled_series():
    lines = np.random.RandomState(0).randint(0, 2, (5, 18, 1))

    def measured(series):
        return np.fft.ifft2(np.fft.fft2(series) * lines)

    np.testing.assert_allclose(measured(cut_patches(SERIES, 7, [4])), cut_patches(measured(SERIES), 7, [4]), atol=1e-5)


# --- refusals


def test_refuses_a_missing_path_and_an_unknown_ending(tmp_path):
    with pytest.raises(FileNotFoundError, match="`path` must exist. Received: .*nothing.mat"):
        load_series(tmp_path / "nothing.mat")
    (tmp_path / "a.dcm").write_text("")
    message = refusal(load_series, tmp_path / "a.dcm")
    assert "a.dcm" in message and ".mat" in message


@pytest.mark.parametrize("name", ["a.npz", "a.h5", "a.mat", "a73.mat"])
def test_refuses_a_missing_key_and_names_those_present(tmp_path, name):
    path = write(tmp_path / name, seq=ONE, mask=np.ones((18, 20)))
    message = refusal(load_series, path, key="cine", axes="hwt")
    assert "`key`" in message and "seq (18, 20, 5)" in message and "mask (18, 20)" in message and "'cine'" in message
    path = write(tmp_path / name, seq=ONE, other=SERIES)
    message = refusal(load_series, path, axes="hwt")
    assert "key=None" in message and "seq (18, 20, 5)" in message and "other (3, 5, 18, 20)" in message


def test_refuses_a_file_without_arrays_and_a_key_where_there_are_none(tmp_path):
    for name in ("a.npz", "a.h5"):
        assert "no arrays at all" in refusal(load_series, write(tmp_path / name))
    np.save(str(tmp_path / "a.npy"), SERIES)
    assert "`key` must be None" in refusal(load_series, tmp_path / "a.npy", "seq")


def test_refuses_to_guess_the_order_of_three_axes(tmp_path):
    np.save(str(tmp_path / "a.npy"), ONE)
    for path in (tmp_path / "a.npy", write_nifti(tmp_path / "a.nii", ONE), write(tmp_path / "a.mat", seq=ONE)):
        message = refusal(load_series, path)
        assert '"hwt"' in message and '"thw"' in message and "(18, 20, 5)" in message and str(path) in message


@pytest.mark.parametrize("shape", [(18, 20), (3, 5, 18, 20, 2), (7,), ()])
def test_refuses_other_numbers_of_axes(tmp_path, shape):
    np.save(str(tmp_path / "a.npy"), np.ones(shape))
    assert "`axes` must say" in refusal(load_series, tmp_path / "a.npy")
    message = refusal(load_series, tmp_path / "a.npy", axes="nthw")
    assert "a letter for each axis" in message and str(shape) in message


@pytest.mark.parametrize("axes", ["nhw", "nthh", "nthwx", "", "NTHW", 4, ("n", "t", "h", "w")])
def test_refuses_letters_missing_double_or_unknown(tmp_path, axes):
    np.save(str(tmp_path / "a.npy"), SERIES)
    message = refusal(load_series, tmp_path / "a.npy", axes=axes)
    assert "`axes` must have t, h and w" in message and repr(axes) in message


@pytest.mark.parametrize(
    "array, axes",
    [(SERIES, "cthw"), (SERIES[:2], "cthw"), (np.full(SERIES.shape, "a"), None), (SERIES.real, "cthw")],
)
def test_refuses_what_are_no_numbers_or_no_pairs(tmp_path, array, axes):
    np.save(str(tmp_path / "a.npy"), array)
    assert "`path` must hold numbers" in refusal(load_series, tmp_path / "a.npy", axes=axes)


def test_refuses_few_pixels_as_a_wrong_order(tmp_path):
    np.save(str(tmp_path / "a.npy"), PAIRS[0])
    message = refusal(load_series, tmp_path / "a.npy")
    assert "16 pixels or more" in message and "(5, 18, 20, 2)" in message
    np.save(str(tmp_path / "b.npy"), ONE)
    assert "16 pixels or more" in refusal(load_series, tmp_path / "b.npy", axes="thw")


@pytest.mark.parametrize("value", [np.nan, np.inf, complex(0, np.nan)])
def test_refuses_pixels_that_are_not_finite(tmp_path, value):
    series = SERIES.copy()
    series[1, 3, 4, 5] = series[2, 0, 0, 0] = value
    np.save(str(tmp_path / "a.npy"), series)
    assert "series 1, frame 3, and 1 other frames" in refusal(load_series, tmp_path / "a.npy")


@pytest.mark.parametrize("shape", [(2, 3, 16, 16), (0, 3, 16, 16), (2, 0, 16, 16)])
def test_refuses_nothing_but_zeros(tmp_path, shape):
    np.save(str(tmp_path / "a.npy"), np.zeros(shape))
    assert "not zero everywhere" in refusal(load_series, tmp_path / "a.npy")


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.h5", "a.mat", "packed.mat", "a73.mat", "a.nii", "a.nii.gz"])
def test_refuses_truncated_files_and_other_content(tmp_path, name):
    path = str(tmp_path / name)
    if ".nii" in name:
        write_nifti(path, SERIES.transpose(2, 3, 0, 1))
    elif name == "a.npy":
        np.save(path, SERIES)
    else:
        write(path, seq=SERIES)
    same(load_series(path), SERIES)
    content = pathlib.Path(path).read_bytes()
    for damaged in (content[: len(content) * 6 // 10], b"", b"this is no series at all"):
        pathlib.Path(path).write_bytes(damaged)
        message = refusal(load_series, path)
        assert "complete, readable file" in message and path in message


@pytest.mark.parametrize("name, module", [("a.h5", "h5py"), ("a73.mat", "h5py"), ("a.nii", "nibabel")])
def test_refuses_when_the_reader_is_missing(tmp_path, monkeypatch, name, module):
    write(tmp_path / "a73.mat", seq=ONE)
    os.rename(str(tmp_path / "a73.mat"), str(tmp_path / name))
    monkeypatch.setitem(sys.modules, module, None)
    assert "`pip install %s`" % module in refusal(load_series, tmp_path / name)


@pytest.mark.parametrize(
    "series, width, offsets, expected",
    [
        (SERIES[0], 8, [0], "`series` must be (n, time, height, width)"),
        (SERIES, 0, [0], "`width` must be an integer"),
        (SERIES, 21, [0], "`width` must fit into the series"),
        (SERIES, 8, [0, 13], "`offsets` must be integers from 0 to 12"),
        (SERIES, 8, [-1], "`offsets` must be integers from 0 to 12"),
        (SERIES, 8, [], "`offsets` must be"),
        (SERIES, 8, [1.5], "`offsets` must be"),
        (SERIES, 8, 3, "`offsets` must be"),
    ],
)
def test_refuses_patches_outside(series, width, offsets, expected):
    assert expected in refusal(cut_patches, series, width, offsets)
