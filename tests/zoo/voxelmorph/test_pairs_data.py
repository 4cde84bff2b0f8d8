"""Pairs and batches for registration, from arrays and from files that nibabel wrote."""

import functools
import itertools

import nibabel
import numpy as np
import pytest

from zoo.volumes import scale_intensity
from zoo.voxelmorph.data import RegistrationPairs, read_pair

SHAPE = (4, 5, 6)
RANDOM = np.random.RandomState(0)
IMAGES = RANDOM.uniform(0, 1, (5,) + SHAPE).astype(np.float32)
IMAGES[:, 0, 0, 0] = np.arange(5) / 10 + 0.5  # tells the subjects apart
IMAGES[:, 0, 0, 1] = 1
LABELS = RANDOM.choice([0, 2, 3, 41], (5,) + SHAPE)
ATLAS, ATLAS_LABELS = RANDOM.uniform(0, 1, SHAPE).astype(np.float32), RANDOM.choice([0, 3, 41], SHAPE)
AFFINE = np.array([[0, -1.5, 0, 30], [0.8, 0, 0, -20], [0, 0, 2, 7], [0, 0, 0, 1]])


def write(path, array, affine=AFFINE):
    nibabel.save(nibabel.Nifti1Image(array, affine), str(path))
    return str(path)


def write_subjects(folder):
    for index, (image, labels) in enumerate(zip(IMAGES, LABELS)):
        write(folder / ("%d_norm.nii.gz" % (index + 8)), image)
        write(folder / ("%d_aseg.nii.gz" % (index + 8)), labels.astype(np.int16))
    return str(folder / "*_norm.nii.gz"), str(folder / "*_aseg.nii.gz")


def subjects(volumes):
    """Which subject each of `(batch, 4, 5, 6, 1)` is."""
    return [int(round(float(volume[0, 0, 0, 0] - 0.5) * 10)) for volume in volumes]


def pairs(loader, epoch):
    return [pair for inputs, _ in loader.epoch(epoch) for pair in zip(subjects(inputs["moving"]), subjects(inputs["fixed"]))]


def flat(loader, epoch):
    arrays = [list(inputs.values()) + list(targets) for inputs, targets in loader.epoch(epoch)]
    return list(itertools.chain(*arrays))


def same(first, second):
    return len(first) == len(second) and all(np.array_equal(a, b) for a, b in zip(first, second))


def refusal(call, *arguments, **named):
    with pytest.raises((ValueError, OSError)) as caught:
        call(*arguments, **named)
    message = str(caught.value)
    assert " must " in message and ". Received: " in message and ". Try " in message and "\n" not in message
    return message


# --- numbers


def test_a_batch_to_the_atlas():
    loader = RegistrationPairs(IMAGES, atlas=ATLAS, batch_size=2, shuffle=False)
    assert loader.volume_shape == SHAPE and loader.label_values == () and len(loader) == 3
    inputs, targets = list(loader.epoch(0))[1]
    assert sorted(inputs) == ["fixed", "moving"] and isinstance(targets, tuple) and len(targets) == 2
    np.testing.assert_array_equal(inputs["moving"], IMAGES[2:4, ..., None])
    np.testing.assert_array_equal(inputs["fixed"], np.stack([ATLAS] * 2)[..., None])
    np.testing.assert_array_equal(targets[0], inputs["fixed"])
    assert targets[1].shape == (2,) + SHAPE + (3,) and not targets[1].any()
    assert {array.dtype for array in list(inputs.values()) + list(targets)} == {np.dtype(np.float32)}


def test_all_targets_in_their_order():
    loader = RegistrationPairs(
        IMAGES, LABELS, ATLAS, ATLAS_LABELS, bidirectional=True, field_shape=(2, 3, 3), field_channels=6, shuffle=False
    )
    assert loader.label_values == (3, 41)
    inputs, (fixed, zeros, moving, fixed_labels) = list(loader.epoch(0))[3]
    np.testing.assert_array_equal(fixed[0, ..., 0], ATLAS)
    assert zeros.shape == (1, 2, 3, 3, 6)
    np.testing.assert_array_equal(moving[0, ..., 0], IMAGES[3])
    np.testing.assert_array_equal(fixed_labels[0], np.stack([ATLAS_LABELS == 3, ATLAS_LABELS == 41], axis=-1))
    np.testing.assert_array_equal(inputs["moving_labels"][0], np.stack([LABELS[3] == 3, LABELS[3] == 41], axis=-1))
    assert fixed_labels.dtype == inputs["moving_labels"].dtype == np.float32


