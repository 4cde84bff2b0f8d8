"""Reading, checking and batching of images with labels; files are written with the readers' own libraries."""

import os
import threading
import warnings

import nibabel
import numpy as np
import pytest
from PIL import Image

from zoo.unet.augmentation import Augmentation
from zoo.unet.cells import random_cells
from zoo.unet.data import SegmentationBatches, tile_corners, to_input
from zoo.unet.reading import Examples, load_examples, load_images, make_examples, resize, scale_pixels

RANDOM = np.random.RandomState(0)
BYTES = RANDOM.randint(0, 256, (5, 20, 24)).astype(np.uint8)
CLASSES = RANDOM.randint(0, 3, (5, 20, 24)).astype(np.uint8)
MASKS = (CLASSES > 0).astype(np.uint8) * 255


def write_pages(path, pages, **named):
    pictures = [Image.fromarray(page) for page in pages]
    pictures[0].save(str(path), save_all=True, append_images=pictures[1:], **named)
    return str(path)


def write_folder(path, pages, suffix=".png", name="%d"):
    path.mkdir()
    for index, page in enumerate(pages):
        Image.fromarray(page).save(str(path / (name % index + suffix)))
    return str(path)


def write_nifti(path, volume, affine=None):
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4) if affine is None else affine), str(path))
    return str(path)


def refusal(call, *arguments, **named):
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        call(*arguments, **named)
    message = str(caught.value)
    assert " must " in message and ". Received: " in message and ". Try " in message and "\n" not in message
    return message


def equal(examples, images, labels, num_classes):
    assert isinstance(examples, Examples) and examples.num_classes == num_classes
    assert len(examples.images) == len(examples.labels) == len(examples.names) == len(images)
    for image, label, expected, expected_label in zip(examples.images, examples.labels, images, labels):
        assert image.dtype == np.float32 and label.dtype == np.uint8
        np.testing.assert_allclose(image, expected, atol=1e-6)
        np.testing.assert_array_equal(label, expected_label)


# --- numbers: reading


@pytest.mark.parametrize("compression", [None, "tiff_deflate", "tiff_lzw"])
def test_isbi_folder(tmp_path, compression):
    write_pages(tmp_path / "train-volume.tif", BYTES, compression=compression)
    write_pages(tmp_path / "train-labels.tif", MASKS, compression=compression)
    examples = load_examples(tmp_path)
    equal(examples, BYTES[..., None] / 255, MASKS == 255, 2)
    assert examples.names[3] == "train-volume.tif[3]"
    equal(load_examples(tmp_path, ndim=3), [BYTES[..., None] / 255], [MASKS == 255], 2)


@pytest.mark.parametrize("suffix, label_suffix", [(".png", ".png"), (".tif", ".png"), (".png", ".TIFF"), (".bmp", ".bmp")])
def test_folders_of_pairs(tmp_path, suffix, label_suffix):
    images = write_folder(tmp_path / "images", BYTES, suffix, "cell_%d")
    labels = write_folder(tmp_path / "masks", CLASSES, label_suffix, "cell_%d_seg")
    examples = load_examples(images, labels)
    equal(examples, BYTES[..., None] / 255, CLASSES, 3)
    assert examples.names == ["cell_%d%s" % (index, suffix) for index in range(5)]


def test_pages_palettes_and_bits(tmp_path):
    write_pages(tmp_path / "a.tif", BYTES)
    palette = Image.fromarray(CLASSES[0])
    palette.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200])
    palette.save(str(tmp_path / "palette.png"))
    Image.fromarray(BYTES[0]).save(str(tmp_path / "image.png"))
    Image.fromarray(MASKS[0]).convert("1").save(str(tmp_path / "bits.png"))
    equal(load_examples(tmp_path / "image.png", tmp_path / "palette.png"), BYTES[:1, ..., None] / 255, CLASSES[:1], 3)
    equal(load_examples(tmp_path / "image.png", tmp_path / "bits.png"), BYTES[:1, ..., None] / 255, MASKS[:1] > 0, 2)
    images, names = load_images(tmp_path / "a.tif")
    np.testing.assert_allclose(images, BYTES[..., None] / 255, atol=1e-6)
    assert names == ["a.tif[%d]" % page for page in range(5)]


