"""Volumes to and from files. NIfTI and MGZ are written and read back with nibabel alone."""

import os
import pathlib

import nibabel
import numpy as np
import pytest
import scipy.io

from zoo.files import written_whole
from zoo.volumes import Volume, read_labels, read_volume, scale_intensity, write_volume

RANDOM = np.random.RandomState(0)
IMAGE = RANDOM.uniform(0, 900, (5, 6, 7)).astype(np.float32)
LABELS = RANDOM.randint(0, 300, (5, 6, 7))
OBLIQUE = nibabel.affines.from_matvec(
    nibabel.eulerangles.euler2mat(0.2, -0.3, 0.1).dot(np.diag([-1.2, 0.9, 2.5])), [31.5, -40.25, 12]
)


def write_nifti(path, array, affine=OBLIQUE, slope=None, inter=None, **fields):
    image = nibabel.Nifti1Image(array, affine)
    image.set_qform(affine, 1)
    image.set_sform(affine, 4)
    image.header.set_slope_inter(slope, inter)
    for name, value in fields.items():
        image.header[name] = value
    nibabel.save(image, str(path))
    return str(path)


def write_npz(path, **arrays):
    np.savez(str(path), **arrays)
    return str(path)


def truncate(path, share=0.6):
    content = pathlib.Path(path).read_bytes()
    pathlib.Path(path).write_bytes(content[: int(len(content) * share)])
    return path


def refusal(call, *arguments, **named):
    with pytest.raises((ValueError, OSError)) as caught:
        call(*arguments, **named)
    message = str(caught.value)
    assert " must " in message and ". Received: " in message and ". Try " in message and "\n" not in message
    return message


# --- numbers: reading


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti_with_its_scale_and_affine(tmp_path, suffix):
    stored = IMAGE.astype(np.int16)
    volume = read_volume(write_nifti(tmp_path / ("a" + suffix), stored, slope=0.5, inter=-3))
    np.testing.assert_allclose(volume.array, stored * 0.5 - 3, rtol=1e-6)
    assert volume.array.dtype == np.float32 and volume.array.flags.c_contiguous and volume.array.flags.writeable
    np.testing.assert_allclose(volume.affine, OBLIQUE, atol=1e-5)
    assert volume.affine.dtype == np.float64 and volume.header["sform_code"] == 4


@pytest.mark.parametrize("suffix", [".mgz", ".mgh"])
def test_freesurfer(tmp_path, suffix):
    path = str(tmp_path / ("norm" + suffix))
    nibabel.save(nibabel.MGHImage(IMAGE, OBLIQUE), path)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.array, IMAGE)
    np.testing.assert_allclose(volume.affine, OBLIQUE, atol=1e-4)


def test_big_endian_nifti(tmp_path):
    header = nibabel.Nifti1Header(endianness=">")
    nibabel.save(nibabel.Nifti1Image(IMAGE.astype(">i2"), OBLIQUE, header), str(tmp_path / "a.nii"))
    volume = read_volume(tmp_path / "a.nii")
    np.testing.assert_array_equal(volume.array, IMAGE.astype(np.int16))
    assert volume.array.dtype.isnative


@pytest.mark.parametrize(
    "arrays, key, image, labels",
    [
        ({"vol": IMAGE, "seg": LABELS}, None, IMAGE, LABELS),
        ({"vol_data": LABELS}, None, LABELS, LABELS),
        ({"vol": IMAGE, "vol_data": LABELS}, None, IMAGE, LABELS),
        ({"arr_0": LABELS}, None, LABELS, LABELS),
        ({"a": LABELS, "b": IMAGE.astype(int)}, "b", IMAGE.astype(int), IMAGE.astype(int)),
    ],
)
def test_npz_keys(tmp_path, arrays, key, image, labels):
    path = write_npz(tmp_path / "a.npz", **arrays)
    np.testing.assert_array_equal(read_volume(path, key).array, image)
    np.testing.assert_array_equal(read_labels(path, key).array, labels)
    assert read_labels(path, key).array.dtype == np.int32
    assert read_volume(path, key).header is None and np.array_equal(read_volume(path, key).affine, np.eye(4))


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float16, np.float64])
def test_npy_of_two_dimensions_and_any_type(tmp_path, dtype):
    image = (IMAGE[0] / 9).astype(dtype)
    np.save(str(tmp_path / "a.npy"), image)
    np.testing.assert_allclose(read_volume(tmp_path / "a.npy", ndim=2).array, image.astype(np.float32))


