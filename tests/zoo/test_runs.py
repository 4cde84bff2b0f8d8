"""What scripts share: folders of runs, their arguments, and outputs that are known to work."""

import argparse
import os
import pathlib

import pytest

from zoo.runs import (
    errors_in_words,
    default_folder,
    peak_memory,
    read_arguments,
    refuse_other_arguments,
    require_folder,
    require_outputs,
    write_arguments,
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def files():
    return sorted(str(path) for path in pathlib.Path(".").rglob("*"))


def test_default_folder():
    assert default_folder("run", resume=False) == "run" == default_folder("run", resume=True)
    os.mkdir("run")
    os.mkdir("run-2")
    assert default_folder("run", resume=False) == "run-3"
    assert default_folder("run", resume=True) == "run-2"


def test_arguments_come_back():
    write_arguments({"seed": 1, "data": None}, "run/arguments.json")
    assert read_arguments("run/best.npz") == {"seed": 1, "data": None}
    assert read_arguments("best.npz") == {}
    refuse_other_arguments({"seed": 1, "new": 3}, "run/arguments.json")
    with pytest.raises(ValueError, match="`--seed` must be 1 as when the run began. Received: 2"):
        refuse_other_arguments({"seed": 2}, "run/arguments.json")


@pytest.mark.parametrize("text", ["{", "3"])
def test_refuses_arguments_that_are_none(text):
    pathlib.Path("arguments.json").write_text(text)
    with pytest.raises(ValueError, match="`arguments.json` beside the weights must be what the trainer wrote. Received: "):
        read_arguments("best.npz")


def test_outputs_that_can_be_written_leave_nothing():
    pathlib.Path("old.nii").write_text("")
    require_outputs({"--moved": ("new/folder/a.nii", [".nii"]), "--warp": (None, [".nii"]), "--labels": ("old.nii", [".nii"])})
    assert files() == ["old.nii"]


@pytest.mark.parametrize(
    "outputs, words",
    [
        ({"--a": ("a.txt", [".nii", ".npz"])}, "`--a` must end in one of .nii .npz. Received: a.txt. Try a.txt.nii"),
        ({"--a": ("a.nii", [".nii"]), "--b": ("./a.nii", [".nii"])}, "`--b` must be a file of its own"),
        ({"--a": ("input.nii", [".nii"])}, "`--a` must be a file of its own"),
        ({"--a": ("folder.nii", [".nii"])}, "`--a` must be a file of its own"),
        ({"--a": ("input.nii/a.nii", [".nii"])}, "`--a` must be a folder or lie in one. Received: "),
        ({"--a": ("/proc/nothing/a.nii", [".nii"])}, "`--a` must lie in a folder that can be written. Received: /proc"),
    ],
)
def test_refuses_outputs(outputs, words):
    pathlib.Path("input.nii").write_text("")
    os.mkdir("folder.nii")
    if "/proc" in str(outputs) and not os.path.isdir("/proc"):
        pytest.skip("no /proc here")
    before = files()
    with pytest.raises((ValueError, OSError)) as caught:
        require_outputs(outputs, ["input.nii", None])
    assert words in str(caught.value) and files() == before


def test_refuses_a_folder_that_is_a_file():
    pathlib.Path("file").write_text("")
    with pytest.raises(ValueError, match="`--output` must be a folder"):
        require_folder("--output", "file")


def test_peak_memory_is_plausible():
    assert peak_memory() is None or 0.01 < peak_memory() < 1000


@pytest.mark.parametrize(
    "error, status", [(ValueError("`a` must"), 2), (FileNotFoundError("`b` must"), 2), (FloatingPointError("the loss"), 1)]
)
def test_errors_in_words(capsys, error, status):
    with pytest.raises(SystemExit) as ended:
        with errors_in_words(argparse.ArgumentParser(prog="script.py")):
            raise error
    assert ended.value.code == status and capsys.readouterr().err == "script.py: %s\n" % error
    with pytest.raises(KeyError):
        with errors_in_words(argparse.ArgumentParser()):
            raise KeyError("a defect keeps its traceback")
