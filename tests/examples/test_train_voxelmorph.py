"""The registration trainer and its evaluator as a user runs them: small runs, a resumed one, a scored one, and every refusal."""

import csv
import importlib.util
import json
import os
import pathlib

import nibabel
import numpy as np
import pytest

from scripts import refusal, run
from zoo import training
from zoo.voxelmorph import voxelmorph
from zoo.voxelmorph.brains import brain_atlas, random_brains

SMALL = "--image-size 32 --variant vm1 --steps-per-epoch 2 --checkpoint-every 1 "


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Six small volumes with labels, and an atlas."""
    monkeypatch.chdir(tmp_path)
    for index, (image, labels) in enumerate(zip(*random_brains(6, (16, 17, 18), seed=5))):
        save("images/%d.nii.gz" % index, 900 * image)
        save("labels/%d.nii.gz" % index, labels.astype("int16"))
    image, labels = brain_atlas((16, 17, 18))
    save("atlas.nii.gz", image)
    save("atlas_labels.nii.gz", labels.astype("int16"))
    return tmp_path


def save(path, array, affine=np.diag([2.0, 2.0, 2.0, 1.0])):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, affine), path)


def read_csv(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_trains_resumes_and_evaluates(folder, capsys):
    """Without data, from given weights; the exact commands a user types: fewer epochs first, then more with --resume."""
    training.save_weights(voxelmorph((16, 16), "vm1"), "start.npz")
    small = SMALL + "--weights start.npz --similarity ncc --lambda 2 --learning-rate 1e-5 "
    run("train_voxelmorph", small + "--epochs 1")
    printed = capsys.readouterr().out
    for words in ("Dice (6 labels)", "displacement error, voxels", "folded voxels, %", "8 pairs", "before", "after"):
        assert words in printed
    output = pathlib.Path("outputs/voxelmorph")
    assert {"best.npz", "last.npz", "history.csv", "arguments.json", "test.csv"} <= set(os.listdir(str(output)))
    assert json.loads((output / "arguments.json").read_text())["variant"] == "vm1"
    if importlib.util.find_spec("matplotlib"):
        assert (output / "test.png").exists() and (output / "test_flow.png").exists()
    with np.load("start.npz") as start, np.load(str(output / "last.npz")) as last:
        for name in start.files:  # two steps of Adam
            np.testing.assert_allclose(last[name], start[name], atol=4e-5)
        assert (start["encoder1/kernel"] != last["encoder1/kernel"]).any()

    assert "`output` must not hold another run" in refusal(
        capsys, "train_voxelmorph", small + "--epochs 2 --output outputs/voxelmorph"
    )
    assert "`--seed` must be 0 as when the run began. Received: 1" in refusal(
        capsys, "train_voxelmorph", small + "--epochs 2 --resume --seed 1"
    )
    run("train_voxelmorph", small + "--epochs 2 --resume")
    assert [row["epoch"] for row in read_csv(str(output / "history.csv"))] == ["0", "1"]

    capsys.readouterr()
    run("evaluate_registration", "--weights outputs/voxelmorph/best.npz --image-size 32 --output scores")
    assert "8 pairs" in capsys.readouterr().out
    rows = read_csv("scores/scores.csv")
    assert sum(row["metric"] == "Dice" for row in rows) == 48
    assert [row["label"] for row in rows if row["metric"] == "Dice, mean"] == ["1 2 3 4 5 6"]


@pytest.mark.slow  # a minute on TensorFlow 1.15, whose graphs of everything at once are large
def test_trains_on_files_with_all_there_is(folder, capsys):
    """3-D, to an atlas, semi-supervised, diffeomorphic, in both directions; then the published evaluation of it."""
    options = "--data images --labels labels --atlas atlas.nii.gz --atlas-labels atlas_labels.nii.gz "
    more = "--label-weight 0.01 --label-values 1,2,8 --diffeomorphic --bidirectional --image-sigma 0.01 --prior-lambda 25 "
    run("train_voxelmorph", options + more + "--epochs 1 --steps-per-epoch 2 --output run")
    assert "4 subjects of 16x17x18 to train, 1 to validate" in capsys.readouterr().out
    assert [row["label"] for row in read_csv("run/test.csv") if row["metric"] == "Dice, mean"] == ["1 2 8"]

    run("evaluate_registration", "--weights run/best.npz --output scores --empty zero " + options)
    assert "6 pairs" in capsys.readouterr().out
    rows = read_csv("scores/scores.csv")
    assert {row["fixed"] for row in rows} == {"atlas.nii.gz", "all"} and "zero" not in rows[0]["definition"]
    assert any("label that neither map has: 0" in row["definition"] for row in rows)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ("--epochs 0", "`epochs` must be a whole number of at least 1"),
        ("--batch-size 0", "`batch_size` must be"),
        ("--learning-rate -1", "`learning_rate` must be a positive number. Received: -1.0"),
        ("--seed -1", "`seed` must be"),
        ("--image-size 8", "`shape` must be"),
        ("--similarity mi", "`smoothness_weight` must be given"),
        ("--diffeomorphic --lambda 1", "`variant` is for networks that are not diffeomorphic"),
        ("--prior-lambda 25", "`prior_lambda` is for models with a posterior"),
        ("--atlas atlas.nii.gz", "`--atlas` goes with `--data`"),
        ("--label-values none", "`--label-values` must be labels above 0"),
        ("--output atlas.nii.gz", "`--output` must be a folder"),
        ("--output /proc/nothing", "`--output` must lie in a folder that can be written"),
        ("--output absent --resume", "`output` must hold a checkpoint to resume from"),
        ("--weights absent.npz", "no such file"),
        ("--weights vm2.npz", "left over: decoder7/bias, decoder7/kernel"),
        ("--weights two.npz", "of another shape: decoder1/kernel (3, 3, 32, 32) instead of"),
        ("--data absent", "absent"),
        ("--data atlas.nii.gz", "`--data` must hold 2 volumes or more to train"),
        (
            "--data images --atlas flat.nii.gz",
            "must lie on the grid of `flat.nii.gz`. Received: shape (16, 17, 18) and (16, 17)",
        ),
        ("--data images --labels images", "must hold integer labels"),
        ("--data images --label-weight 0.01", "`--label-weight` goes with `--labels`"),
        ("--data images --resample", "`resample` needs an atlas"),
        ("--data nan", "finite voxels"),
        ("--data constant", "not constant"),
        ("--data truncated", "complete, readable file"),
        ("--data others", "must lie on the grid of"),
        ("--data keys", "which holds `image`, `mask`"),
    ],
)
def test_refusals_of_the_trainer(folder, capsys, arguments, words):
    if "/proc" in arguments and not os.path.isdir("/proc"):
        pytest.skip("no /proc here")
    image = np.asarray(nibabel.load("images/0.nii.gz").dataobj)
    if "vm2" in arguments:
        training.save_weights(voxelmorph((16, 16, 16)), "vm2.npz")
    if "two" in arguments:
        training.save_weights(voxelmorph((16, 16), "vm1"), "two.npz")
    for name, array, affine in [
        ("nan", np.where(image == image.max(), np.nan, image), np.eye(4)),
        ("constant", np.ones_like(image), np.eye(4)),
        ("others", image, np.eye(4)),
    ]:
        if name in arguments:
            for index in range(6):
                save("%s/%d.nii.gz" % (name, index), *((array, affine) if index == 5 else (image, np.diag([1, 1, 2, 1]))))
    if "truncated" in arguments:
        for index in range(6):
            save("truncated/%d.nii.gz" % index, image)
        path = pathlib.Path("truncated/5.nii.gz")
        path.write_bytes(path.read_bytes()[:-500])
    if "keys" in arguments:
        os.mkdir("keys")
        for index in range(6):
            np.savez("keys/%d.npz" % index, image=image, mask=image)
    save("flat.nii.gz", image[:, :, 8])
    size = "--variant vm1 --steps-per-epoch 2 " + ("" if "--data" in arguments else "--image-size 32 ")
    line = size + "--epochs 1 --output out " + arguments + (" --data images" if ".npz" in arguments else "")
    assert words in refusal(capsys, "train_voxelmorph", line)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ("--weights absent.npz", "`path` must exist"),
        ("--weights atlas.nii.gz", "cannot be read"),
        ("--weights vm1.npz --variant vm2", "missing: decoder7/bias"),
        ("--weights vm1.npz --labels labels", "`--labels` goes with `--data`"),
        ("--weights vm1.npz --variant vm1 --data atlas.nii.gz", "`images` must be two or more without an atlas"),
        ("--weights vm1.npz --variant vm1 --data images --label-values 0", "`--label-values` must be labels above 0"),
        ("--weights vm1.npz --variant vm1 --output atlas.nii.gz", "`--output` must be a folder"),
    ],
)
def test_refusals_of_the_evaluator(folder, capsys, arguments, words):
    training.save_weights(voxelmorph((16, 16), "vm1"), "vm1.npz")
    line = arguments if "--output" in arguments else "--output out " + arguments
    assert words in refusal(capsys, "evaluate_registration", line)