def test_axes_of_one_at_the_end_are_dropped(tmp_path):
    np.save(str(tmp_path / "a.npy"), IMAGE[..., None, None])
    assert read_volume(tmp_path / "a.npy").array.shape == (5, 6, 7)
    path = write_nifti(tmp_path / "slice.nii", IMAGE[..., :1])
    assert read_volume(path).array.shape == (5, 6, 1) and read_volume(path, ndim=2).array.shape == (5, 6)


def test_labels_stored_as_floats(tmp_path):
    path = write_nifti(tmp_path / "a.nii.gz", (LABELS - 7).astype(np.float32))
    labels = read_labels(path).array
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, LABELS - 7)


def test_published_subject(shared):
    volume = read_volume(shared("data/brain_subject/test_vol.npz"), ndim=3)
    assert volume.array.shape == (160, 192, 224) and volume.array.max() == pytest.approx(249 / 255)
    assert scale_intensity(volume.array) is volume.array
    labels = read_labels(shared("data/brain_subject/test_seg.npz")).array
    scored = scipy.io.loadmat(shared("data/brain_subject/labels.mat"))["labels"].ravel()
    assert len(scored) == 30 and np.isin(scored, labels).all()
    assert volume.array[labels == 41].mean() == pytest.approx(0.395, abs=0.001)  # white matter


def test_templates(shared):
    atlas = read_labels(shared("data/templates/aal.nii.gz"))
    assert atlas.array.shape == (181, 217, 181) and atlas.array.max() == 116
    np.testing.assert_array_equal(atlas.affine[:3, 3], [-90, -125, -71])
    head = read_volume(shared("data/templates/mni152_t1_1mm.nii.gz"))
    scaled = scale_intensity(head.array)
    assert head.array.shape == (197, 233, 189) and scaled.min() == 0 and scaled.max() == 1
    assert 0.7 < np.median(scaled[scaled > 0]) < 0.8


# --- numbers: writing


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_written_nifti_keeps_all_of_the_header_but_type_and_window(tmp_path, suffix):
    stored = IMAGE.astype(np.int16)
    path = write_nifti(tmp_path / "a.nii.gz", stored, slope=2, inter=1, cal_max=500, xyzt_units=10, descrip=b"T1", toffset=2.5)
    written = str(tmp_path / ("b" + suffix))
    like = read_volume(path)
    write_volume(written, IMAGE / 7, like)
    before, after = nibabel.load(path), nibabel.load(written)
    changed = {name for name in after.header if str(after.header[name]) != str(before.header[name])}
    assert changed - {"magic", "vox_offset"} == {"datatype", "bitpix", "cal_max"}
    np.testing.assert_array_equal(after.affine, before.affine)
    np.testing.assert_array_equal(np.asanyarray(after.dataobj), IMAGE / np.float32(7))
    assert like.header["cal_max"] == 500


@pytest.mark.parametrize("suffix", [".nii.gz", ".mgz", ".npz", ".npy"])
@pytest.mark.parametrize(
    "array, dtype",
    [
        (LABELS > 9, "u1"),
        (LABELS % 256, "u1"),
        (LABELS - 200, "i2"),
        (LABELS.astype(np.uint64) * 1000, "i4"),
        (IMAGE.astype(np.float64), "f4"),
        (IMAGE.astype(np.float16), "f4"),
    ],
)
def test_everything_comes_back(tmp_path, suffix, array, dtype):
    path = str(tmp_path / "new" / ("a" + suffix))
    write_volume(path, array, Volume(array, OBLIQUE, None))
    read = read_volume(path) if dtype == "f4" else read_labels(path)
    np.testing.assert_array_equal(read.array, array)
    if suffix in (".nii.gz", ".mgz"):
        assert nibabel.load(path).get_data_dtype().newbyteorder("=") == np.dtype(dtype)
        np.testing.assert_allclose(read.affine, OBLIQUE, atol=1e-4)
    if suffix == ".npz":
        assert np.load(path).files == ["vol" if dtype == "f4" else "seg"]


def test_from_freesurfer_to_nifti_and_back(tmp_path):
    nibabel.save(nibabel.MGHImage(IMAGE, OBLIQUE), str(tmp_path / "a.mgz"))
    volume = read_volume(tmp_path / "a.mgz")
    write_volume(tmp_path / "b.nii.gz", volume.array, volume)
    nifti = nibabel.load(str(tmp_path / "b.nii.gz"))
    assert nifti.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_allclose(nifti.header.get_zooms(), [1.2, 0.9, 2.5], atol=1e-5)
    write_volume(tmp_path / "c.mgz", volume.array, read_volume(tmp_path / "b.nii.gz"))
    np.testing.assert_allclose(nibabel.load(str(tmp_path / "c.mgz")).affine, OBLIQUE, atol=1e-4)


