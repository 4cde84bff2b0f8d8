"""Puts `runtime.py`, `contract.py` and `scripts.py` on the path of every test, and gives each test a clean Keras."""

import os
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Most of JAX's time here goes into compiling, and most of that into passes which arrays as small as these never pay back.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
SHARED = pathlib.Path(os.environ.get("MRLAYERS_SHARED", ROOT.parent / "shared"))


@pytest.fixture(autouse=True)
def clean_keras():
    from mrlayers.backend import RUNTIME, keras, set_precision, set_seed

    if RUNTIME == "tensorflow1":  # whose one graph would grow from test to test; dies with TensorFlow 1.15
        keras.backend.clear_session()
    set_seed(0)
    yield
    set_precision("float32")


@pytest.fixture
def shared():
    """`shared("weights/d5_c5.npz")`: a path in the shared folder, or a skipped test that says what is absent."""

    def find(name):
        path = SHARED / name
        if not path.exists():
            pytest.skip("{} is absent (set MRLAYERS_SHARED)".format(path))
        return str(path)

    return find