def test_colour_is_kept_and_transparency_is_not(tmp_path):
    colour = RANDOM.randint(0, 256, (20, 24, 4)).astype(np.uint8)
    for channels in (3, 4):
        Image.fromarray(colour[..., :channels]).save(str(tmp_path / "image.png"))
        np.testing.assert_allclose(load_images(tmp_path / "image.png")[0][0], colour[..., :3] / 255, atol=1e-6)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti_as_slices_and_as_volumes(tmp_path, suffix):
    os.mkdir(str(tmp_path / "images"))
    os.mkdir(str(tmp_path / "labels"))
    volume = np.moveaxis(BYTES, 0, 2).astype(np.int16) * 7
    affine = np.diag([2.0, 2, 3, 1])
    for index in range(2):
        write_nifti(tmp_path / "images" / ("s%d%s" % (index, suffix)), volume[:, index:], affine)
        write_nifti(tmp_path / "labels" / ("s%d%s" % (index, suffix)), np.moveaxis(CLASSES, 0, 2)[:, index:], affine)
    volumes = load_examples(tmp_path / "images", tmp_path / "labels", ndim=3)
    assert [image.shape for image in volumes.images] == [(20, 24, 5, 1), (20, 23, 5, 1)]
    assert volumes.images[0].min() == 0 and volumes.images[0].max() == 1
    np.testing.assert_array_equal(volumes.labels[1], np.moveaxis(CLASSES, 0, 2)[:, 1:])
    slices = load_examples(tmp_path / "images", tmp_path / "labels")
    assert len(slices.images) == 10 and slices.names[7] == "s1%s[2]" % suffix
    np.testing.assert_array_equal(slices.images[3], volumes.images[0][:, :, 3])
    np.testing.assert_array_equal(slices.labels[7], CLASSES[2, :, 1:])


@pytest.mark.parametrize("keys", [("image", "label"), ("images", "masks"), ("vol", "seg")])
def test_npz(tmp_path, keys):
    np.savez(str(tmp_path / "a.npz"), names=np.array(list("abcde")), **dict(zip(keys, (BYTES, CLASSES))))
    examples = load_examples(tmp_path / "a.npz")
    equal(examples, BYTES[..., None] / 255, CLASSES, 3)
    assert examples.names == list("abcde")
    equal(load_examples(tmp_path / "a.npz", ndim=3), [BYTES[..., None] / 255], [CLASSES], 3)


@pytest.mark.parametrize(
    "name, count, shape, share", [("isbi2012", 30, (512, 512, 1), 0.780369), ("sunnybrook/train.npz", 263, (256, 256, 1), None)]
)
def test_real_files(shared, name, count, shape, share):
    examples = load_examples(shared("data/" + name))
    assert len(examples.images) == count and {image.shape for image in examples.images} == {shape}
    assert examples.num_classes == 2
    assert share is None or np.mean(examples.labels) == pytest.approx(share, abs=1e-6)


@pytest.mark.parametrize(
    "dtype, array, expected",
    [
        (np.uint8, [0, 51, 255], [0, 0.2, 1]),
        (np.bool_, [0, 1], [0, 1]),
        (np.float64, [0, 0.25, 0.3], [0, 0.25, 0.3]),
        (np.uint16, [0, 1000, 4000], [0, 0.25, 1]),
        (np.float32, [-2, 0, 2], [0, 0.5, 1]),
    ],
)
def test_scale_pixels(dtype, array, expected):
    scaled = scale_pixels(np.array(array, dtype))
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, expected, atol=2e-3)
    np.testing.assert_array_equal(scale_pixels(scaled), scaled)


# --- numbers: coding of labels


@pytest.mark.parametrize(
    "labels, num_classes, expected, count",
    [
        ([0, 255], None, [0, 1], 2),
        ([0, 255], 2, [0, 1], 2),
        ([0, 1], None, [0, 1], 2),
        ([False, True], None, [0, 1], 2),
        ([0.0, 1.0, 2.0], None, [0, 1, 2], 3),
        ([0, 4], 5, [0, 4], 5),
        ([1, 2], 3, [1, 2], 3),
        ([0, 255], 256, [0, 255], 256),
    ],
)
def test_codings(labels, num_classes, expected, count):
    labels = np.resize(np.array(labels), (1, 8, 9))
    examples = make_examples(np.zeros((1, 8, 9)), labels, num_classes)
    assert examples.num_classes == count and examples.labels[0].dtype == np.uint8
    np.testing.assert_array_equal(examples.labels[0], np.resize(expected, (8, 9)))


