"""What training scripts share for NPUs: flags that reach the session, ranks, measured result lines, and each refusal."""

import argparse
import os
import re
import sys

import numpy as np
import pytest

from mrlayers.backend import RUNTIME, keras
from zoo import npu
from zoo.npu import script, sessions

only_tensorflow1 = pytest.mark.skipif(RUNTIME != "tensorflow1", reason="npu_bridge supports TensorFlow 1.15 only")


class Batches:
    """Three batches of two images and one of a single one."""

    def __init__(self, shuffle):
        self.shuffle = shuffle

    def __len__(self):
        return 4

    def epoch(self, index):
        for number in range(4):
            images = np.ones((2 if number < 3 or self.shuffle else 1, 3), "float32")
            yield images, images


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASCEND_DEVICE_ID", "0")  # which `--device-id` sets: this puts it back


def parsed(line, **settings):
    parser = argparse.ArgumentParser()
    parser.add_argument("--output")
    parser.add_argument("--resume", action="store_true")
    script.add_arguments(parser, **settings)
    return parser.parse_args(line.split())


def train(options):
    image = keras.Input((3,))
    model = keras.Model(image, keras.layers.Dense(3, name="dense")(image))
    script.compile(options, model, keras.optimizers.Adam(0.1), "mse")
    fitted = script.fit(options, model, Batches(True), 2, options.output, validation=Batches(False), verbose=0)
    return fitted, "Dice", 0.5


def test_without_flags_nothing_is_different(capsys):
    options = parsed("")
    assert not script.asked(options)
    assert script.run(train, options, "run") is None
    assert options.output == "run" and os.path.exists("run/last.npz")
    assert capsys.readouterr().out == ""
    assert os.environ["ASCEND_DEVICE_ID"] == "0"
    script.run(train, parsed(""), "run")
    assert os.path.exists("run-2/last.npz")


def test_two_scripts_differ_in_the_loss_scale():
    assert parsed("--loss-scale 1024").npu_loss_scale == 1024
    assert parsed("--loss-scale dynamic").npu_loss_scale == "dynamic"
    parser = argparse.ArgumentParser()
    parser.add_argument("--loss-scale")
    script.add_arguments(parser, loss_scale=False)
    options = parser.parse_args(["--loss-scale", "1024"])
    assert options.npu_loss_scale is None
    assert script.asked(options) == npu.is_available()


@only_tensorflow1
def test_flags_train_on_the_cpu_without_npu_bridge_and_end_with_the_published_lines(capsys):
    with pytest.warns(UserWarning, match="TensorFlow runs on the CPU"):
        script.run(train, parsed("--precision-mode force_fp16 --output run"), "unused")
    lines = capsys.readouterr().out.strip().splitlines()[-4:]
    number = r"\d+(\.\d+)?(e-\d+)?$"
    assert re.match("Final Performance images/sec : " + number, lines[0])
    assert re.match("Final Train Loss : " + number, lines[1])
    assert lines[2] == "Final Accuracy Dice : 0.5"
    assert re.match("E2E Training Duration sec : " + number, lines[3])
    assert os.path.exists("run/last.npz")


@only_tensorflow1
@pytest.mark.parametrize("flags", ["", "--precision-mode force_fp16 --loss-scale dynamic --device-id 3"])
def test_flags_reach_the_session(install, capsys, flags):
    calls = install()
    seen = {}

    def watched(options):
        optimizer = sessions.current("a test").config.graph_options.rewrite_options.custom_optimizers[0]
        seen.update(mode=optimizer.parameter_map["precision_mode"].s.decode(), device=npu.rank().device)
        return train(options)

    script.run(watched, parsed(flags), "run")
    assert seen == ({"mode": "force_fp16", "device": 3} if flags else {"mode": "", "device": 0})
    assert (("NPULossScaleOptimizer", False) in calls) == bool(flags)
    assert "Final Accuracy Dice" in capsys.readouterr().out


@only_tensorflow1
def test_a_loss_scale_of_the_script_goes_before_that_of_the_flag(install):
    calls = install()
    with npu.session():
        image = keras.Input((3,))
        model = keras.Model(image, keras.layers.Dense(3)(image))
        script.compile(parsed("--loss-scale dynamic"), model, keras.optimizers.Adam(0.1), "mse", 512.0)
    assert ("FixedLossScaleManager", 512.0) in calls


@only_tensorflow1
def test_rank_one_of_two_has_its_own_batches_and_folder(install, two_ranks, monkeypatch, capsys):
    calls = install()
    lengths = []

    def shard(batches):
        lengths.append(len(npu.shard(batches)))
        return npu.shard(batches)

    monkeypatch.setattr(script.ranks, "shard", shard)
    monkeypatch.setattr(script.Speed, "images_per_second", lambda self: 10.0)
    script.run(train, parsed("--ranks 2 --rank-table %s --output run" % two_ranks["RANK_TABLE_FILE"]), "unused")
    assert lengths == [2]
    assert "broadcast" in [call[0] for call in calls]
    assert "Final Performance images/sec : 20.00\n" in capsys.readouterr().out  # of both
    assert os.listdir("run") == ["rank-1"] and os.path.exists("run/rank-1/last.npz")