def test_two_dimensions_and_no_model(tmp_path):
    write_volume(tmp_path / "a.nii.gz", IMAGE[0])
    volume = read_volume(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(volume.array, IMAGE[0])
    np.testing.assert_array_equal(volume.affine, np.eye(4))


def test_second_nifti_format_stays(tmp_path):
    nibabel.save(nibabel.Nifti2Image(IMAGE, OBLIQUE), str(tmp_path / "a.nii"))
    write_volume(tmp_path / "b.nii", IMAGE, read_volume(tmp_path / "a.nii"))
    assert isinstance(nibabel.load(str(tmp_path / "b.nii")), nibabel.Nifti2Image)


# --- numbers: intensities


def test_percentiles_become_0_and_level():
    image = np.arange(-100, 901, dtype=np.float32).reshape(7, 11, 13)
    scaled = scale_intensity(image, percentile=99)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled.ravel(), np.clip((image.ravel() + 90) / 980, 0, 1), atol=1e-6)
    half = scale_intensity(image, percentile=99, level=0.5)
    np.testing.assert_allclose(half.ravel(), np.clip((image.ravel() + 90) / 1960, 0, 1), atol=1e-6)


def test_outliers_do_not_matter_and_the_background_stays_zero():
    image = np.where(np.arange(8000) < 5000, 0, np.arange(8000)).reshape(20, 20, 20)
    bright = image.copy()
    bright[19, 19, 15:] = 10**6
    scaled, with_outliers = scale_intensity(image), scale_intensity(bright)
    np.testing.assert_array_equal(scaled == 0, image == 0)
    assert with_outliers.max() == 1
    np.testing.assert_allclose(with_outliers[:19], scaled[:19], atol=1e-3)


def test_scaled_images_stay_as_they_are():
    for image in (np.linspace(0, 1, 64), np.linspace(0.1, 0.6, 64)):
        image = image.astype(np.float32)
        assert scale_intensity(image) is image
    dim = np.linspace(0, 0.02, 64, dtype=np.float32)
    assert scale_intensity(dim).max() == 1
    once = scale_intensity(IMAGE)
    assert scale_intensity(once) is once


def test_an_image_of_one_bright_point():
    image = np.zeros((20, 20, 20), np.float32)
    image[3, 4, 5] = 200
    np.testing.assert_array_equal(scale_intensity(image), image / 200)


def test_scaling_does_not_write_to_its_argument():
    image = IMAGE.copy()
    scale_intensity(image)
    np.testing.assert_array_equal(image, IMAGE)


# --- refusals


@pytest.mark.parametrize("read", [read_volume, read_labels])
def test_missing_file_unknown_ending_and_key_without_npz(tmp_path, read):
    assert "`path` must exist" in refusal(read, tmp_path / "no.nii.gz")
    (tmp_path / "a.dcm").write_text("no volume")
    assert "end" in refusal(read, tmp_path / "a.dcm") and ".mgz" in refusal(read, tmp_path / "a.dcm")
    assert "ends in one of" in refusal(read, tmp_path)
    assert "`key` must be None" in refusal(read, write_nifti(tmp_path / "a.nii", IMAGE), key="vol")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mgz", ".npz", ".npy"])
def test_truncated_and_mistaken_files(tmp_path, suffix):
    path = str(tmp_path / ("a" + suffix))
    write_volume(path, IMAGE)
    message = refusal(read_volume, truncate(path))
    assert "`path` must be a complete, readable file" in message and path in message
    pathlib.Path(path).write_text("this is no volume")
    assert "complete, readable" in refusal(read_volume, path)


def test_missing_keys_name_those_present(tmp_path):
    path = write_npz(tmp_path / "a.npz", left=IMAGE, right=IMAGE)
    for message in (refusal(read_volume, path), refusal(read_volume, path, "vol")):
        assert "`vol`" in message and "which holds `left`, `right`" in message
    assert "`seg` or `vol_data`" in refusal(read_labels, path)
    assert "no arrays at all" in refusal(read_volume, write_npz(tmp_path / "b.npz"))


def test_pickles_are_not_executed(tmp_path):
    path = write_npz(tmp_path / "a.npz", vol=np.array([{}, None]))
    assert "complete, readable" in refusal(read_volume, path)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_voxels_that_are_not_finite(tmp_path, bad):
    image = IMAGE.copy()
    image[1, 2, 3] = image[4, 0, 0] = bad
    path = write_nifti(tmp_path / "a.nii.gz", image)
    for read in (read_volume, read_labels):
        assert "finite" in refusal(read, path) and "at voxel (1, 2, 3) and 1 others" in refusal(read, path)


