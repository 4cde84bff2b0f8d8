"""Scoring registrations: cases, numbers by hand, tables, figures with and without neurite, networks from weights."""

import csv
import os
import pathlib

import nibabel
import numpy as np
import pytest

from runtime import RNG, random
from zoo import training
from zoo.runs import write_arguments
from zoo.voxelmorph import brains, cases, evaluation, figures, voxelmorph
from zoo.voxelmorph.trained import trained_network

SHAPE = (18, 20)
SHIFT = (1, 3)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shifting(volume_shape=SHAPE, shift=SHIFT):
    """A network that answers any pair with one displacement."""
    model = voxelmorph(volume_shape, encoder=(2,), decoder=(2, 2, 2))
    head = model.get_layer("flow")
    head.set_weights([np.zeros_like(head.get_weights()[0]), np.array(shift, "float32")])
    return model


def shifted(array, shift=SHIFT):
    """What that displacement makes of an image."""
    where = [np.clip(np.arange(size) + step, 0, size - 1) for size, step in zip(array.shape, shift)]
    return array[np.ix_(*where)]


def case(seed=0, labels=(1, 2, 5), displacement=True):
    images = [RNG(seed + index).uniform(size=SHAPE).astype("float32") for index in range(2)]
    maps = [RNG(seed + index).choice((0,) + labels, size=SHAPE).astype("int32") for index in range(2)]
    truth = random(*SHAPE, 2, seed=seed) if displacement else None
    return cases.Case("a%d" % seed, "b%d" % seed, images[0], images[1], maps[0], maps[1], truth, None)


def dice(first, second, label):
    return 2 * np.sum((first == label) & (second == label)) / (np.sum(first == label) + np.sum(second == label))


# --- cases


def test_generated_cases_know_the_truth():
    made = list(cases.brain_cases(3, (32, 32), seed=7))
    images, labels = brains.random_brains(3, (32, 32), seed=7)
    assert [each.moving_name for each in made] == ["brain %d of seed 7" % index for index in range(3)]
    np.testing.assert_array_equal(made[2].fixed, images[0])
    np.testing.assert_array_equal(made[2].moving_labels, labels[2])
    np.testing.assert_array_equal(made[2].displacement, brains.true_displacement(2, 0, (32, 32), seed=7))


def save(name, array, affine=np.eye(4)):
    nibabel.save(nibabel.Nifti1Image(array, affine), name)


def test_cases_from_files(folder):
    for index in range(3):
        save("%d_brain.nii.gz" % index, random(8, 9, 10, seed=index))
        save("%d_seg.nii.gz" % index, RNG(index).randint(0, 3, (8, 9, 10)).astype("int16"))
    images, labels = cases.find_pairs("*_brain*", "*_seg*")
    cases.check_files(images, labels)
    to_each_other = list(cases.file_cases(images, labels))
    assert [each.fixed_name for each in to_each_other] == ["1_brain.nii.gz", "2_brain.nii.gz", "0_brain.nii.gz"]
    assert to_each_other[2].fixed_labels.max() == 2 and to_each_other[0].moving.max() == 1
    np.testing.assert_array_equal(to_each_other[0].fixed_labels, to_each_other[1].moving_labels)
    to_atlas = list(cases.file_cases(images[:2], labels[:2], "2_brain.nii.gz"))
    assert {each.fixed_name for each in to_atlas} == {"2_brain.nii.gz"} and to_atlas[0].moving_labels is None


def test_check_finds_what_is_wrong_with_any_file(folder):
    save("a.nii", random(8, 9, 10))
    save("b.nii", random(8, 9, 10), np.diag([1, 1, 2, 1]))
    save("c.nii", np.full((8, 9, 10), np.nan, "float32"))
    with pytest.raises(ValueError, match="`b.nii` must lie on the grid of `a.nii`. Received: spacing 1x1x2 mm and 1x1x1 mm"):
        cases.check_files(["a.nii", "b.nii"])
    with pytest.raises(ValueError, match="finite voxels"):
        cases.check_files(["a.nii", "c.nii"])
    with pytest.raises(ValueError, match="integer labels"):
        cases.check_files(["a.nii"], ["a.nii"], atlas="a.nii")
    with pytest.raises(ValueError, match="`images` must be two or more without an atlas. Received: 1"):
        cases.check_files(["a.nii"])
    with pytest.raises(ValueError, match="`resample` needs an atlas"):
        cases.check_files(["a.nii", "b.nii"], resample=True)
    cases.check_files(["b.nii"], atlas="a.nii", resample=True)


# --- numbers


