"""Reading, undersampling and batches; files are written with the readers' own libraries."""

import functools
import os
import pathlib
import sys

import h5py
import nibabel
import numpy as np
import pytest
from PIL import Image

from mrlayers import sampling
from mrlayers.complexes import to_complex, to_pairs
from zoo.cascade import data
from zoo.cascade.motion import Motion
from zoo.cascade.packed import load_mask, write_mask, write_packed
from zoo.images import crop, load_images

BYTES = np.random.RandomState(0).randint(1, 256, (5, 20, 24)).astype(np.uint8)
COMPLEX = (np.random.RandomState(1).standard_normal((5, 20, 24, 2)) @ [1, 1j]).astype(np.complex64)
lines = functools.partial(sampling.cartesian_mask, (20, 24), 2, 4)
SERIES = (np.random.RandomState(2).standard_normal((5, 6, 20, 24, 2)) @ [1, 1j]).astype(np.complex64)
moving_lines = functools.partial(sampling.kt_shear_mask, (6, 20, 24), 4, 4)


def scaled(images):
    return (images / np.abs(images).max()).astype(np.complex64)


def write_hdf5(path, **arrays):
    with h5py.File(str(path), "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return str(path)


def write_folder(path, images, suffix=".png", names=None):
    path.mkdir()
    for index, image in enumerate(images):
        Image.fromarray(image).save(str(path / ((names[index] if names else str(index)) + suffix)))
    return path


def write_nifti(path, volume):
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), str(path))
    return str(path)


def truncate(path, share=0.6):
    content = pathlib.Path(str(path)).read_bytes()
    pathlib.Path(str(path)).write_bytes(content[: int(len(content) * share)])
    return str(path)


def refusal(call, *arguments, **named):
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        call(*arguments, **named)
    message = str(caught.value)
    assert " must " in message and ". Received: " in message and ". Try " in message and "\n" not in message
    return message


# --- numbers: images


@pytest.mark.parametrize("suffix", [".hdf5", ".h5"])
def test_hdf5(tmp_path, suffix):
    path = write_hdf5(tmp_path / ("set" + suffix), label=BYTES, mask=np.ones((20, 24)))
    images = load_images(path)
    assert images.dtype == np.complex64
    np.testing.assert_array_equal(images, scaled(BYTES))
    assert np.abs(images).max() == 1


def test_hdf5_with_key(tmp_path):
    path = write_hdf5(tmp_path / "set.h5", label=BYTES, other=COMPLEX)
    np.testing.assert_allclose(load_images(path, key="other"), scaled(COMPLEX), rtol=1e-6)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".TIFF"])
def test_folder_of_bytes(tmp_path, suffix):
    np.testing.assert_array_equal(load_images(write_folder(tmp_path / "set", BYTES, suffix)), scaled(BYTES))


@pytest.mark.parametrize("suffix, dtype", [(".png", np.uint16), (".tif", np.uint16), (".tif", np.float32), (".tif", np.int32)])
def test_folder_of_deeper_pixels(tmp_path, suffix, dtype):
    images = (BYTES.astype(dtype) * 200 + 77).astype(dtype)
    np.testing.assert_allclose(load_images(write_folder(tmp_path / "set", images, suffix)), scaled(images), rtol=1e-6)


def test_folder_in_natural_order_without_other_files(tmp_path):
    folder = write_folder(tmp_path / "set", BYTES, names=["slice10", "Slice2", "slice1", "slice02", "scan"])
    (folder / "readme.txt").write_text("no image")
    (folder / ".hidden.png").write_text("no image")
    np.testing.assert_array_equal(load_images(str(folder)), scaled(BYTES[[4, 2, 1, 3, 0]]))


def test_one_picture_and_its_pages(tmp_path):
    pages = [Image.fromarray(page) for page in BYTES]
    pages[0].save(str(tmp_path / "stack.tif"), save_all=True, append_images=pages[1:])
    np.testing.assert_array_equal(load_images(tmp_path / "stack.tif"), scaled(BYTES))


def test_colour_becomes_grey_by_its_luma(tmp_path):
    colour = np.zeros((1, 20, 20, 3), np.uint8)
    colour[0, :5], colour[0, 5:10, :, 0], colour[0, 10:15, :, 1], colour[0, 15:, :, 2] = 255, 255, 255, 255
    grey = load_images(write_folder(tmp_path / "set", colour))[0, [0, 5, 10, 15], 0]
    np.testing.assert_allclose(grey.real, [1, 0.299, 0.587, 0.114], atol=0.5 / 255)
    palette = tmp_path / "palette.png"
    Image.fromarray(colour[0]).convert("P", palette=Image.ADAPTIVE, colors=4).save(str(palette))
    np.testing.assert_allclose(load_images(palette)[0, [0, 5, 10, 15], 0], grey, atol=2 / 255)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float16, np.float64, np.complex64, np.complex128])
