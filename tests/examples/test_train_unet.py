"""The segmentation scripts as a user runs them: a small run, a resumed one, folds, masks in files, and every refusal."""

import csv
import importlib.util
import json
import os
import pathlib

import nibabel
import numpy as np
import pytest
from PIL import Image

from scripts import refusal, run
from zoo.unet.cells import random_cells
from zoo.unet.evaluation import read_csv

SMALL = "--filters 2 --depth 1 --batch-size 2 --steps-per-epoch 2 --checkpoint-every 1 "


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """ISBI's two TIFFs with six small pages, the same as PNG, and a volume of them."""
    monkeypatch.chdir(tmp_path)
    images, labels = random_cells(6, (40, 44), seed=5)
    images, masks = np.uint8(255 * images), labels * np.uint8(255)
    os.makedirs("isbi")
    for name, pages in (("train-volume", images), ("train-labels", masks)):
        pictures = [Image.fromarray(page) for page in pages]
        pictures[0].save("isbi/%s.tif" % name, save_all=True, append_images=pictures[1:])
    for name, pages in (("pictures", images), ("masks", masks)):
        os.makedirs(name)
        for index, page in enumerate(pages):
            Image.fromarray(page).save("%s/%d.png" % (name, index))
    nibabel.save(nibabel.Nifti1Image(np.moveaxis(images, 0, 2), np.diag([2.0, 3.0, 4.0, 1.0])), "scan.nii.gz")
    return tmp_path


def test_trains_resumes_evaluates_and_predicts(folder, capsys):
    """The exact commands a user types: a short run, then more steps with --resume, scores, masks."""
    small = SMALL + "--data isbi --size 24 --recipe mrlayers --normalization instance "
    run("train_unet", small + "--steps 2")
    printed = capsys.readouterr().out
    for words in (
        "4 images to train, 1 to validate, 1 to test; patches of 24x24",
        "soft Dice (joint)",
        "pixel error",
        "Rand error",
    ):
        assert words in printed
    output = pathlib.Path("outputs/unet")
    assert {"best.npz", "last.npz", "history.csv", "arguments.json", "test.csv"} <= set(os.listdir(str(output)))
    begun = json.loads((output / "arguments.json").read_text())
    assert (begun["num_classes"], begun["channels"], begun["loss"]) == (2, 1, "dice-cross-entropy")
    if importlib.util.find_spec("matplotlib"):
        assert (output / "test.png").exists()

    message = refusal(capsys, "train_unet", small + "--steps 4 --output outputs/unet")
    assert "`output` must not hold another run" in message
    message = refusal(capsys, "train_unet", small + "--steps 4 --resume --filters 3")
    assert "`--filters` must be 2 as when the run began" in message
    run("train_unet", small + "--steps 4 --resume")
    assert (output / "history.csv").read_text().count("\n") == 3

    run("evaluate_unet", "--weights outputs/unet/last.npz --data pictures --labels masks --output scores")
    assert [each.name for each in read_csv("scores/scores.csv")] == ["%d.png" % index for index in range(6)]

    predict = "--weights outputs/unet/last.npz "
    run("predict_unet", predict + "--images isbi/train-volume.tif --output masks.tif")
    with Image.open("masks.tif") as masks:
        assert masks.n_frames == 6 and masks.size == (44, 40) and set(np.array(masks).ravel()) <= {0, 255}
    run("predict_unet", predict + "--images pictures --output probabilities --probability 1 --tile 24")
    with Image.open("probabilities/3.tif") as page:
        assert page.mode == "F" and 0 <= np.array(page).min() < np.array(page).max() <= 1
    run("predict_unet", predict + "--images scan.nii.gz --output mask.nii.gz --coding classes")
    mask = nibabel.load("mask.nii.gz")
    assert mask.shape == (40, 44, 6) and set(np.unique(np.asarray(mask.dataobj))) <= {0, 1}
    np.testing.assert_allclose(mask.affine, np.diag([2.0, 3.0, 4.0, 1.0]))

    for arguments, words in [
        ("--images pictures --output masks.nii.gz --probability 2", "must be a class of the network"),
        ("--images scan.nii.gz --output mask.tif", "must end in one of .nii"),
        ("--images pictures/0.png --output a.png --tile 64", "must not be larger than the image"),
        ("--images pictures/0.png --output pictures/0.png", "must not be the image itself"),
    ]:
        if "64" not in arguments:
            assert words in refusal(capsys, "predict_unet", predict + arguments)
        else:
            with pytest.raises(SystemExit):
                run("predict_unet", predict + arguments)
            assert words in capsys.readouterr().err
    assert "arguments.json" in refusal(capsys, "evaluate_unet", "--weights masks.tif")