def test_chosen_labels_and_subjects_with_each_other():
    loader = RegistrationPairs(IMAGES, LABELS, label_values=[41, 7, 0], batch_size=5, shuffle=False)
    ((inputs, (fixed, _, fixed_labels)),) = loader.epoch(0)
    partners = subjects(fixed)
    expected = [[LABELS[subject] == value for value in (41, 7, 0)] for subject in partners]
    np.testing.assert_array_equal(fixed_labels, np.moveaxis(expected, 1, -1))
    np.testing.assert_array_equal(inputs["moving_labels"][..., 0], LABELS == 41)
    assert RegistrationPairs(IMAGES, LABELS).label_values == (2, 3, 41)


def test_two_dimensions():
    inputs, targets = next(RegistrationPairs(IMAGES[:, 0], atlas=ATLAS[0], batch_size=3).epoch(0))
    assert inputs["moving"].shape == (3, 5, 6, 1) and targets[1].shape == (3, 5, 6, 2)


def test_files_give_what_arrays_give(tmp_path):
    images, labels = write_subjects(tmp_path)
    atlas, atlas_labels = write(tmp_path / "atlas.nii", ATLAS), write(tmp_path / "atlas_seg.nii", ATLAS_LABELS.astype(np.uint8))
    for named in ({"shuffle": False}, {"batch_size": 2, "cache": 0}, {"batch_size": 3, "steps": 4, "cache": 2}):
        arrays = RegistrationPairs(IMAGES, LABELS, ATLAS, ATLAS_LABELS, **named)
        files = RegistrationPairs(images, labels, atlas, atlas_labels, **named)
        assert all(same(flat(arrays, epoch), flat(files, epoch)) for epoch in (0, 3))
    assert same(flat(RegistrationPairs(IMAGES, LABELS), 1), flat(RegistrationPairs(images, labels), 1))


def test_files_are_read_when_needed_and_kept_as_long_as_the_cache_holds(tmp_path):
    images, _ = write_subjects(tmp_path)
    read = []

    def scale(image):
        read.append(int(round((image[0, 0, 0] - 0.5) * 10)))
        return scale_intensity(image)

    loader = RegistrationPairs(images, atlas=ATLAS, scale=scale, shuffle=False, cache=5)
    del read[:]
    next(loader.epoch(0))
    assert read == [0]
    list(loader.epoch(0)), list(loader.epoch(1))
    assert read == [0, 1, 2, 3, 4]
    small = RegistrationPairs(images, atlas=ATLAS, scale=scale, shuffle=False, cache=2)
    del read[:]
    list(small.epoch(0)), list(small.epoch(1))
    assert read == [0, 1, 2, 3, 4] * 2


def test_intensities_are_scaled(tmp_path):
    bright = (IMAGES * 1000).astype(np.int16)
    scaled = flat(RegistrationPairs(bright, atlas=bright[0], shuffle=False), 0)
    assert all(0 <= array.min() and array.max() <= 1 for array in scaled)
    np.testing.assert_array_equal(scaled[0][0, ..., 0], scale_intensity(bright[0]))
    level = RegistrationPairs(bright, atlas=bright[0], scale=functools.partial(scale_intensity, level=0.4))
    assert next(level.epoch(0))[0]["fixed"].max() < 0.5


