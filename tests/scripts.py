"""The scripts in `examples/` as a user runs them, in this process."""

import importlib.util
import pathlib
import sys
from unittest import mock

import pytest

from mrlayers.backend import RUNTIME, keras

EXAMPLES = pathlib.Path(__file__).resolve().parents[1] / "examples"


def load(name):
    """`examples/name.py` as a module; dies with TensorFlow 1.15: a graph of its own for each run there."""
    if RUNTIME == "tensorflow1":
        keras.backend.clear_session()
    specification = importlib.util.spec_from_file_location(name, str(EXAMPLES / (name + ".py")))
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def run(name, line):
    with mock.patch.object(sys, "argv", [name + ".py"] + line.split()):
        load(name).main()


def refusal(capsys, name, line):
    """The one sentence of a refused run, which must leave nothing behind."""
    before = files()
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        run(name, line)
    assert caught.value.code == 2
    assert files() == before
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith(name + ".py: ") and "Received: " in message
    return message


def files():
    return sorted(str(path) for path in pathlib.Path(".").rglob("*"))