def test_npy_of_any_type(tmp_path, dtype):
    images = (COMPLEX if np.dtype(dtype).kind == "c" else BYTES // 2).astype(dtype)
    np.save(str(tmp_path / "a.npy"), images)
    np.testing.assert_allclose(load_images(tmp_path / "a.npy"), scaled(images.astype(np.complex128)), rtol=1e-6)


def test_npy_of_the_lowest_integer_and_beyond_single_precision(tmp_path):
    images = np.zeros((1, 16, 16), np.int8)
    images[0, 0, :2] = -128, 64
    np.save(str(tmp_path / "a.npy"), images)
    np.testing.assert_array_equal(load_images(tmp_path / "a.npy")[0, 0, :2], [-1, 0.5])
    np.save(str(tmp_path / "b.npy"), images * 1e200)
    np.testing.assert_array_equal(load_images(tmp_path / "b.npy")[0, 0, :2], [-1, 0.5])


def test_npy_of_one_image_and_of_pairs(tmp_path):
    np.save(str(tmp_path / "one.npy"), BYTES[0])
    np.testing.assert_array_equal(load_images(tmp_path / "one.npy"), scaled(BYTES[:1]))
    np.save(str(tmp_path / "pairs.npy"), np.stack([COMPLEX.real, COMPLEX.imag], axis=-1))
    np.testing.assert_allclose(load_images(tmp_path / "pairs.npy"), scaled(COMPLEX), rtol=1e-6)


@pytest.mark.parametrize(
    "arrays, key",
    [
        ({"anything": BYTES}, None),
        ({"mask": BYTES}, None),
        ({"chest": BYTES, "names": np.array(["a", "b"]), "spacing": np.ones(3)}, None),
        ({"label": BYTES, "mask": np.ones(BYTES.shape)}, None),
        ({"image": BYTES, "label": BYTES > 9}, "image"),
        ({"image": BYTES, "names": np.array([{}, None])}, "image"),
    ],
)
def test_npz(tmp_path, arrays, key):
    np.savez(str(tmp_path / "a.npz"), **arrays)
    np.testing.assert_array_equal(load_images(tmp_path / "a.npz", key), scaled(BYTES))


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti_slices_along_the_third_axis_without_empty_ones(tmp_path, suffix):
    volume = np.moveaxis(BYTES, 0, 2).astype(np.int16)
    volume[..., [0, 3]] = 0
    images = load_images(write_nifti(tmp_path / ("a" + suffix), volume))
    np.testing.assert_array_equal(images, scaled(BYTES[[1, 2, 4]]))


def test_complex_nifti(tmp_path):
    images = load_images(write_nifti(tmp_path / "a.nii", np.moveaxis(COMPLEX, 0, 2)))
    np.testing.assert_allclose(images, scaled(COMPLEX), rtol=1e-6)


@pytest.mark.parametrize(
    "name, shape",
    [
        ("chest/images.npz", (100, 256, 256)),
        ("chest/brain_and_masks.npz", (2, 256, 256)),
        ("isbi2012/train-volume.tif", (30, 512, 512)),
        ("templates/aal.nii.gz", (146, 181, 217)),
    ],
)
def test_real_files(shared, name, shape):
    images = load_images(shared("data/" + name))
    assert images.shape == shape and images.dtype == np.complex64
    assert np.abs(images).max() == pytest.approx(1)


def test_crop_keeps_the_middle():
    images = np.arange(7 * 10).reshape(1, 7, 10)
    np.testing.assert_array_equal(crop(images, 4), images[:, 1:5, 3:7])
    np.testing.assert_array_equal(crop(images, 3), images[:, 2:5, 4:7])
    assert crop(images, None) is images
    assert "`size` must fit" in refusal(crop, images, 8)
    assert "`size` must be an integer" in refusal(crop, images, 0)


# --- numbers: masks and packed files


@pytest.mark.parametrize("high", [1, 255])
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_mask_of_lines(tmp_path, high, dtype):
    mask = lines(seed=0)
    plane = (np.broadcast_to(mask[..., 0], (20, 24)) * high).astype(dtype)
    for stored in (plane, np.stack([plane] * 3)):
        loaded = load_mask(write_hdf5(tmp_path / "mask.hdf5", mask=stored))
        assert loaded.shape == (20, 1, 1) and loaded.dtype == np.float32
        np.testing.assert_array_equal(loaded, mask)
        os.remove(str(tmp_path / "mask.hdf5"))


def test_mask_of_columns_of_points_and_of_everything(tmp_path):
    columns = np.broadcast_to(np.arange(24) % 3 == 0, (20, 24))
    np.testing.assert_array_equal(load_mask(write_hdf5(tmp_path / "a.h5", mask=columns)), columns[:1, :, None])
    points = np.random.RandomState(0).uniform(size=(20, 24)) < 0.3
    np.testing.assert_array_equal(load_mask(write_hdf5(tmp_path / "b.h5", mask=points)), points[..., None])
    assert load_mask(write_hdf5(tmp_path / "c.h5", mask=np.ones((20, 24)))).shape == (20, 1, 1)


def test_masks_that_differ_between_images(tmp_path):
    masks = sampling.cartesian_mask((3, 20, 24), 2, 4, seed=0)
    loaded = load_mask(write_hdf5(tmp_path / "a.h5", mask=np.broadcast_to(masks[..., 0], (3, 20, 24))))
    assert loaded.shape == (3, 20, 1, 1)
    np.testing.assert_array_equal(loaded, masks)


def test_packed_as_modelzoo_reads_it(tmp_path):
    mask = np.broadcast_to(lines(seed=0)[..., 0], (20, 24))
    write_packed(tmp_path / "train.hdf5", BYTES, mask)
    with h5py.File(str(tmp_path / "train.hdf5"), "r") as file:
        assert sorted(file) == ["label", "mask"]
        assert file["label"].dtype == np.uint8 and file["mask"].dtype == np.float64
        np.testing.assert_array_equal(file["label"][()], BYTES)
        np.testing.assert_array_equal(file["mask"][()], np.stack([mask] * 5))
    np.testing.assert_array_equal(load_images(tmp_path / "train.hdf5"), scaled(BYTES))
    np.testing.assert_array_equal(load_mask(tmp_path / "train.hdf5"), lines(seed=0))
    write_mask(tmp_path / "mask.hdf5", mask)
    with h5py.File(str(tmp_path / "mask.hdf5"), "r") as file:
        assert list(file) == ["mask"] and file["mask"].shape == (20, 24) and file["mask"].dtype == np.float64
    np.testing.assert_array_equal(load_mask(tmp_path / "mask.hdf5"), lines(seed=0))


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    write_packed(tmp_path / "train.hdf5", BYTES, np.ones((20, 24)))

    def fail(*arguments, **named):
        raise OSError("disk full")

    monkeypatch.setattr(h5py.Group, "create_dataset", fail)
    with pytest.raises(OSError, match="disk full"):
        write_packed(tmp_path / "train.hdf5", BYTES[:1], np.ones((20, 24)))
    assert os.listdir(str(tmp_path)) == ["train.hdf5"]
    monkeypatch.undo()
    assert len(load_images(tmp_path / "train.hdf5")) == 5


# --- numbers: undersampling


@pytest.mark.parametrize("height, width", [(20, 24), (17, 33), (1, 5)])
@pytest.mark.parametrize("mask_axes", ["lines", "columns", "points", "each"])
def test_undersample_equals_numpy_in_double_precision(height, width, mask_axes):
    random = np.random.RandomState(0)
    images = random.standard_normal((3, height, width, 2)) @ [1, 1j]
    shape = {
        "lines": (1, height, 1, 1),
        "columns": (3, 1, width, 1),
        "points": (1, height, width, 1),
        "each": (3, height, 1, 1),
    }
    masks = (random.uniform(size=shape[mask_axes]) < 0.5).astype(np.float32)
    image, kspace = data.undersample(images, masks)
    expected = np.fft.fft2(images, norm="ortho") * masks[..., 0]
    for pairs, reference in ((kspace, expected), (image, np.fft.ifft2(expected, norm="ortho"))):
        assert pairs.dtype == np.float32 and pairs.shape == (3, height, width, 2)
        np.testing.assert_allclose(pairs, np.stack([reference.real, reference.imag], axis=-1), atol=2e-6)


@pytest.mark.parametrize("shape", [(1, 6, 20, 1, 1), (5, 1, 20, 1, 1), (5, 6, 20, 24, 1), (1, 1, 1, 24, 1), (1, 6, 1, 1, 1)])
def test_undersample_series_equals_numpy_in_double_precision(shape):
    masks = (np.random.RandomState(0).uniform(size=shape) < 0.5).astype(np.float32)
    image, kspace = data.undersample(SERIES, masks)
    expected = np.fft.fft2(SERIES.astype(complex), norm="ortho") * masks[..., 0]
    for pairs, reference in ((kspace, expected), (image, np.fft.ifft2(expected, norm="ortho"))):
        assert pairs.dtype == np.float32 and pairs.shape == (5, 6, 20, 24, 2)
        np.testing.assert_allclose(pairs, np.stack([reference.real, reference.imag], axis=-1), atol=2e-6)


def test_noise_has_the_level_that_was_asked_for_and_only_where_measured():
    images, masks = np.zeros((4, 128, 128)), sampling.cartesian_mask((4, 128, 128), 4, seed=0)
    image, kspace = data.undersample(images, masks, 0.05, np.random.RandomState(0))
    measured = np.broadcast_to(masks > 0, kspace.shape)
    assert not kspace[~measured].any()
    assert kspace[measured].std() == pytest.approx(0.05, rel=0.01)
    assert image.std() == pytest.approx(0.05 / 2, rel=0.01)  # a quarter of k-space, half the standard deviation
    again = data.undersample(images, masks, 0.05, np.random.RandomState(0))
    np.testing.assert_array_equal(again[1], kspace)


def test_pairs_there_and_back_without_a_copy():
    pairs = to_pairs(COMPLEX)
    np.testing.assert_array_equal(pairs, np.stack([COMPLEX.real, COMPLEX.imag], axis=-1))
    np.testing.assert_array_equal(to_complex(pairs), COMPLEX)
    assert np.shares_memory(pairs, COMPLEX) and np.shares_memory(to_complex(pairs), COMPLEX)
    assert to_pairs(BYTES).dtype == np.float32 and to_complex(pairs.astype(np.float64)).dtype == np.complex64
    np.testing.assert_array_equal(to_pairs(COMPLEX[:, ::2, ::-1]), pairs[:, ::2, ::-1])


# --- laws: undersampling


def test_zero_filled_image_is_a_projection_and_everything_measured_is_the_image():
    masks = sampling.cartesian_mask((5, 20, 24), 2, 4, seed=0)
    image, kspace = data.undersample(COMPLEX, masks)
    again = data.undersample(to_complex(image), masks)
    np.testing.assert_allclose(again[0], image, atol=1e-6)
    np.testing.assert_allclose(again[1], kspace, atol=1e-6)
    np.testing.assert_allclose(data.undersample(COMPLEX, np.ones((1, 1, 1, 1)))[0], to_pairs(COMPLEX), atol=1e-6)
    assert np.linalg.norm(image) == pytest.approx(np.linalg.norm(kspace), rel=1e-6)


# --- laws: batches


def batches(count=5, **named):
    named.setdefault("mask_function", lines)
    named.setdefault("batch_size", 2)
    return data.UndersampledImages(COMPLEX[np.arange(count) % 5] * (1 + np.arange(count))[:, None, None], **named)


def collect(epoch):
    """All batches of an epoch, flat: image, kspace, mask, target."""
    parts = [(inputs["image"], inputs["kspace"], inputs["mask"], target) for inputs, target in epoch]
    return [np.concatenate(part) for part in zip(*parts)]


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second))


