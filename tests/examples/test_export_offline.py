"""The way from a run to a precision report as a user types it, and every refusal."""

import os

import numpy as np
import pytest

from mrlayers.backend import RUNTIME
from mrlayers.complexes import to_pairs
from scripts import load, refusal, run
from zoo import training
from zoo.cascade import crnn_mri, deep_cascade
from zoo.cascade.phantoms import random_phantoms
from zoo.files import installed
from zoo.runs import write_arguments
from zoo.voxelmorph.network import voxelmorph

ON_TENSORFLOW_1 = pytest.mark.skipif(RUNTIME != "tensorflow1", reason="only TensorFlow 1.15 freezes graphs")
ACTIONS = ("freeze", "savedmodel", "onnx", "inspect", "atc", "to-bin", "from-bin", "compare")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A run of a cascade."""
    monkeypatch.chdir(tmp_path)
    training.save_weights(deep_cascade((16, 20), None, 1, 2, 2), "run/best.npz")
    write_arguments({"cascades": 1, "convolutions": 2, "filters": 2}, "run/arguments.json")
    return tmp_path


@ON_TENSORFLOW_1
def test_from_a_run_to_a_report(folder, capsys):
    np.save("images.npy", random_phantoms(2, (16, 20)))
    run("export_offline", "freeze --weights run/best.npz --size 16 20 --output cascade.pb")
    assert "feature" in capsys.readouterr().out
    run("export_offline", "inspect cascade.pb")
    printed = capsys.readouterr().out
    assert "float32 1x16x20x2" in printed and "complex: none" in printed
    run("export_offline", "atc cascade.pb --soc-version Ascend310 --keep-dtype kept.cfg")
    command = capsys.readouterr().out
    assert command.startswith("atc --model=cascade.pb --framework=3 ") and "--precision_mode=allow_fp32_to_fp16" in command
    assert (folder / "kept.cfg").read_text() == "OpType::MatMul\n"

    run("export_offline", "to-bin --data images.npy --center-lines 4 --output bins")
    assert "mask: 2 files of 1280 bytes, float32 (16, 20, 1)" in capsys.readouterr().out
    os.mkdir("results")
    for case in "01":  # a network whose last convolution is zero returns the zero-filled image
        with open("bins/feature/%s.bin" % case, "rb") as file:
            (folder / "results" / (case + "_output_0.bin")).write_bytes(file.read())
    run("export_offline", "from-bin cascade.pb --device results --output results.npz")
    with np.load("results.npz") as archive:
        assert archive["predTst"].shape == (2, 1, 16, 20, 2)
    run("export_offline", "compare cascade.pb --bins bins --device results --csv report.csv")
    printed = capsys.readouterr().out
    assert "PSNR" in printed and "report.csv written" in printed
    rows = [line.split(",") for line in (folder / "report.csv").read_text().splitlines()[1:5]]
    assert all(abs(float(here) / float(there) - 1) < 1e-4 for _, _, here, there, *_ in rows)


@ON_TENSORFLOW_1
def test_freezes_the_other_families(folder, capsys):
    training.save_weights(crnn_mri((2, 8, 6), None, 1, 2, 2), "crnn/best.npz")
    write_arguments({"model": "crnn", "cascades": 1, "convolutions": 2, "filters": 2}, "crnn/arguments.json")
    run("export_offline", "freeze --weights crnn/best.npz --size 3 8 6 --output crnn.pb --lines")
    assert "float32 1x3x8x1x1" in capsys.readouterr().out
    training.save_weights(voxelmorph((8, 8), "vm1"), "vm/best.npz")
    write_arguments({"variant": "vm1", "diffeomorphic": False}, "vm/arguments.json")
    run("export_offline", "freeze --weights vm/best.npz --size 16 12 --output vm.pb --outputs image field")
    assert "field" in capsys.readouterr().out
    settings = dict(network="unet", filters=2, depth=1, up="transpose2", dropout=0.0, normalization=None)
    settings.update(num_classes=2, channels=1, ndim=2)
    training.save_weights(load("train_unet").build((8, 8), settings), "unet/best.npz")
    write_arguments(settings, "unet/arguments.json")
    run("export_offline", "freeze --weights unet/best.npz --size 9 8 --batch-size 2 --output unet.pb")
    assert "float32 2x9x8x1" in capsys.readouterr().out


@pytest.mark.skipif(RUNTIME not in ("tensorflow1", "tensorflow"), reason="SavedModels are TensorFlow's")
def test_writes_a_saved_model(folder, capsys):
    run("export_offline", "savedmodel --weights run/best.npz --size 16 20 --output saved")
    assert "saved written" in capsys.readouterr().out and os.path.exists("saved/saved_model.pb")


@pytest.mark.skipif(RUNTIME != "torch" or not installed("onnxscript"), reason="PyTorch or onnxscript is absent")
def test_writes_onnx(folder, capsys):
    run("export_offline", "onnx --weights run/best.npz --size 16 20 --output cascade.onnx")
    assert "cascade.onnx written" in capsys.readouterr().out


def test_writes_arrays_of_any_model(folder, capsys):
    np.savez("cases.npz", image=to_pairs(random_phantoms(2, (16, 20))), label=np.ones((2, 16, 20), "int64"))
    run("export_offline", "to-bin --arrays cases.npz --output bins")
    assert "label: 2 files of 1280 bytes, float32 (16, 20)" in capsys.readouterr().out
    run("export_offline", "to-bin --image-size 16 --center-lines 4 --lines --output lines")
    assert "mask: 4 files of 64 bytes, float32 (16, 1, 1)" in capsys.readouterr().out


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_has_help(action, capsys):
    with pytest.raises(SystemExit) as caught:
        run("export_offline", action + " --help")
    assert caught.value.code == 0 and "--" in capsys.readouterr().out


@pytest.mark.parametrize(
    "line, message",
    [
        ("freeze --weights absent.npz --size 16 20 --output x.pb", "must exist"),
        ("freeze --weights run/best.npz --size 16 20 --output x.om", "must end in one of .pb"),
        ("freeze --weights run/best.npz --size 16 --output x.pb", "must be 2 numbers for this network (cascade)"),
        ("freeze --weights run/best.npz --size 0 12 --output x.pb", "`--size` must be an integer"),
        ("freeze --weights run/best.npz --size 3 16 20 --output x.pb --family series", "`weights` must lie beside"),
        ("onnx --weights run/best.npz --size 16 20 --output x.pb", "must end in one of .onnx"),
        ("savedmodel --weights run/best.npz --size 16 20 --output run/best.npz/saved", "must be a folder or lie in one"),
        ("to-bin --arrays run/best.npz --data images.npy --output bins", "`--arrays` stands for itself"),
        ("to-bin --output run/best.npz", "must be a folder or lie in one"),
        ("to-bin --arrays run/best.npz --output bins", "equally many cases"),
        ("compare absent.pb --bins bins", "must exist"),
        ("compare absent.pb --bins bins --csv report.txt", "must end in one of .csv"),
        ("from-bin absent.pb --device results --output results.csv", "must end in one of .npz"),
        ("inspect run/best.npz", "must be a complete, readable file"),
        ("atc run/best.npz --soc-version 310", "must be the name of an Ascend chip"),
        ("atc run/best.npz --soc-version Ascend310 --keep-dtype kept.json", "must end in one of .cfg .txt"),
    ],
)
def test_refuses_in_words(folder, capsys, line, message):
    assert message in refusal(capsys, "export_offline", line)
