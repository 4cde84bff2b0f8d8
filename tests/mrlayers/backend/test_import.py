"""What `import mrlayers` says where something is missing, in processes of their own."""

import os
import subprocess
import sys

import pytest

from runtime import RUNTIME

BLOCK = "import sys; sys.modules.update({name: None for name in %r}); "
PYTHON = "import sys; from collections import namedtuple; sys.version_info = (3, %d, 0, 'final', 0); "

KERAS3 = [
    (
        BLOCK % ["keras"],
        "mrlayers needs Keras 3.8 or later and one backend. Received: no Keras. Try `pip install mrlayers[tensorflow]`.",
    ),
    (
        BLOCK % ["tensorflow", "jax", "torch"],
        "mrlayers needs a Keras backend: TensorFlow, JAX or PyTorch. Received: none of them.",
    ),
    (
        "import os; os.environ['KERAS_BACKEND'] = 'jax'; " + BLOCK % ["jax"],
        "mrlayers could not import Keras with its backend 'jax'",
    ),
    ("import keras; keras.__version__ = '3.7.0'; ", "mrlayers needs Keras 3.8 or later on this Python. Received: Keras 3.7.0."),
    (
        "import keras; keras.backend.backend = lambda: 'openvino'; ",
        "mrlayers runs on the Keras backends tensorflow, jax and torch. Received: KERAS_BACKEND=openvino.",
    ),
    (PYTHON % 9, "mrlayers runs on Python 3.7 (TensorFlow 1.15.0) and on Python 3.10 or later (Keras 3). Running: Python 3.9."),
]
TENSORFLOW1 = [
    (BLOCK % ["tensorflow"], "mrlayers needs TensorFlow 1.15.0 on Python 3.7"),
    ("import tensorflow; tensorflow.__version__ = '2.4.0'; ", "Received: TensorFlow 2.4.0. Try `pip install"),
    ("import numpy; numpy.__version__ = '1.21.6'; ", "TensorFlow 1.15.0 needs NumPy below 1.20. Received: NumPy 1.21.6."),
    (PYTHON % 8, "mrlayers runs on Python 3.7 (TensorFlow 1.15.0) and on Python 3.10 or later (Keras 3). Running: Python 3.8."),
]


@pytest.mark.parametrize("before, sentence", TENSORFLOW1 if RUNTIME == "tensorflow1" else KERAS3)
def test_sentence(before, sentence):
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if "/tests" not in path))
    done = subprocess.run(
        [sys.executable, "-c", before + "import mrlayers"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
    )
    last = done.stdout.strip().splitlines()[-1]
    assert last.startswith("ImportError: ") and sentence in last and ("Try " in last or "Install " in last)


def test_npu_bridge_is_not_needed():
    done = subprocess.run(
        [sys.executable, "-c", BLOCK % ["npu_bridge"] + "import mrlayers, zoo.cascade"], stderr=subprocess.PIPE
    )
    assert done.returncode == 0, done.stderr[-2000:]