def test_a_batch_is_what_undersample_gives():
    loader = batches(batch_size=4, mask_function=functools.partial(sampling.cartesian_mask, (20, 24), 2, 4), seed=3)
    assert loader.image_shape == (20, 24, 2) and loader.mask_shape == (20, 1, 1) and len(loader) == 1
    inputs, target = next(loader.epoch(1))
    assert sorted(inputs) == ["image", "kspace", "mask"]
    assert inputs["mask"].shape == (4, 20, 1, 1) and target.shape == (4, 20, 24, 2)
    assert {array.dtype for array in list(inputs.values()) + [target]} == {np.dtype(np.float32)}
    image, kspace = data.undersample(to_complex(target), inputs["mask"])
    np.testing.assert_allclose(inputs["image"], image, atol=1e-5)
    np.testing.assert_allclose(inputs["kspace"], kspace, atol=1e-5)


@pytest.mark.parametrize("noise_level", [0.0, 0.1])
def test_a_series_of_one_frame_is_an_image(noise_level):
    masks = lines(seed=0)[np.newaxis]
    images = data.undersample(COMPLEX, masks, noise_level, np.random.RandomState(0))
    series = data.undersample(COMPLEX[:, np.newaxis], masks[:, np.newaxis], noise_level, np.random.RandomState(0))
    assert same([part[:, 0] for part in series], images)
    loader = data.UndersampledImages(COMPLEX[:, np.newaxis], lambda seed: lines(seed=seed)[np.newaxis], noise_level=noise_level)
    images = data.UndersampledImages(COMPLEX, lines, noise_level=noise_level)
    assert same([part[:, 0] for part in collect(loader.epoch(1))], collect(images.epoch(1)))