def test_scores_of_a_known_displacement():
    each = case()
    (scores,), shown = evaluation.evaluate(shifting(), [each])
    moved, moved_labels = shifted(each.moving), shifted(each.moving_labels)
    np.testing.assert_allclose(shown.moved, moved, atol=1e-6)
    np.testing.assert_allclose(shown.displacement, np.broadcast_to(SHIFT, SHAPE + (2,)))
    assert sorted(scores.dice) == [1, 2, 5]
    for label, values in scores.dice.items():
        expected = [dice(found, each.fixed_labels, label) for found in (each.moving_labels, moved_labels)]
        assert values == pytest.approx(expected)
    mse, ncc = list(scores.similarity.values())
    assert mse == pytest.approx([np.mean((image - each.fixed) ** 2) for image in (each.moving, moved)], rel=1e-4)
    inside = each.fixed_labels > 0
    lengths = [np.linalg.norm(each.displacement - found, axis=-1)[inside].mean() for found in (0, np.array(SHIFT))]
    assert scores.error == pytest.approx(lengths, rel=1e-5)
    assert scores.folding.folded == 0 and scores.seconds > 0


def test_correlation_of_an_image_with_itself():
    image = RNG(0).uniform(size=SHAPE).astype("float32")
    each = case()._replace(moving=image, fixed=2 * image + 1)
    (scores,), _ = evaluation.evaluate(shifting(), [each])
    before, after = scores.similarity["NCC (local, squared, windows of 9x9)"]
    assert before == pytest.approx(1, abs=1e-3) and after < 0.2


def test_windows_fit_into_small_volumes():
    assert evaluation.window((160, 8, 9, 1)) == (9, 7, 9, 1)


def test_labels_are_moved_whatever_their_numbers():
    labels = RNG(0).choice([0, 3, 2**25 + 1], size=SHAPE).astype("int32")
    moved = evaluation.warp_labels(evaluation.warpers(SHAPE), labels, np.broadcast_to(np.float32(SHIFT), SHAPE + (2,)))
    np.testing.assert_array_equal(moved, shifted(labels))
    assert moved.dtype == np.int32


def test_only_the_labels_that_are_asked_for():
    tools, field = evaluation.warpers(SHAPE), np.zeros(SHAPE + (2,), "float32")
    assert sorted(evaluation.score(tools, case(), field, 1.0, (5, 9)).dice) == [5, 9]
    assert np.isnan(evaluation.score(tools, case(), field, 1.0, (9,)).dice[9]).all()
    assert evaluation.score(tools, case(), field, 1.0, (9,), empty="zero").dice[9] == (0, 0)
    without = case()._replace(fixed_labels=None, displacement=None)
    assert evaluation.score(tools, without, field, 1.0).dice == {}