def test_other_grids_are_resampled_when_wished(tmp_path):
    write_subjects(tmp_path)
    flipped = write(
        tmp_path / "fixed.nii.gz", ATLAS[::-1], AFFINE.dot([[-1, 0, 0, 3], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    )
    moving, fixed = read_pair(str(tmp_path / "8_norm.nii.gz"), flipped, resample=True)
    np.testing.assert_allclose(moving.array, IMAGES[0][::-1], atol=2e-6)
    np.testing.assert_array_equal(moving.affine, fixed.affine)
    labels = write(tmp_path / "fixed_seg.nii.gz", ATLAS_LABELS[::-1].astype(np.uint8), fixed.affine)
    loader = RegistrationPairs(
        str(tmp_path / "*_norm.nii.gz"), str(tmp_path / "*_aseg.nii.gz"), flipped, labels, resample=True, shuffle=False
    )
    inputs, targets = next(loader.epoch(0))
    np.testing.assert_allclose(inputs["moving"][0, ..., 0], IMAGES[0][::-1], atol=2e-6)
    np.testing.assert_array_equal(inputs["moving_labels"][0, ..., 1], LABELS[0][::-1] == 41)
    np.testing.assert_array_equal(targets[2][0, ..., 1], ATLAS_LABELS[::-1] == 41)


def test_labels_are_resampled_to_the_nearest_voxel(tmp_path):
    images, labels = write_subjects(tmp_path)
    shifted = AFFINE + np.array([[0, 0, 0, 0.3]] * 3 + [[0] * 4])
    atlas, atlas_labels = write(tmp_path / "atlas.nii", ATLAS, shifted), write(tmp_path / "seg.nii", LABELS[1].astype("u1"))
    loader = RegistrationPairs(images, labels, atlas, atlas_labels, resample=True, shuffle=False)
    inputs, targets = next(loader.epoch(0))
    for one_hot, stored in ((inputs["moving_labels"], LABELS[0]), (targets[2], LABELS[1])):
        np.testing.assert_array_equal(one_hot[0], np.stack([stored == value for value in (2, 3, 41)], axis=-1))


def test_published_brains(shared):
    moving, fixed = read_pair(shared("data/brain_subject/test_vol.npz"), shared("data/brain_pairs/S1.npz"))
    assert moving.array.shape == fixed.array.shape == (160, 192, 224) and fixed.array.max() == 225
    scaled = scale_intensity(fixed.array, level=0.45)
    assert np.median(scaled[scaled > 0]) == pytest.approx(np.median(moving.array[moving.array > 0]), abs=0.02)


# --- laws


@pytest.mark.parametrize("named", [{}, {"atlas": ATLAS}, {"steps": 3}, {"atlas": ATLAS, "steps": 7, "batch_size": 2}])
def test_an_epoch_needs_no_epoch_before_it(named):
    loader = RegistrationPairs(IMAGES, seed=3, **named)
    epochs = [flat(loader, index) for index in range(4)]
    assert same(epochs[3], flat(RegistrationPairs(IMAGES, seed=3, **named), 3))
    assert same(epochs[1], flat(loader, 1))
    assert not any(same(epochs[3], epoch) for epoch in epochs[:3])
    assert not same(epochs[0], flat(RegistrationPairs(IMAGES, seed=4, **named), 0))


def test_each_subject_is_moving_once_in_an_epoch_and_fixed_is_another():
    loader = RegistrationPairs(IMAGES)
    drawn = [pairs(loader, epoch) for epoch in range(40)]
    assert all(sorted(moving for moving, _ in epoch) == [0, 1, 2, 3, 4] for epoch in drawn)
    assert set(itertools.chain(*drawn)) == set(itertools.permutations(range(5), 2))
    assert len({tuple(epoch) for epoch in drawn}) == 40


def test_with_steps_no_subject_comes_again_before_all_others_came():
    loader = RegistrationPairs(IMAGES, atlas=ATLAS, steps=3, batch_size=1)
    assert len(loader) == 3
    moving = [subject for epoch in range(10) for subject, _ in pairs(loader, epoch)]
    rounds = [moving[start : start + 5] for start in range(0, 30, 5)]
    assert all(sorted(each) == [0, 1, 2, 3, 4] for each in rounds) and len({tuple(each) for each in rounds}) > 3
    long = RegistrationPairs(IMAGES, atlas=ATLAS, steps=10, batch_size=2)
    assert len(long) == 10 and sorted(subject for subject, _ in pairs(long, 1)) == sorted(4 * [0, 1, 2, 3, 4])


def test_training_leaves_out_the_short_batch_unless_it_is_the_only_one():
    loader = RegistrationPairs(IMAGES, atlas=ATLAS, batch_size=2)
    assert len(loader) == 2 and [len(inputs["moving"]) for inputs, _ in loader.epoch(0)] == [2, 2]
    assert len({subject for epoch in range(9) for subject, _ in pairs(loader, epoch)}) == 5
    assert len(RegistrationPairs(IMAGES, atlas=ATLAS, batch_size=9)) == 1


def test_validation_is_the_same_in_every_epoch():
    loader = RegistrationPairs(IMAGES, batch_size=2, shuffle=False)
    assert len(loader) == 3 and same(flat(loader, 0), flat(loader, 5))
    assert [moving for moving, _ in pairs(loader, 2)] == [0, 1, 2, 3, 4]
    short = RegistrationPairs(IMAGES, steps=2, shuffle=False)
    assert pairs(short, 1) == pairs(loader, 0)[:2]


def test_batches_belong_to_the_caller():
    loader = RegistrationPairs(IMAGES, LABELS, ATLAS, ATLAS_LABELS, bidirectional=True, shuffle=False)
    before = flat(loader, 0)
    for array in flat(loader, 0):
        array[...] = 7
    assert same(before, flat(loader, 0))


# --- refusals


def test_volumes_on_another_grid_are_named(tmp_path):
    images, labels = write_subjects(tmp_path)
    moved = AFFINE.copy()
    moved[0, 3] += 9
    path = write(tmp_path / "moved.nii.gz", IMAGES[0], moved)
    message = refusal(read_pair, path, str(tmp_path / "8_norm.nii.gz"))
    assert "`moving` must lie on the grid of `fixed`" in message and "origin (39, -20, 7) mm and (30, -20, 7) mm" in message
    loader = RegistrationPairs(images, atlas=path)
    message = refusal(lambda: next(loader.epoch(0)))
    assert "_norm.nii.gz` must lie on the grid of `atlas`" in message and "--resample" in message
    message = refusal(
        RegistrationPairs,
        images,
        labels,
        str(tmp_path / "8_norm.nii.gz"),
        write(tmp_path / "s.nii", LABELS[0, 1:].astype(np.uint8)),
    )
    assert "`atlas_labels` must lie on the grid of `atlas`" in message and "shape (3, 5, 6) and (4, 5, 6)" in message


def test_two_and_three_dimensions():
    loader = RegistrationPairs(IMAGES[:, 0], atlas=ATLAS)
    assert "shape (5, 6) and (4, 5, 6)" in refusal(lambda: next(loader.epoch(0)))
    assert "(n, x, y) or (n, x, y, z)" in refusal(RegistrationPairs, IMAGES[..., None])


def test_names_without_partner(tmp_path):
    images, labels = write_subjects(tmp_path)
    (tmp_path / "9_aseg.nii.gz").unlink()
    assert "images without labels: 9_norm.nii.gz" in refusal(RegistrationPairs, images, labels)
    assert "at least one file" in refusal(RegistrationPairs, str(tmp_path / "*.mgz"))


@pytest.mark.parametrize("broken", [np.nan, "constant", "truncated"])
def test_a_broken_file_is_named(tmp_path, broken):
    images, _ = write_subjects(tmp_path)
    path = tmp_path / "10_norm.nii.gz"
    if broken == "truncated":
        path.write_bytes(path.read_bytes()[:300])
    else:
        write(path, np.full(SHAPE, 3.0 if broken == "constant" else broken))
    loader = RegistrationPairs(images, atlas=ATLAS)
    assert "10_norm.nii.gz" in refusal(lambda: list(loader.epoch(0)))


def test_arguments():
    assert "two subjects or more" in refusal(RegistrationPairs, IMAGES[:1])
    assert "`atlas_labels` must come with" in refusal(RegistrationPairs, IMAGES, LABELS, ATLAS)
    assert "`atlas_labels` must come with" in refusal(RegistrationPairs, IMAGES, LABELS, None, ATLAS_LABELS)
    assert "`atlas_labels` must come with" in refusal(RegistrationPairs, IMAGES, None, ATLAS, ATLAS_LABELS)
    assert "as many as `images`, 5" in refusal(RegistrationPairs, IMAGES, LABELS[:4])
    assert "must hold integers" in refusal(RegistrationPairs, IMAGES, LABELS + 0.0)
    assert "an array like `images`" in refusal(RegistrationPairs, IMAGES, ["a.npz"])
    for values in ([], [[2]], [2, 2], [2.5]):
        assert "`label_values` must be integers" in refusal(RegistrationPairs, IMAGES, LABELS, label_values=values)
    for name, value in (("batch_size", 0), ("steps", 0), ("seed", -1), ("cache", -1), ("steps", 1.5)):
        assert "`%s` must be an integer" % name in refusal(RegistrationPairs, IMAGES, **{name: value})
    assert "`index` must be" in refusal(RegistrationPairs(IMAGES).epoch, -1)
    assert "finite" in refusal(RegistrationPairs, np.full_like(IMAGES, np.nan))
    constant = RegistrationPairs(np.ones_like(IMAGES), steps=1)
    assert "not be constant" in refusal(lambda: next(constant.epoch(0)))