@pytest.mark.parametrize(
    "mask_function, shape",
    [
        (moving_lines, (6, 20, 1, 1)),
        (lambda seed: lines(seed=seed)[np.newaxis], (1, 20, 1, 1)),
        (lambda seed: np.random.RandomState(seed).randint(0, 2, (6, 20, 24, 1)), (6, 20, 24, 1)),
        (lambda seed: np.random.RandomState(seed).randint(0, 2, (1, 1, 24, 1)), (1, 1, 24, 1)),
    ],
)
def test_batches_of_series(mask_function, shape):
    loader = data.UndersampledImages(SERIES, mask_function, batch_size=2, seed=3)
    assert loader.image_shape == (6, 20, 24, 2) and loader.mask_shape == shape
    for inputs, target in loader.epoch(1):
        assert inputs["image"].shape == target.shape == (2, 6, 20, 24, 2) and inputs["mask"].shape == (2,) + shape
        image, kspace = data.undersample(to_complex(target), inputs["mask"])
        np.testing.assert_allclose(inputs["image"], image, atol=1e-5)
        np.testing.assert_allclose(inputs["kspace"], kspace, atol=1e-5)


def test_same_seed_same_batches_and_another_seed_others():
    assert same(collect(batches(noise_level=0.1).epoch(2)), collect(batches(noise_level=0.1).epoch(2)))
    assert not same(collect(batches().epoch(2)), collect(batches(seed=1).epoch(2)))
    masks, other_masks = (collect(batches(seed=seed, shuffle=False).epoch(0))[2] for seed in (0, 1))
    assert not np.array_equal(masks, other_masks)


def test_an_epoch_needs_no_epoch_before_it():
    loader = batches(noise_level=0.1)
    epochs = [collect(loader.epoch(index)) for index in range(4)]
    assert same(epochs[3], collect(batches(noise_level=0.1).epoch(3)))
    assert not any(same(epochs[3], epoch) for epoch in epochs[:3])