@only_tensorflow1
def test_ranks_start_this_script_once_for_each(install, tmp_path, monkeypatch, capfd):
    install()
    table = npu.write_rank_table("2p.json", {"10.0.0.10": {0: "192.168.100.100", 1: "192.168.101.100"}})
    (tmp_path / "rank.py").write_text(
        "import os, sys\n"
        "print('rank', os.environ['RANK_ID'], os.environ['JOB_ID'], *sys.argv[1:])\n"
        "print('Final Train Loss : 1')\n"
    )
    arguments = ["--ranks", "2", "--rank-table", table]
    monkeypatch.setattr(sys, "argv", ["rank.py"] + arguments)
    script.run(train, parsed(" ".join(arguments)), "run")
    printed = capfd.readouterr().out
    assert "2 ranks train; what they print is in run/rank-0.log" in printed
    assert printed.endswith("rank 0 mrlayers --ranks 2 --rank-table 2p.json --output run\nFinal Train Loss : 1\n")
    with open("run/rank-1.log") as file:
        assert file.read().startswith("rank 1 mrlayers")

    (tmp_path / "rank.py").write_text("import sys; sys.exit('no memory')")
    with pytest.raises(SystemExit, match=r"rank.py: Rank \d ended with status 1: no memory"):
        script.run(train, parsed(" ".join(arguments)), "other")


@only_tensorflow1
@pytest.mark.parametrize(
    "flags, message",
    [
        ("--loss-scale big", "`loss_scale` must be None, 'dynamic' or a number of at least 1. Received: 'big'"),
        ("--ranks 0", "`--ranks` must be an integer from 1"),
        ("--ranks 2", "must be given together. Received: --ranks 2. Try both"),
        ("--rank-table a.json", "must be given together. Received: --rank-table alone"),
        ("--ranks 2 --rank-table a.json --device-id 1", "`--device-id` must be left to `--rank-table`"),
        ("--ranks 2 --rank-table a.json", "`RANK_TABLE_FILE` must be a JSON file. Received: a.json"),
        ("--device-id -1", "`ASCEND_DEVICE_ID` must be a whole number from 0"),
    ],
)
def test_refuses_flags_before_anything_else(install, flags, message):
    install()
    with pytest.raises(ValueError, match=message):
        script.run(None, parsed(flags), "run")
    assert os.listdir(".") == []


@only_tensorflow1
def test_refuses_ranks_without_npu_bridge():
    with pytest.raises(ValueError, match="`--ranks` must be 1 without `npu_bridge`.*Received: --ranks 2"):
        script.run(None, parsed("--ranks 2 --rank-table a.json"), "run")


@only_tensorflow1
def test_refuses_ranks_in_a_process_that_is_one_of_others(install, monkeypatch):
    install()
    monkeypatch.setenv("RANK_ID", "0")
    with pytest.raises(ValueError, match="Received: --ranks 2, with RANK_ID and RANK_SIZE=1. Try to unset RANK_ID"):
        script.run(None, parsed("--ranks 2 --rank-table a.json"), "run")


@only_tensorflow1
def test_refuses_ranks_that_would_not_find_the_same_folder(install, two_ranks):
    install()
    with pytest.raises(ValueError, match="`--output` must be given to ranks"):
        script.run(None, parsed(""), "run")


@pytest.mark.skipif(RUNTIME == "tensorflow1", reason="what other runtimes say")
@pytest.mark.parametrize("flag", ["--precision-mode force_fp16", "--loss-scale 2", "--device-id 0", "--ranks 1"])
def test_other_runtimes_refuse_the_flags(flag):
    with pytest.raises(
        ValueError, match="`%s` must run on TensorFlow 1.15.*Received: Keras 3 on %s" % (flag.split()[0], RUNTIME)
    ):
        script.run(None, parsed(flag), "run")


def test_speed_leaves_out_the_first_step_and_the_time_between_epochs(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(script.time, "perf_counter", lambda: now[0])
    speed = script.Speed()
    assert np.isnan(speed.images_per_second())
    for between, steps in ((0, (100, 2, 2)), (50, (1, 1))):
        now[0] += between
        speed.on_epoch_begin(0)
        for seconds in steps:
            now[0] += seconds
            speed.on_train_batch_end(0, {"size": 3})
    assert speed.images_per_second() == 12 / 6.0


def test_other_options_of_compile_are_kept():
    image = keras.Input((3,))
    model = keras.Model(image, keras.layers.Dense(3)(image))
    script.compile(parsed(""), model, keras.optimizers.Adam(0.1), "mse", metrics=["mae"])
    assert len(np.ravel(model.test_on_batch(np.ones((2, 3)), np.ones((2, 3))))) == 2