def test_mean_and_spread_are_over_all_labels_of_all_pairs(folder):
    each = [case(0), case(10, labels=(1, 2))]
    scores, _ = evaluation.evaluate(shifting(), each)
    after = [dice(shifted(a.moving_labels), a.fixed_labels, label) for a, b in zip(each, (3, 2)) for label in (1, 2, 5)[:b]]
    report = evaluation.report(scores)
    assert "%.4g +- %.2g" % (np.mean(after), np.std(after)) in report and "Dice (3 labels)" in report and "2 pairs" in report

    evaluation.write_csv("scores.csv", scores, "zero")
    with open("scores.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    (mean,) = [row for row in rows if row["metric"] == "Dice, mean"]
    assert float(mean["after"]) == pytest.approx(np.mean(after), rel=1e-5) and mean["label"] == "1 2 5"
    assert "population standard deviation, over all labels of all pairs" in mean["definition"]
    single = [row for row in rows if row["metric"] == "Dice"]
    assert [(row["moving"], row["label"]) for row in single] == [
        (name, x) for name, y in (("a0", "125"), ("a10", "12")) for x in y
    ]
    assert [float(row["after"]) for row in single] == pytest.approx(after, rel=1e-5)
    assert single[0]["definition"].endswith("a label that neither map has: 0")
    assert {row["metric"] for row in rows if row["moving"] == "a10"} == {
        "Dice",
        "displacement error, voxels",
        "MSE (intensities 0..1)",
        "NCC (local, squared, windows of 9x9)",
        "folded voxels, %",
        "seconds",
    }


def test_published_labels(shared):
    import scipy.io

    stored = scipy.io.loadmat(shared("data/brain_subject/labels.mat"))["labels"].ravel()
    assert evaluation.PUBLISHED_LABELS == tuple(stored.tolist()) and len(stored) == 30 and 0 not in stored


def test_labels_of_the_command_line():
    assert evaluation.parse_labels(None) is None
    assert evaluation.parse_labels("published") == evaluation.PUBLISHED_LABELS
    assert evaluation.parse_labels("2, 3,41") == (2, 3, 41)


@pytest.mark.parametrize("text", ["", "0,1", "2,2", "all", "1.5", "-3"])
def test_refuses_labels_of_the_command_line(text):
    with pytest.raises(ValueError, match="`--label-values` must be labels above 0, each once"):
        evaluation.parse_labels(text)


# --- networks from weights


@pytest.mark.slow
def test_network_of_a_run(folder):
    training.save_weights(voxelmorph((16, 16), "vm1"), "run/best.npz")
    write_arguments({"variant": "vm1", "diffeomorphic": False, "intensity_level": 0.5}, "run/arguments.json")
    model, begun = trained_network((20, 24), "run/best.npz")
    assert model.get_layer("decoder6").get_weights()[0].shape == (3, 3, 10, 8) and begun["intensity_level"] == 0.5
    with pytest.raises(ValueError, match="must hold the weights of this model. Received: arrays missing: decoder7"):
        trained_network((20, 24), "run/best.npz", variant="vm2")
    with pytest.raises(ValueError, match="of another shape"):
        trained_network((16, 16, 16), "run/best.npz")
    with pytest.raises(ValueError, match="`variant` is for networks that are not diffeomorphic"):
        trained_network((20, 24), "run/best.npz", "vm1", True)


def test_network_of_the_authors(shared):
    path = shared("weights/cvpr2018_vm1_cc.h5")
    model, begun = trained_network((16, 16, 16), path)
    assert model.count_params() == 259675 and begun["intensity_level"] == 0.45
    with pytest.raises(ValueError, match=r"instead of .* Try `voxelmorph\(volume_shape, variant='vm1'\)`"):
        trained_network((16, 16, 16), path, "vm2")


# --- figures


@pytest.fixture(params=["neurite", "matplotlib"])
def plots(request, monkeypatch):
    pytest.importorskip("matplotlib", reason="figures need matplotlib, which is not installed")
    if request.param == "matplotlib":
        monkeypatch.setattr(figures, "neurite_plots", lambda: None)
    elif figures.neurite_plots() is None:
        pytest.skip("neurite is not installed")


@pytest.mark.parametrize("shape", [SHAPE, (10, 12, 14)])
def test_figures_are_pictures(folder, plots, shape):
    images = [RNG(seed).uniform(size=shape).astype("float32") for seed in range(3)]
    field = random(*shape, len(shape))
    figures.draw("a.png", *images, field, title="title")
    figures.draw_flow("b.png", field)
    figures.draw("c.png", *images, field, affine=np.diag([-1, 2, 3, 1]))
    assert sorted(os.listdir(".")) == ["a.png", "b.png", "c.png"]
    assert all(pathlib.Path(name).read_bytes()[:4] == b"\x89PNG" for name in os.listdir("."))


def test_arrows_point_down_and_right_with_and_without_neurite(monkeypatch):
    """A displacement of (+1 row, +2 columns) everywhere, as matplotlib's quiver holds it."""
    pytest.importorskip("matplotlib", reason="figures need matplotlib, which is not installed")
    field = np.broadcast_to(np.array([1.0, 2.0]), (4, 5, 2))
    for plots in (figures.neurite_plots(), None):
        monkeypatch.setattr(figures, "neurite_plots", lambda: plots)
        axis = figures.flow(field).axes[0]
        (arrows,) = axis.collections
        down = -1 if axis.yaxis_inverted() else 1
        assert set(arrows.U) == {2.0} and set(down * arrows.V) == {-1.0}


AFFINES = [np.diag(np.array(signs + (1.0,))) for signs in ((1, 1, 1), (-1, 1, 1), (1, -1, -1))]
AFFINES.append(np.array([[0, 0, -1.0, 0], [1, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 0, 1]]))


@pytest.mark.parametrize("affine", AFFINES)
def test_sections_show_the_front_at_the_top_and_the_right_at_the_right(affine):
    shape = (6, 7, 8)
    voxels = np.moveaxis(np.indices(shape), 0, -1)
    world = voxels @ affine[:3, :3].T
    x, y, z = [figures.section(world[..., axis], affine) for axis in range(3)]
    assert (np.diff(x, axis=1) == 1).all() and (np.diff(y, axis=0) == -1).all() and np.ptp(z) == 0
    step = np.linalg.solve(affine[:3, :3], [1.0, 2.0, 3.0])  # right, front, up
    flow = figures.flow_section(np.broadcast_to(step, shape + (3,)), affine)
    assert flow.shape == x.shape + (2,) and (flow == [-2, 1]).all()


def test_sections_without_an_affine():
    volume = RNG(0).uniform(size=(4, 5, 6))
    np.testing.assert_array_equal(figures.section(volume), volume[:, :, 3].T)
    field = random(4, 5, 6, 3)
    np.testing.assert_array_equal(figures.flow_section(field), field[:, :, 3, 1::-1].transpose(1, 0, 2))


def test_picture_for_tensorboard():
    images = [RNG(seed).uniform(size=SHAPE) for seed in range(3)]
    picture = figures.picture(*images)
    assert picture.shape == (18, 100) and picture.dtype == np.uint8