def test_masks_and_noise_of_an_image_do_not_depend_on_the_batch():
    def by_image(batch_size):
        image, kspace, mask, target = collect(batches(6, batch_size=batch_size, noise_level=0.1).epoch(1))
        order = np.argsort(np.abs(target).max(axis=(1, 2, 3)))
        return kspace[order], mask[order], target[order]

    assert same(by_image(1), by_image(3)) and same(by_image(1), by_image(6))


def test_each_image_has_a_new_mask_in_each_epoch():
    loader = batches(batch_size=5)
    masks = np.concatenate([collect(loader.epoch(index))[2].reshape(5, 20) for index in range(6)])
    assert len(np.unique(masks, axis=0)) >= 28  # of 30; two of them may be alike by chance
    assert set(masks.sum(axis=1)) == {10}


def test_training_sees_every_image_and_drops_only_the_short_batch():
    loader = batches(5)
    assert len(loader) == 2
    seen = [np.round(np.abs(collect(loader.epoch(index))[3]).max(axis=(1, 2, 3)), 3) for index in range(12)]
    assert all(len(set(peaks)) == 4 for peaks in seen)
    assert len(set(np.concatenate(seen))) == 5
    assert len({tuple(peaks) for peaks in seen}) > 6


def test_training_keeps_the_only_batch_and_batches_of_one():
    assert len(batches(3, batch_size=4)) == 1 and len(collect(batches(3, batch_size=4).epoch(0))[0]) == 3
    assert len(batches(5, batch_size=1)) == 5 and next(batches(5, batch_size=1).epoch(0))[1].shape == (1, 20, 24, 2)
    assert len(batches(4, batch_size=2)) == 2


def test_validation_keeps_all_images_their_order_and_their_masks():
    loader = batches(5, shuffle=False, noise_level=0.1)
    first, later = collect(loader.epoch(0)), collect(loader.epoch(7))
    assert len(loader) == 3 and [len(target) for _, target in loader.epoch(0)] == [2, 2, 1]
    assert same(first, later)
    np.testing.assert_array_equal(to_complex(first[3]), loader.images)


def test_batches_belong_to_the_caller():
    loader = batches(shuffle=False)
    before = collect(loader.epoch(0))
    for inputs, target in loader.epoch(0):
        for array in list(inputs.values()) + [target]:
            array[...] = 7
    assert same(before, collect(loader.epoch(0)))
    source = COMPLEX.copy()
    loader = data.UndersampledImages(source, lines, shuffle=False)
    source[...] = 0
    assert np.any(collect(loader.epoch(0))[3])


# --- laws: augmentation


def shifted(image, random):
    """An augmentation that can be recognised, and that writes to what it is given."""
    image *= random.uniform(1, 2)
    return image


@pytest.mark.parametrize("images, mask_function", [(COMPLEX, lines), (SERIES, moving_lines)])
def test_kspace_is_made_of_what_the_augmentation_gives(images, mask_function):
    for augmentation in (shifted, Motion(), lambda image, random: image[..., ::-1].astype(complex)):
        loader = data.UndersampledImages(images, mask_function, batch_size=5, augmentation=augmentation)
        inputs, target = next(loader.epoch(1))
        assert target.dtype == np.float32 and target.shape == images.shape + (2,)
        image, kspace = data.undersample(to_complex(target), inputs["mask"])
        np.testing.assert_allclose(inputs["image"], image, atol=1e-5)
        np.testing.assert_allclose(inputs["kspace"], kspace, atol=1e-5)
        plain = next(data.UndersampledImages(images, mask_function, batch_size=5).epoch(1))
        np.testing.assert_array_equal(inputs["mask"], plain[0]["mask"])
        assert all(np.abs(a - b).max() > 0.1 for a, b in zip(target, plain[1]))
        np.testing.assert_array_equal(loader.images, images)


def test_augmentation_depends_on_seed_epoch_and_image_only():
    def factors(seed, epoch, batch_size):
        loader = data.UndersampledImages(COMPLEX, lines, batch_size, seed, augmentation=shifted)
        targets = collect(loader.epoch(epoch))[3]
        plain = collect(data.UndersampledImages(COMPLEX, lines, batch_size, seed).epoch(epoch))[3]
        norms = np.linalg.norm(to_complex(plain), axis=(1, 2))
        return (np.linalg.norm(to_complex(targets), axis=(1, 2)) / norms)[np.argsort(norms)]

    first = factors(0, 2, 5)
    assert len(set(np.round(first, 4))) == 5 and 1 <= first.min() and first.max() <= 2
    np.testing.assert_allclose(factors(0, 2, 1), first, rtol=1e-6)
    assert np.abs(factors(0, 3, 5) - first).min() > 1e-4 and np.abs(factors(1, 2, 5) - first).min() > 1e-4
    expected = [np.random.RandomState([0, 2, index, 2]).uniform(1, 2) for index in range(5)]
    np.testing.assert_allclose(sorted(first), sorted(expected), rtol=1e-5)  # a frozen stream: a resumed run gets the same


