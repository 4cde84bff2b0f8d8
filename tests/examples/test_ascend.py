"""Ascend's entry points as a user of ModelZoo calls them: each option reaches the trainer, and the run ends with its result lines."""

import csv
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from mrlayers.backend import RUNTIME
from scripts import EXAMPLES, refusal, run
from zoo.npu import script, write_rank_table
from zoo.runs import read_arguments

FAKE = str(EXAMPLES.parent / "tests" / "fake_npu_bridge")
LINES = (
    "Final Performance images/sec : 12.5\nFinal Train Loss : 0.1\nFinal Accuracy Dice : 0.8\nE2E Training Duration sec : 3.0\n"
)
TRAINER = """#!/usr/bin/env bash
for argument in "$@"; do echo "<$argument>"; done
for name in JOB_ID RANK_ID RANK_SIZE HCCL_CONNECT_TIMEOUT; do echo "$name=${!name-unset}"; done
printf '%s' "$STUB_LINES"
exit "${STUB_STATUS:-0}"
"""
RESULTS = ["Final Performance images/sec", "Final Train Loss", "Final Accuracy PSNR (complex-max)", "E2E Training Duration sec"]
OPTIONS = {
    "data_path": "--data",
    "output_path": "--output",
    "precision_mode": "--precision-mode",
    "loss_scale": "--loss-scale",
    "batch_size": "--batch-size",
    "train_epochs": "--epochs",
    "device_id": "--device-id",
    "rank_table": "--rank-table",
    "ranks": "--ranks",
}
SMALL = "--image-size 32 --cascades 1 --convolutions 2 --filters 2 --center-lines 4 --epochs 2"
only_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="the entry points are scripts of bash")
only_tensorflow1 = pytest.mark.skipif(RUNTIME != "tensorflow1", reason="npu_bridge supports TensorFlow 1.15 only")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("JOB_ID", "RANK_ID", "RANK_SIZE", "HCCL_CONNECT_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)
    pathlib.Path("stub").write_text(TRAINER)
    os.chmod("stub", 0o755)
    return tmp_path


def call(entry_point, *arguments, **environment):
    """`(status, output, errors)` of an entry point with the trainer replaced by one that says what it is given."""
    chosen = dict(dict(os.environ, PYTHON="./stub", STUB_LINES=LINES), **environment)
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    command = ["bash", str(EXAMPLES / "ascend" / ("train_%s.sh" % entry_point))]
    done = subprocess.run(command + list(arguments), env=chosen, **pipes)
    return done.returncode, done.stdout, done.stderr


def passed_on(output):
    """What the trainer was given: its path, a dict of flags, and what came behind `--`."""
    found = re.findall(r"^<(.*)>$", output, flags=re.M)
    end = found.index("--more") if "--more" in found else len(found)
    return os.path.basename(found[0]), dict(argument.split("=", 1) for argument in found[1:end]), found[end:]


def documented(entry_point):
    return re.findall(r"^  --(\w+)=", call(entry_point, "--help")[1], flags=re.M)


@only_bash
@pytest.mark.parametrize("entry_point", ["full_1p", "performance_1p", "8p"])
def test_every_documented_option_reaches_the_trainer(folder, entry_point):
    names = documented(entry_point)
    assert set(OPTIONS) - set(names) == ({"device_id"} if entry_point == "8p" else {"rank_table", "ranks"})
    values = {name: "-a '%s' = $HOME" % name for name in names}
    arguments = ["--%s=%s" % (name, value) for name, value in values.items()]
    status, output, _ = call(entry_point, "cascade", *arguments, "--", "--more", "two words")
    assert status == 0
    trainer, flags, more = passed_on(output)
    assert trainer == "train_cascade.py" and more == ["--more", "two words"]
    assert flags == {OPTIONS[name]: value for name, value in values.items()}


@only_bash
def test_defaults_of_each_family_and_kind(folder):
    for family in ("cascade", "dynamic", "voxelmorph", "unet"):
        trainer, flags, _ = passed_on(call("full_1p", "--family=" + family)[1])
        assert (trainer, flags) == ("train_%s.py" % family, {"--precision-mode": "allow_mix_precision"})
        _, flags, _ = passed_on(call("performance_1p", family)[1])
        steps = {"--steps-per-epoch": "20"} if family in ("voxelmorph", "unet") else {}
        assert flags == dict({"--precision-mode": "allow_mix_precision", "--epochs": "2"}, **steps)
    _, flags, _ = passed_on(call("8p", "unet", "--rank_table=8p.json")[1])
    assert flags == {"--precision-mode": "allow_mix_precision", "--ranks": "8", "--rank-table": "8p.json"}


@only_bash
def test_the_environment_is_completed_and_kept(folder):
    output = call("full_1p", "cascade")[1]
    assert "JOB_ID=10087\nRANK_ID=0\nRANK_SIZE=1\nHCCL_CONNECT_TIMEOUT=unset\n" in output
    assert "JOB_ID=7\nRANK_ID=0" in call("full_1p", "cascade", JOB_ID="7")[1]
    output = call("8p", "cascade", "--rank_table=8p.json", RANK_ID="0", RANK_SIZE="1")[1]
    assert "RANK_ID=unset\nRANK_SIZE=unset\nHCCL_CONNECT_TIMEOUT=300\n" in output


@only_bash
def test_ends_with_the_result_lines_or_with_the_status_of_the_trainer(folder):
    os.mkdir("temporary")
    status, output, _ = call("full_1p", "cascade", TMPDIR="temporary")
    assert status == 0 and output.endswith("Final result ------------------\n" + LINES)
    assert os.listdir("temporary") == []
    status, output, _ = call("full_1p", "cascade", STUB_STATUS="3")
    assert status == 3 and "Final result" not in output
    status, _, errors = call("full_1p", "cascade", STUB_LINES="")
    assert status == 1 and "the trainer printed no result lines" in errors


@only_bash
@pytest.mark.parametrize(
    "entry_point, arguments, message",
    [
        ("full_1p", "", "FAMILY must be one of cascade dynamic voxelmorph unet. Received: none."),
        ("full_1p", "cascades", "Received: cascades."),
        ("full_1p", "cascad. --batch_size=4", "Received: cascad.."),
        ("full_1p", "cascade unet", "there must be one family. Received: cascade and unet."),
        ("full_1p", "cascade --data_dir=x", "Received: --data_dir=x. Try --data_path= --output_path="),
        ("full_1p", "cascade --rank_table=x", "Received: --rank_table=x."),
        ("8p", "cascade --device_id=0", "Received: --device_id=0."),
        ("8p", "cascade", "--rank_table= must name the NPUs. Received: none. Try --rank_table=8p.json"),
        ("full_1p", "cascade --batch_size 4", "with = and a value. Received: --batch_size."),
        ("full_1p", "cascade --batch_size=", "an option must have a value. Received: --batch_size=."),
    ],
)
def test_refusals(folder, entry_point, arguments, message):
    status, output, errors = call(entry_point, *arguments.split())
    assert (status, output) == (2, "")
    assert errors.startswith("train_%s.sh: " % entry_point) and message in errors


def train(entry_point, *arguments, **environment):
    """An entry point with the trainer itself, on a network and images that are tiny: output, errors and the result lines."""
    command = ["bash", str(EXAMPLES / "ascend" / ("train_%s.sh" % entry_point)), "cascade", "--output_path=my run"]
    chosen = dict(os.environ, PYTHON=sys.executable, TF_CPP_MIN_LOG_LEVEL="3", **environment)
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    done = subprocess.run(command + list(arguments) + ["--"] + SMALL.split(), env=chosen, **pipes)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.split("Final result ------------------\n")[1].splitlines()
    return done.stdout, done.stderr, {name: float(value) for name, value in (line.split(" : ") for line in lines)}


@only_bash
@only_tensorflow1
@pytest.mark.parametrize("bridge", ["without", "with"])
def test_trains_a_cascade_to_result_lines_that_were_measured(folder, bridge):
    environment = dict(PYTHONPATH=FAKE, FAKE_NPU_BRIDGE_YEAR="2026") if bridge == "with" else {}
    _, errors, values = train("performance_1p", "--loss_scale=dynamic", **environment)
    assert ("TensorFlow runs on the CPU" in errors) == (bridge == "without")
    assert list(values) == RESULTS and all(value > 0 for value in values.values())
    assert not set(script.FLAGS).intersection(read_arguments("my run/last.npz"))
    with open("my run/history.csv") as file:
        assert values["Final Train Loss"] == pytest.approx(float(list(csv.DictReader(file))[-1]["loss"]), rel=1e-5)


@only_bash
@only_tensorflow1
@pytest.mark.slow  # three processes with TensorFlow
def test_trains_a_cascade_on_two_ranks(folder):
    table = write_rank_table("2p.json", {"10.0.0.10": {0: "192.168.100.100", 1: "192.168.101.100"}})
    environment = dict(PYTHONPATH=FAKE, FAKE_NPU_BRIDGE_YEAR="2026")
    output, _, values = train("8p", "--ranks=2", "--rank_table=" + table, **environment)
    assert list(values) == RESULTS and "2 ranks train; what they print is in my run/rank-0.log" in output
    assert os.path.exists("my run/last.npz") and os.path.exists("my run/rank-1/last.npz")
    with open("my run/rank-1.log") as file:
        assert "8/8" in file.read()  # of 16 batches


@pytest.mark.skipif(RUNTIME == "tensorflow1", reason="what other runtimes say")
@pytest.mark.parametrize("name", ["cascade", "dynamic", "voxelmorph", "unet"])
def test_trainers_refuse_the_flags_on_other_runtimes(folder, capsys, name):
    message = refusal(capsys, "train_" + name, "--precision-mode force_fp16")
    assert "`--precision-mode` must run on TensorFlow 1.15" in message


@only_tensorflow1
@pytest.mark.parametrize(
    "name, metric, line",
    [
        (
            "dynamic",
            "PSNR (complex-max)",
            "--model cascade --frames 2 --image-size 16 --acceleration 2 --cascades 1 --filters 2",
        ),
        ("voxelmorph", "Dice", "--image-size 16 --variant vm1 --steps-per-epoch 2"),
        ("unet", "Dice, mean of classes", "--filters 2 --depth 1 --size 24 --batch-size 2 --steps-per-epoch 2"),
    ],
)
def test_other_trainers_take_the_flags(folder, capsys, monkeypatch, name, metric, line):
    monkeypatch.syspath_prepend(FAKE)
    import npu_bridge

    try:
        run("train_" + name, line + " --epochs 1 --output run --precision-mode allow_fp32_to_fp16 --loss-scale 1024")
        assert ("FixedLossScaleManager", 1024.0) in npu_bridge.calls
    finally:
        for module in [module for module in sys.modules if module.split(".")[0] == "npu_bridge"]:
            del sys.modules[module]
    assert "\nFinal Accuracy %s : " % metric in capsys.readouterr().out
    assert not set(script.FLAGS).intersection(read_arguments("run/last.npz"))