@pytest.mark.parametrize("value, expected", [(0, 0), (1, 1), (255, 1)])
def test_one_class_only_is_warned_of(value, expected):
    labels = np.full((3, 8, 9), value)
    labels[1, 0, 0] = 255 if value == 0 else 0
    with pytest.warns(UserWarning, match="2 of 3 labels hold one class only, the first is 0"):
        examples = make_examples(np.zeros((3, 8, 9)), labels)
    assert examples.num_classes == 2 and set(examples.labels[2].ravel()) == {expected}
    with pytest.warns(UserWarning, match="1 of 1"):
        assert make_examples(np.zeros((1, 8, 9)), labels[:1]).num_classes == 2


def test_a_class_that_only_some_images_have_does_not_matter():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert make_examples(BYTES, np.where(np.arange(5)[:, None, None] == 3, CLASSES, CLASSES > 0)).num_classes == 3


# --- numbers: select, resize, tiles


def test_select():
    examples = make_examples(BYTES, CLASSES, names="abcde").select([3, 1])
    assert examples.names == ["d", "b"] and examples.num_classes == 3
    np.testing.assert_array_equal(examples.labels, CLASSES[[3, 1]])


def test_resize_keeps_corners_and_follows_ramps():
    ramp = np.broadcast_to((np.arange(16) + 0.5) / 16, (1, 8, 16))
    examples = make_examples(ramp, (ramp > 0.5).astype(int))
    for shape in ((8, 32), (16, 8), (5, 11)):
        small = resize(examples, shape)
        assert small.images[0].shape == shape + (1,) and small.labels[0].shape == shape
        expected = (np.arange(shape[1]) + 0.5) / shape[1]
        np.testing.assert_allclose(small.images[0][2, 2:-2, 0], expected[2:-2], atol=1e-4)
        agree = small.labels[0] == (expected > 0.5)
        assert agree[:, np.abs(expected - 0.5) > 0.5 / 16].all()
    same = resize(examples, (8, 16))
    assert np.array_equal(same.images, examples.images) and np.array_equal(same.labels, examples.labels)


@pytest.mark.parametrize(
    "length, size, expected",
    [(512, 388, [0, 124]), (512, 256, [0, 256]), (388, 388, [0]), (10, 4, [0, 3, 6]), (9, 4, [0, 2, 5])],
)
def test_tiles(length, size, expected):
    assert tile_corners(length, size) == expected
    assert all(second - first <= size for first, second in zip(expected, expected[1:])) and expected[-1] + size == length


# --- laws: batches


def batches(count=5, augmentation=None, **named):
    named.setdefault("batch_size", 2)
    examples = make_examples(BYTES[np.arange(count) % 5], CLASSES[np.arange(count) % 5], num_classes=3)
    return SegmentationBatches(examples, augmentation=augmentation, **named)


def collect(epoch):
    return [np.concatenate(part) for part in zip(*epoch)]


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second))


def which(inputs):
    """The index of each whole, unchanged image."""
    return [int(np.flatnonzero([np.allclose(image, to_input(each / 255)) for each in BYTES])[0]) for image in inputs[..., 0]]


def test_validation_is_all_images_in_order_and_unchanged():
    loader = batches(shuffle=False)
    inputs, targets = collect(loader.epoch(0))
    assert len(loader) == 3 and [len(target) for _, target in loader.epoch(0)] == [2, 2, 1]
    assert loader.input_shape == (20, 24, 1) and loader.target_shape == (20, 24, 3)
    assert inputs.dtype == targets.dtype == np.float32
    np.testing.assert_allclose(inputs[..., 0], BYTES / 127.5 - 1, atol=1e-6)
    np.testing.assert_array_equal(targets, CLASSES[..., None] == np.arange(3))
    assert same((inputs, targets), collect(loader.epoch(7)))


@pytest.mark.parametrize("padding, outside", [("mirror", None), ("zero", 0)])
def test_validation_covers_images_with_tiles_and_their_neighbourhood(padding, outside):
    loader = batches(1, shuffle=False, size=(13, 24), margin=4, padding=padding)
    inputs, targets = collect(loader.epoch(0))
    assert loader.input_shape == (21, 32, 1) and targets.shape == (2, 13, 24, 3)
    how = dict(mode="reflect") if outside is None else dict(mode="constant", constant_values=outside)
    padded = np.pad(BYTES[0] / 127.5 - 1, 4, **how)
    np.testing.assert_allclose(inputs[..., 0], [padded[:21], padded[7:]], atol=1e-6)
    np.testing.assert_array_equal(targets.argmax(axis=-1), [CLASSES[0, :13], CLASSES[0, 7:]])