def test_validation_is_never_augmented():
    loader, plain = (batches(shuffle=False, augmentation=augmentation) for augmentation in (shifted, None))
    assert same(collect(loader.epoch(0)), collect(plain.epoch(0)))


@pytest.mark.parametrize("height, width", [(17, 33), (33, 16)])
@pytest.mark.parametrize("axes", [(0, 1), (0,), (1,)])
def test_odd_sizes_and_every_kind_of_mask(height, width, axes):
    shape = tuple(size if axis in axes else 1 for axis, size in enumerate((height, width))) + (1,)

    def mask_function(seed):
        return np.random.RandomState(seed).randint(0, 2, shape)

    images = np.random.RandomState(0).standard_normal((3, height, width))
    inputs, target = next(data.UndersampledImages(images, mask_function, 3).epoch(0))
    assert inputs["mask"].shape == (3,) + shape and inputs["mask"].dtype == np.float32
    expected = np.fft.fft2(to_complex(target), norm="ortho") * inputs["mask"][..., 0]
    np.testing.assert_allclose(to_complex(inputs["kspace"]), expected, atol=1e-5)


# --- refusals: images


def test_refuses_a_missing_path(tmp_path):
    with pytest.raises(FileNotFoundError, match="`path` must exist. Received: .*nothing.npy"):
        load_images(tmp_path / "nothing.npy")
    with pytest.raises(FileNotFoundError, match="`path` must exist. Received: .*nothing.h5"):
        load_mask(tmp_path / "nothing.h5")


def test_refuses_an_unknown_extension(tmp_path):
    (tmp_path / "a.dcm").write_text("")
    message = refusal(load_images, tmp_path / "a.dcm")
    assert "a.dcm" in message and ".nii.gz" in message


def test_refuses_a_missing_key_and_names_those_present(tmp_path):
    path = write_hdf5(tmp_path / "a.h5", image=BYTES, mask=np.ones((20, 24)))
    message = refusal(load_images, path)
    assert "`label`" in message and "image, mask" in message and path in message
    with h5py.File(path, "a") as file:
        file.create_group("label")
    assert "`label`" in refusal(load_images, path)
    assert "`mask`" in refusal(load_mask, write_hdf5(tmp_path / "b.h5", label=BYTES))
    assert "no keys at all" in refusal(load_images, write_hdf5(tmp_path / "c.h5"))


def test_refuses_to_choose_between_arrays(tmp_path):
    np.savez(str(tmp_path / "a.npz"), image=BYTES, label=BYTES)
    for key in (None, "images"):
        message = refusal(load_images, tmp_path / "a.npz", key)
        assert "image (5, 20, 24), label (5, 20, 24)" in message and "a.npz" in message
    np.savez(str(tmp_path / "b.npz"))
    assert "no arrays at all" in refusal(load_images, tmp_path / "b.npz")


def test_refuses_a_key_where_there_are_none(tmp_path):
    np.save(str(tmp_path / "a.npy"), BYTES)
    assert "`key` must be None" in refusal(load_images, tmp_path / "a.npy", "label")
    assert "`key` must be None" in refusal(load_images, tmp_path, "label")


def test_refuses_a_folder_without_images(tmp_path):
    (tmp_path / "a.txt").write_text("")
    message = refusal(load_images, tmp_path)
    assert str(tmp_path) in message and ".png" in message


def test_refuses_mixed_sizes_and_names_both_files(tmp_path):
    folder = write_folder(tmp_path / "set", [BYTES[0], BYTES[1], BYTES[2, :, :20]])
    message = refusal(load_images, folder)
    assert "0.png with 20x24 pixels" in message and "2.png with 20x20 pixels" in message


def test_refuses_mixed_depths(tmp_path):
    folder = write_folder(tmp_path / "set", [BYTES[0], BYTES[1].astype(np.uint16)])
    message = refusal(load_images, folder)
    assert "0.png with 20x24 pixels of uint8 and" in message and "1.png" in message


def test_refuses_truncated_files(tmp_path):
    noise = np.random.RandomState(0).randint(1, 256, (40, 64, 64)).astype(np.uint8)
    np.save(str(tmp_path / "a.npy"), noise)
    np.savez(str(tmp_path / "a.npz"), noise)
    np.savez_compressed(str(tmp_path / "b.npz"), noise)
    write_hdf5(tmp_path / "a.hdf5", label=noise)
    write_nifti(tmp_path / "a.nii", noise)
    write_nifti(tmp_path / "a.nii.gz", noise)
    for suffix in (".png", ".bmp", ".tif"):
        Image.fromarray(noise[0]).save(str(tmp_path / ("a" + suffix)))
    for path in sorted(tmp_path.iterdir()):
        assert len(load_images(path))
        truncate(path)
        message = refusal(load_images, path)
        assert "complete, readable file" in message and str(path) in message
    folder = write_folder(tmp_path / "set", noise[:3])
    truncate(folder / "1.png")
    assert "1.png" in refusal(load_images, folder)
    assert "a.hdf5" in refusal(load_mask, tmp_path / "a.hdf5")


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.hdf5", "a.nii", "a.nii.gz", "a.png", "a.bmp", "a.tif"])
@pytest.mark.parametrize("content", [b"", b"this is no image at all"])
def test_refuses_files_that_are_something_else(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert name in refusal(load_images, tmp_path / name)


class Pickled:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_refuses_pickles_without_running_them(tmp_path):
    np.save(str(tmp_path / "a.npy"), np.array([Pickled(str(tmp_path / "run"))]), allow_pickle=True)
    np.savez(str(tmp_path / "a.npz"), images=np.array([Pickled(str(tmp_path / "run"))]))
    for name in ("a.npy", "a.npz"):
        assert name in refusal(load_images, tmp_path / name)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, complex(0, np.nan)])
