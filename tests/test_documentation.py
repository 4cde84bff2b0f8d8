"""What the README and the docstrings show must run."""

import doctest
import importlib
import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def test_python_of_the_readme():
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.S)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


# the heads of the tables "Coming from other code", by the script whose flags stand in their first column
MIGRATION_TABLES = {"train_cascade.py": "| here | ModelZoo CascadeNet |", "train_voxelmorph.py": "| registration, here |"}


@pytest.mark.parametrize("name", ["mrlayers.fourier", "mrlayers.consistency"])
def test_examples_in_docstrings(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 3 and result.failed == 0


@pytest.mark.parametrize(
    "script", sorted(path.name for path in (ROOT / "examples").glob("*.py")) + ["../benchmarks/data_consistency.py"]
)
def test_flags_of_the_readme_exist(script):
    """Every flag that stands beside a script's name in the README, and the first column of its table of other code."""
    command = [sys.executable, str(ROOT / "examples" / script), "--help"]
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, universal_newlines=True)
    assert done.returncode == 0
    lines = [line for line in README.splitlines() if pathlib.Path(script).name in line]
    if script in MIGRATION_TABLES:
        table = README.split(MIGRATION_TABLES[script])[1].split("\n\n")[0].splitlines()
        rows = [line.split("|")[1] for line in table if line.startswith("| `--")]
        assert len(rows) > 5
        lines += rows
    for line in lines:
        for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]*", line):
            assert flag in done.stdout, (flag, script)