def test_training_sees_every_image_before_any_comes_again():
    loader = batches(5)
    assert len(loader) == 2
    row = sum((which(collect(loader.epoch(index))[0]) for index in range(5)), [])
    assert len(row) == 20 and all(sorted(row[start : start + 5]) == list(range(5)) for start in range(0, 20, 5))
    assert len({tuple(row[start : start + 5]) for start in range(0, 20, 5)}) > 1
    assert len(batches(3, batch_size=4)) == 1 and len(next(batches(3, batch_size=4).epoch(0))[0]) == 4


def test_steps_only_divide_the_row():
    rows = [
        sum((which(collect(batches(5, steps=steps).epoch(index))[0]) for index in range(12 // steps)), [])
        for steps in (1, 3, 12)
    ]
    assert rows[0] == rows[1] == rows[2] and len(batches(5, steps=12)) == 12


@pytest.mark.parametrize("augmentation", [None, Augmentation()])
def test_same_seed_same_batches_in_any_order(augmentation):
    loader = batches(seed=3, size=9, margin=2, augmentation=augmentation)
    epochs = [collect(loader.epoch(index)) for index in range(4)]
    assert same(epochs[3], collect(batches(seed=3, size=9, margin=2, augmentation=augmentation).epoch(3)))
    assert same(epochs[1], collect(loader.epoch(1))) and same(epochs[0], collect(loader.epoch(0)))
    assert not any(same(epochs[3], epoch) for epoch in epochs[:3])
    assert not same(epochs[0], collect(batches(seed=4, size=9, margin=2, augmentation=augmentation).epoch(0)))


def test_every_epoch_and_every_position_changes_an_image_anew():
    loader = batches(1, augmentation=Augmentation(), steps=2)
    images = np.concatenate([collect(loader.epoch(index))[0] for index in range(3)])
    assert len(np.unique(images.reshape(12, -1), axis=0)) == 12


def test_patches_lie_anywhere_in_their_image():
    examples = make_examples([np.arange(20 * 24).reshape(20, 24) / 480.0], [CLASSES[0]], 3)
    loader = SegmentationBatches(examples, 200, size=(17, 20))
    corners = {int(round((image[0, 0, 0] + 1) * 240)) for image in next(loader.epoch(0))[0]}
    assert corners == {row * 24 + column for row in range(4) for column in range(5)}


def test_augmented_labels_follow_their_image():
    """Interior is bright where membranes are as white as interior is in the labels."""
    labels = random_cells(2, (48, 48))[1]
    loader = SegmentationBatches(
        make_examples(labels.astype(float), labels), size=32, margin=8, augmentation=Augmentation(gamma=0, brightness=0)
    )
    inputs, targets = next(loader.epoch(0))
    agreement = ((inputs[:, 8:-8, 8:-8, 0] > 0) == (targets[..., 1] > 0)).mean()
    assert inputs.shape == (4, 48, 48, 1) and agreement > 0.95


def test_three_dimensions():
    examples = make_examples([BYTES, BYTES[:, :18]], [CLASSES, CLASSES[:, :18]])
    loader = SegmentationBatches(examples, 2, size=(4, 16, 20), margin=3, augmentation=Augmentation(crop=0.1))
    inputs, targets = next(loader.epoch(0))
    assert inputs.shape == (2,) + loader.input_shape == (2, 10, 22, 26, 1)
    assert targets.shape == (2,) + loader.target_shape == (2, 4, 16, 20, 3)
    np.testing.assert_array_equal(targets.sum(axis=-1), 1)


def test_batches_belong_to_the_caller():
    for augmentation, shuffle in ((None, False), (None, True), (Augmentation(), True)):
        loader = batches(shuffle=shuffle, augmentation=augmentation)
        before = collect(loader.epoch(0))
        for inputs, targets in loader.epoch(0):
            inputs[...], targets[...] = 7, 7
        assert same(before, collect(loader.epoch(0)))


# --- laws: threads


@pytest.mark.parametrize("workers", [0, 2, 5])
def test_workers_change_nothing(workers):
    loaders = [batches(augmentation=Augmentation(), steps=4, workers=number) for number in (1, workers)]
    for index in (0, 1, 5, 2):
        assert same(*(collect(loader.epoch(index)) for loader in loaders))


def test_stopping_early_and_mixing_epochs_changes_nothing():
    loader = batches(augmentation=Augmentation(), steps=4)
    whole = [collect(loader.epoch(index)) for index in range(2)]
    stopped = loader.epoch(0)
    next(stopped)
    stopped.close()
    mixed = list(zip(loader.epoch(0), loader.epoch(1)))
    assert same(whole[0], collect([first for first, _ in mixed])) and same(whole[1], collect([second for _, second in mixed]))
    before = np.random.get_state()[1].tolist()
    next(loader.epoch(0))
    assert np.random.get_state()[1].tolist() == before


class Watched(Augmentation):
    def __init__(self, gate):
        super().__init__()
        self.threads, self.calls, self.gate = set(), 0, gate

    def __call__(self, *arguments):
        assert self.gate.wait(10)
        self.threads.add(threading.current_thread())
        self.calls += 1
        return super().__call__(*arguments)


def test_augmentation_runs_ahead_on_another_thread_but_not_far():
    gate = threading.Event()
    watched = Watched(gate)
    loader = batches(augmentation=watched, steps=50, batch_size=1, workers=1)
    gate.set()
    epoch = loader.epoch(0)
    for step in range(5):
        next(epoch)
    [future.result() for future in loader._pending.values()]
    assert threading.current_thread() not in watched.threads and len(watched.threads) == 1
    assert watched.calls == 5 + 2  # two batches ahead


def test_an_error_on_a_thread_reaches_the_caller():
    class Broken(Augmentation):
        def __call__(self, *arguments):
            raise RuntimeError("no such patch")

    with pytest.raises(RuntimeError, match="no such patch"):
        next(batches(augmentation=Broken()).epoch(0))


# --- refusals: reading


def test_refuses_missing_and_truncated_files(tmp_path):
    assert "`path` must exist" in refusal(load_examples, tmp_path / "nothing", tmp_path)
    assert "train-labels.tif" in refusal(load_examples, tmp_path)
    assert "`labels` must be given" in refusal(load_examples, [str(tmp_path)])
    noise = RANDOM.randint(0, 256, (5, 64, 64)).astype(np.uint8)
    for compression in (None, "tiff_deflate"):
        whole = write_pages(tmp_path / "train-volume.tif", noise, compression=compression)
        write_pages(tmp_path / "train-labels.tif", noise // 128)
        assert len(load_examples(tmp_path).images) == 5
        content = open(whole, "rb").read()
        for share in (0, 0.1, 0.5, 0.99):
            with open(whole, "wb") as file:
                file.write(content[: int(share * len(content))])
            message = refusal(load_examples, tmp_path)
            assert "complete, readable file" in message and "train-volume.tif" in message


def test_refuses_damaged_and_other_npz(tmp_path):
    path = str(tmp_path / "a.npz")
    np.savez(path, image=BYTES, names=np.zeros(5))
    assert "`image`, `names`" in refusal(load_examples, path)
    np.savez(path, image=BYTES, label=CLASSES[0])
    assert "ndim" in refusal(load_examples, path, ndim=3)
    np.savez(path, image=BYTES, label=CLASSES)
    content = open(path, "rb").read()
    with open(path, "wb") as file:
        file.write(content[:2000])
    assert "complete, readable file" in refusal(load_examples, path)


def test_refuses_numbers_that_differ(tmp_path):
    images = write_folder(tmp_path / "images", BYTES)
    labels = write_folder(tmp_path / "labels", CLASSES[:4])
    assert "images without labels: 4.png" in refusal(load_examples, images, labels)
    first = write_pages(tmp_path / "a.tif", BYTES)
    second = write_pages(tmp_path / "b.tif", CLASSES[:4])
    message = refusal(load_examples, first, second)
    assert "a.tif with 5 and" in message and "b.tif with 4" in message
    assert "5 images, 4 labels" in refusal(make_examples, BYTES, CLASSES[:4])
    assert "0 images" in refusal(make_examples, [], [])


def test_refuses_sizes_that_differ(tmp_path):
    message = refusal(load_examples, write_folder(tmp_path / "a", BYTES), write_folder(tmp_path / "b", CLASSES[:, :19]))
    assert "0.png with shape (20, 24, 1) and labels of shape (19, 24)" in message
    affine = np.diag([2.0, 2, 3, 1])
    first = write_nifti(tmp_path / "a.nii", np.moveaxis(BYTES, 0, 2), affine)
    second = write_nifti(tmp_path / "b.nii", np.moveaxis(CLASSES, 0, 2), np.eye(4))
    assert "spacing 1x1x1 mm and 2x2x3 mm" in refusal(load_examples, first, second)
    assert "of one kind" in refusal(make_examples, [BYTES[0], np.stack([BYTES[0]] * 3, axis=-1)], CLASSES[:2])
    pages = write_pages(tmp_path / "c.tif", [BYTES[0], BYTES[0, :10]])
    assert "pages of one size" in refusal(load_images, pages, ndim=3)


def test_refuses_labels_with_channels(tmp_path):
    images = write_folder(tmp_path / "images", BYTES[:1])
    for mode, channels in (("RGB", 3), ("RGBA", 4), ("LA", 2)):
        path = str(tmp_path / "0.png")
        Image.fromarray(MASKS[0]).convert(mode).save(path)
        message = refusal(load_examples, images, path)
        assert "`labels` must have one channel" in message and "0.png with %d channels (%s)" % (channels, mode) in message
    colour = np.stack([CLASSES] * 3, axis=-1)
    assert "no channels" in refusal(make_examples, BYTES, colour)
    assert "no channels" in refusal(make_examples, colour, colour)
    assert "no channels" in refusal(make_examples, BYTES, CLASSES[..., None])


@pytest.mark.parametrize(
    "values, num_classes, seen, advice",
    [
        ([0, 127, 255], None, "the values 0, 127, 255 (odd)", "labels >= 128"),
        (list(range(256)), None, "the values 0, 1, 2, 3, 4, 5, 6, 7 and 248 more", "labels >= 128"),
        ([0, 1, 255], 2, "the values 0, 1, 255", "labels >= 128"),
        ([0, 1, 5], None, "the values 0, 1, 5", "num_classes=6"),
        ([1, 2], None, "the values 1, 2", "num_classes=3"),
        ([0, 3], 3, "the values 0, 3", "from 0 on"),
        ([-1, 0, 1], None, "the values -1, 0, 1", "from 0 on"),
        ([7], None, "the values 7", "num_classes=8"),
        ([0, 255], 3, "the values 0, 255", "from 0 on"),
        ([0, 0.5, 1], None, "odd with 0.5", "resampled"),
        ([0, np.nan], None, "odd with nan", "resampled"),
        (["a", "b"], None, "odd of <U1", "uint8"),
    ],
)
def test_refuses_wrong_codings_and_says_what_was_seen(values, num_classes, seen, advice):
    labels = [np.resize([0, 1], (16, 17)), np.resize(values, (16, 17))]
    if np.asarray(values).dtype.kind in "biu" and (min(values) > 0 or 1 not in values):
        labels = labels[1:]
    message = refusal(make_examples, np.zeros((len(labels), 16, 17)), labels, num_classes, ["usual", "odd"][-len(labels) :])
    assert seen in message and advice in message


# --- refusals: batches


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (dict(batch_size=0), "`batch_size`"),
        (dict(size=21), "`size` must fit into every image, the smallest of which is (20, 24)"),
        (dict(size=(20, 25)), "`size` must fit"),
        (dict(size=(4, 4, 4)), "`size` must fit"),
        (dict(size=0), "`size` must be an integer from 1"),
        (dict(size=9.5), "`size` must be an integer"),
        (dict(margin=-1), "`margin`"),
        (dict(padding="edge"), "`padding` must be one of 'mirror', 'zero'"),
        (dict(steps=0), "`steps`"),
        (dict(seed=-1), "`seed`"),
        (dict(workers=-1), "`workers`"),
        (dict(shuffle=False, augmentation=Augmentation()), "`augmentation` and `steps` must be None with shuffle=False"),
        (dict(shuffle=False, steps=3), "Received: `steps`"),
    ],
)
def test_refuses_arguments(arguments, expected):
    with pytest.raises(ValueError) as caught:
        batches(**arguments)
    assert expected in str(caught.value)


def test_refuses_whole_images_of_different_sizes():
    examples = make_examples([BYTES[0], BYTES[1, :18]], [CLASSES[0], CLASSES[1, :18]])
    assert "0 of (20, 24) and others of (18, 24)" in refusal(SegmentationBatches, examples)
    assert SegmentationBatches(examples, size=18).target_shape == (18, 18, 3)
    assert "`shape` must have 2 sizes" in refusal(resize, examples, (4, 4, 4))
    with pytest.raises(ValueError, match="`index`"):
        batches().epoch(-1)