def test_refuses_pixels_that_are_not_finite(tmp_path, value):
    images = COMPLEX.copy()
    images[[2, 4], 3, 5] = value
    np.save(str(tmp_path / "a.npy"), images)
    message = refusal(load_images, tmp_path / "a.npy")
    assert "a.npy" in message and "image 2 and 1 others" in message


def test_leaves_out_images_that_are_zero_everywhere(tmp_path):
    images = np.stack([np.zeros((16, 16)), np.eye(16), np.zeros((16, 16))])
    np.save(str(tmp_path / "a.npy"), images)
    np.testing.assert_array_equal(load_images(str(tmp_path / "a.npy")), images[1:2])


def test_refuses_nothing_but_zeros(tmp_path):
    np.save(str(tmp_path / "a.npy"), np.zeros((2, 16, 16)))
    np.save(str(tmp_path / "b.npy"), np.zeros((0, 16, 16)))
    write_nifti(tmp_path / "c.nii", np.zeros((16, 16, 3), np.uint8))
    for name in ("a.npy", "b.npy", "c.nii"):
        message = refusal(load_images, tmp_path / name)
        assert "not zero everywhere" in message and name in message


@pytest.mark.parametrize(
    "array",
    [np.ones(shape) for shape in [(9,), (5, 20, 24, 3), (20, 24, 2), (2, 15, 24), (2, 2, 20, 24, 2), ()]]
    + [np.full((16, 16), "a"), np.ones((5, 20, 24, 2), complex)],
)
def test_refuses_other_shapes_and_types(tmp_path, array):
    np.save(str(tmp_path / "a.npy"), array)
    message = refusal(load_images, tmp_path / "a.npy")
    assert "(n, height, width)" in message and str(array.shape) in message and "a.npy" in message


@pytest.mark.parametrize("shape", [(16, 16), (16, 16, 3, 2)])
def test_refuses_nifti_that_is_not_3d(tmp_path, shape):
    message = refusal(load_images, write_nifti(tmp_path / "a.nii", np.ones(shape, np.float32)))
    assert "3-D volume" in message and str(shape) in message and "slicer" in message


@pytest.mark.parametrize("name, module", [("a.png", "PIL.Image"), ("a.hdf5", "h5py"), ("a.nii", "nibabel")])
def test_refuses_when_the_reader_is_missing(tmp_path, monkeypatch, name, module):
    (tmp_path / name).write_bytes(b"")
    monkeypatch.setitem(sys.modules, module, None)
    assert "`pip install %s`" % {"PIL.Image": "pillow"}.get(module, module) in refusal(load_images, tmp_path / name)


# --- refusals: masks, packed files, undersampling


@pytest.mark.parametrize(
    "mask", [np.zeros((20, 24)), np.arange(480).reshape(20, 24), np.full((2, 20, 24), np.nan), -np.eye(20)]
)
def test_refuses_masks_without_two_values(tmp_path, mask):
    assert "two values" in refusal(load_mask, write_hdf5(tmp_path / "a.h5", mask=mask))


@pytest.mark.parametrize("mask", [np.ones(20), np.ones((1, 2, 20, 24)), np.ones((20, 24), complex), 1.0, np.ones((0, 24))])
def test_refuses_masks_of_other_shapes(tmp_path, mask):
    assert "(n, height, width) or (height, width)" in refusal(load_mask, write_hdf5(tmp_path / "a.h5", mask=mask))


@pytest.mark.parametrize(
    "name, images, mask, expected",
    [
        ("a.hdf5", BYTES.astype(float), np.ones((20, 24)), "`images` must be uint8"),
        ("a.hdf5", BYTES[0], np.ones((20, 24)), "`images` must be uint8"),
        ("a.hdf5", BYTES, np.ones((24, 20)), r"`mask` must be (20, 24)"),
        ("a.hdf5", BYTES, np.ones((20, 1, 1)), "`mask` must be (height, width)"),
        ("a.hdf5", BYTES, np.full((20, 24), 255), "`mask` must be (height, width)"),
        ("a.npz", BYTES, np.ones((20, 24)), "`path` must end in .hdf5"),
    ],
)
def test_refuses_to_pack(tmp_path, name, images, mask, expected):
    assert expected in refusal(write_packed, tmp_path / name, images, mask)
    assert not os.listdir(str(tmp_path))


