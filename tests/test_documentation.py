"""What the README and the docstrings show must run."""

import doctest
import importlib
import pathlib
import re
import runpy
import sys

import pytest

from runtime import RUNTIME

ROOT = pathlib.Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
MIGRATION_TABLES = {  # heads of the tables "Coming from other code", by the script whose flags stand in their first column
    "train_cascade.py": "| here | ModelZoo CascadeNet |",
    "train_dynamic.py": "| series, here |",
    "train_voxelmorph.py": "| registration, here |",
    "train_unet.py": "| segmentation, here |",
}


def test_python_of_the_readme():
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.S)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


@pytest.mark.skipif(RUNTIME != "tensorflow1", reason="NPUs run TensorFlow 1.15")
def test_python_of_the_readme_for_npus(tmp_path, monkeypatch):
    (block,) = re.findall(r"```python tensorflow1\n(.*?)```", README, flags=re.S)
    monkeypatch.chdir(tmp_path)
    with pytest.warns(UserWarning, match="`npu_bridge` is not installed"):
        exec(compile(block, "README.md", "exec"), {})


@pytest.mark.parametrize(
    "name",
    ["consistency", "depth", "fourier", "recurrence", "sharing", "warping"]
    + ["unet." + name for name in ("convolutions", "levels", "normalization")],
)
def test_examples_in_docstrings(name):
    result = doctest.testmod(importlib.import_module("mrlayers." + name))
    assert result.attempted > 2 and result.failed == 0


@pytest.mark.parametrize(
    "script",
    sorted(path.relative_to(ROOT / "examples").as_posix() for path in (ROOT / "examples").rglob("*.py"))
    + ["../benchmarks/data_consistency.py"],
)
def test_flags_of_the_readme_exist(script, monkeypatch, capsys):
    """Every flag that stands beside a script's name in the README, and the first column of its table of other code."""
    path = ROOT / "examples" / script
    monkeypatch.setattr(sys, "path", [str(path.parent)] + sys.path)

    def help_of(*action):
        monkeypatch.setattr(sys, "argv", [str(path)] + list(action) + ["--help"])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(path), run_name="__main__")
        assert not ended.value.code
        return capsys.readouterr().out

    printed = help_of()
    lines = [line for line in README.splitlines() if pathlib.Path(script).name in line]
    if "action ..." in printed:
        actions = {action for line in lines for action in re.findall(re.escape(path.name) + r" ([a-z-]+)", line)}
        printed += "".join(help_of(action) for action in sorted(actions))
    if script in MIGRATION_TABLES:
        table = README.split(MIGRATION_TABLES[script])[1].split("\n\n")[0].splitlines()
        rows = [line.split("|")[1] for line in table if line.startswith("| `--")]
        assert len(rows) > 5
        lines += rows
    for line in lines:
        for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]*", line):
            assert flag in printed, (flag, script)