def test_folds(folder, monkeypatch, capsys):
    """Three folds, one after the other; what is done is not done again, what was stopped goes on."""
    calls = []

    def call(command):
        calls.append(command)
        run("train_unet", " ".join(command[2:]))
        return 0

    monkeypatch.setattr("subprocess.call", call)
    arguments = "--data isbi --fold-count 3 --size 24 --steps 2 " + SMALL
    run("crossvalidate_unet", arguments + "--folds 0")
    run("crossvalidate_unet", arguments + "--folds 0,2")
    printed = capsys.readouterr().out
    assert len(calls) == 2 and "Fold 0: " in printed and "is there" in printed
    held_out = [each.name for fold in (0, 2) for each in read_csv("outputs/unet-folds/fold%d/test.csv" % fold)]
    assert len(set(held_out)) == 4
    with open("outputs/unet-folds/folds.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    for line in lines:
        folds = [float(line[name]) for name in ("fold 0", "fold 2")]
        assert float(line["mean"]) == pytest.approx(np.mean(folds), rel=1e-4)
        assert float(line["standard deviation over folds"]) == pytest.approx(np.std(folds), rel=1e-3, abs=1e-6)

    os.remove("outputs/unet-folds/fold2/test.csv")
    run("crossvalidate_unet", arguments.replace("--steps 2", "--steps 4") + "--folds 2")
    assert calls[-1][-1] == "--resume" and os.path.exists("outputs/unet-folds/fold2/test.csv")

    for wrong, words in [
        ("--folds 3", "different numbers from 0 to 2"),
        ("--folds 1,1", "different numbers"),
        ("--fold 1", "`--fold` must not be given"),
    ]:
        assert words in refusal(capsys, "crossvalidate_unet", arguments + wrong)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ("--labels masks", "`--labels` goes with `--data`"),
        ("--fold 0", "`--fold` goes with `--data`"),
        ("--ndim 3", "`--ndim 3` goes with `--data`"),
        ("--data isbi --fold 5", "`fold` must be an integer from 0 to 4"),
        ("--data isbi --fold 0 --test-data isbi", "must not be given with `--fold`"),
        ("--data isbi --size 64", "`size` must fit into every image"),
        ("--data isbi --steps 150", "--steps 200"),
        ("--data isbi --border-weight 10", "goes with `--loss cross-entropy`"),
        ("--data isbi --recipe mindspore --size 250 --resize 380", "valid convolutions"),
        ("--data pictures --labels isbi/train-labels.tif", "Received"),
        ("--data isbi --learning-rate 0", "`learning_rate`"),
        ("--data isbi --filters 0", "`filters`"),
        ("--data isbi --precision mixed_float16 --loss-scale much", "`--loss-scale` must be a number"),
        ("--data nothing", "Received"),
    ],
)
def test_refusals(folder, capsys, arguments, words):
    assert words in refusal(capsys, "train_unet", arguments)


@pytest.mark.slow
def test_border_weights_accumulation_and_a_published_recipe(folder, capsys):
    run(
        "train_unet",
        "--data isbi --fold 1 --recipe mindspore --filters 2 --resize 36 --border-weight 5 --batch-size 1 --accumulate 2 "
        "--steps 2 --output out",
    )
    assert "Held-out images, last.npz" in capsys.readouterr().out
    begun = json.loads(pathlib.Path("out/arguments.json").read_text())
    assert (begun["network"], begun["surroundings"], begun["weight_decay"]) == ("unet_mindspore", "zero", 5e-4)
    assert len(read_csv("out/test.csv")) == 1