def test_refuses_to_undersample():
    masks = np.ones((1, 20, 1, 1))
    assert "`images` must be (n, height, width)" in refusal(data.undersample, to_pairs(COMPLEX), masks)
    for shape in [(20, 1, 1), (1, 20, 24), (2, 20, 1, 1), (1, 19, 1, 1), (1, 20, 24, 2)]:
        message = refusal(data.undersample, COMPLEX, np.ones(shape))
        assert "`masks` must be" in message and str(shape) in message
    for noise_level in (-0.1, np.nan, np.inf):
        assert "`noise_level` must be" in refusal(data.undersample, COMPLEX, masks, noise_level, np.random.RandomState(0))
    assert "`random` must be" in refusal(data.undersample, COMPLEX, masks, 0.1)
    assert "`pairs` must be" in refusal(to_complex, COMPLEX[..., :2])
    assert "`pairs` must be" in refusal(to_complex, np.ones((4, 3)))


def test_refuses_masks_of_another_number_of_frames():
    message = refusal(data.undersample, SERIES, np.ones((1, 5, 20, 1, 1)))
    assert "`masks` must" in message and "6 frames" in message and "5 masks" in message
    longer = functools.partial(sampling.kt_shear_mask, (8, 20, 24), 4, 4)
    message = refusal(data.UndersampledImages, SERIES, longer)
    assert "`mask_function` must" in message and "6 frames" in message and "8 masks" in message


def test_refuses_other_shapes_for_series():
    assert "`images` must be" in refusal(data.undersample, to_pairs(SERIES), np.ones((1, 1, 1, 1, 1)))
    for shape in [(1, 20, 1, 1), (6, 20, 1, 1), (1, 6, 19, 1, 1), (2, 6, 20, 1, 1), (1, 6, 20, 24)]:
        message = refusal(data.undersample, SERIES, np.ones(shape))
        assert "`masks` must be (n or 1, time or 1, height or 1, width or 1, 1)" in message and str(shape) in message
    for shape in [(20, 1, 1), (6, 1, 1, 1), (6, 19, 1, 1)]:
        message = refusal(data.UndersampledImages, SERIES, lambda seed: np.ones(shape))
        assert "(6, 20, 1, 1) or" in message and "(1, 20, 1, 1)" in message and "shape " + str(shape) in message


def test_refuses_an_augmentation_that_changes_the_shape():
    loader = batches(augmentation=lambda image, random: image[:-1])
    message = refusal(next, loader.epoch(0))
    assert "`augmentation` must keep the shape (20, 24)" in message and "(19, 24)" in message


@pytest.mark.parametrize(
    "name, value",
    [
        ("augmentation", "flips"),
        ("images", to_pairs(SERIES)),
        ("images", SERIES[np.newaxis]),
        ("batch_size", 0),
        ("batch_size", 2.0),
        ("seed", -1),
        ("seed", None),
        ("noise_level", -1),
        ("mask_function", np.ones((20, 1, 1))),
        ("mask_function", lambda seed: np.ones((24, 1, 1))),
        ("mask_function", lambda seed: np.ones((1, 20, 1, 1))),
        ("mask_function", lambda seed: np.full((20, 1, 1), 0.5)),
        ("mask_function", lambda seed: np.full((20, 1, 1), np.nan)),
        ("images", to_pairs(COMPLEX)),
        ("images", np.full((1, 20, 24), np.nan)),
        ("images", np.ones((0, 20, 24))),
    ],
)
def test_refuses_arguments_of_the_loader(name, value):
    arguments = dict({"images": COMPLEX, "mask_function": lines}, **{name: value})
    assert "`%s` must " % name in refusal(data.UndersampledImages, **arguments)


def test_refuses_a_mask_function_that_changes_its_mind_and_an_epoch_below_zero():
    shapes = {0: (20, 1, 1), 1: (20, 24, 1)}
    loader = data.UndersampledImages(COMPLEX, lambda seed: np.ones(shapes[seed[1]]), 2)
    assert len(collect(loader.epoch(0))[0]) == 4
    assert "`mask_function` must" in refusal(next, loader.epoch(1))
    assert "`index` must be" in refusal(loader.epoch, -1)


def test_lines_of_frames():
    drawn = data.lines_of_frames("random", (6, 20, 24), 2.5, 4)(seed=[1, 2])
    np.testing.assert_array_equal(drawn, sampling.cartesian_mask((6, 20, 24), 2.5, 4, seed=[1, 2]))
    lattice = data.lines_of_frames("shear", (6, 20, 24), 4.0, 2)(seed=3)
    np.testing.assert_array_equal(lattice, sampling.kt_shear_mask((6, 20, 24), 4, 2, seed=3))
    with pytest.raises(ValueError, match="`pattern` must be one of 'random', 'shear'. Received: 'spiral'"):
        data.lines_of_frames("spiral", (6, 20, 24), 4, 2)
    for acceleration in (2.5, float("nan"), float("inf")):
        message = refusal(data.lines_of_frames, "shear", (6, 20, 24), acceleration, 2)
        assert "`acceleration` must be a whole number for a lattice" in message