def test_constant_images_but_not_constant_labels(tmp_path):
    path = write_nifti(tmp_path / "a.nii.gz", np.full((3, 4, 5), 7, np.int16))
    assert "not constant" in refusal(read_volume, path) and "7 everywhere" in refusal(read_volume, path)
    assert read_labels(path).array.max() == 7
    assert "`array` must not be constant" in refusal(scale_intensity, np.ones((3, 4)))


def test_rank_and_type(tmp_path):
    flat, volume = write_npz(tmp_path / "a.npz", vol=IMAGE[0]), write_npz(tmp_path / "b.npz", vol=IMAGE)
    assert "a 3-D image" in refusal(read_volume, flat, ndim=3) and "(6, 7)" in refusal(read_volume, flat, ndim=3)
    assert "a 2-D image" in refusal(read_volume, volume, ndim=2) and "(5, 6, 7)" in refusal(read_volume, volume, ndim=2)
    assert "2-D or 3-D" in refusal(read_volume, write_npz(tmp_path / "c.npz", vol=IMAGE[0, 0]))
    series = write_nifti(tmp_path / "series.nii", np.stack([IMAGE, IMAGE], axis=-1))
    assert "(5, 6, 7, 2)" in refusal(read_volume, series)
    assert "real numbers" in refusal(read_volume, write_npz(tmp_path / "d.npz", vol=IMAGE * 1j))
    assert "real numbers" in refusal(read_volume, write_npz(tmp_path / "e.npz", vol=IMAGE[:0]))


def test_labels_with_a_fraction_or_beyond_32_bits(tmp_path):
    labels = LABELS.astype(np.float32)
    labels[0, 1, 2] = labels[3, 3, 3] = 2.5
    message = refusal(read_labels, write_nifti(tmp_path / "a.nii", labels))
    assert "integer labels" in message and "2.5 at voxel (0, 1, 2) and 1 others" in message
    assert "32 bits" in refusal(read_labels, write_npz(tmp_path / "a.npz", seg=LABELS.astype(np.int64) << 40))
    assert "32 bits" in refusal(write_volume, tmp_path / "b.nii", LABELS.astype(np.int64) << 40)


def test_affine_without_inverse(tmp_path):
    path = str(tmp_path / "a.nii")
    image = nibabel.Nifti1Image(IMAGE, np.eye(4))
    image.header["sform_code"], image.header["srow_z"] = 1, 0
    image.to_filename(path)
    content = bytearray(pathlib.Path(path).read_bytes())
    content[312:328] = bytes(16)  # srow_z, which nibabel would not store as zero
    pathlib.Path(path).write_bytes(bytes(content))
    assert "affine that can be inverted" in refusal(read_volume, path)


def test_what_cannot_be_written(tmp_path):
    volume = Volume(IMAGE, OBLIQUE, None)
    assert "must end in" in refusal(write_volume, tmp_path / "a.png", IMAGE, volume)
    assert "shape of `like`" in refusal(write_volume, tmp_path / "a.nii", IMAGE[1:], volume)
    assert "real" in refusal(write_volume, tmp_path / "a.nii", IMAGE * 1j)
    assert "two or three axes" in refusal(write_volume, tmp_path / "a.nii", IMAGE[0, 0])
    (tmp_path / "file").write_text("no folder")
    assert "must be a folder" in refusal(write_volume, tmp_path / "file" / "a.nii", IMAGE)
    assert sorted(os.listdir(str(tmp_path))) == ["file"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = str(tmp_path / "a.nii.gz")
    write_volume(path, IMAGE)

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(nibabel, "save", fail)
    message = refusal(write_volume, path, IMAGE[:2])
    assert "folder that can be written" in message and "No space left" in message and path in message
    assert os.listdir(str(tmp_path)) == ["a.nii.gz"]
    monkeypatch.undo()
    assert read_volume(path).array.shape == (5, 6, 7)
    with pytest.raises(KeyError), written_whole(path) as temporary:
        assert temporary.endswith(".nii.gz")
        raise KeyError


@pytest.mark.parametrize("named", [{"percentile": 50}, {"percentile": 101}, {"level": 0}, {"level": 1.5}])
def test_scaling_arguments(named):
    assert "`%s` must be above" % list(named)[0] in refusal(scale_intensity, IMAGE, **named)
    assert "finite" in refusal(scale_intensity, np.array([1, np.nan]))
