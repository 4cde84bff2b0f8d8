"""Ascend's `npu_bridge`, where it is installed: its names are looked up, and nothing of it is imported before it is needed."""

import importlib
import importlib.util

from mrlayers.backend import RUNTIME
from mrlayers.checks import refusal

# A name that an adapter has since about that year, newest first; without any of them it is one of 2021.
_SIGNS = ((2026, "npu_scope", "limit_core_num_scope"), (2023, "npu_plugin", "is_inf_nan_enabled"))


def is_available():
    """Whether `npu_bridge` is installed for the TensorFlow 1.15 that runs. Imports nothing of it."""
    return RUNTIME == "tensorflow1" and importlib.util.find_spec("npu_bridge") is not None


def tensorflow(caller):
    """The module `tensorflow` of version 1.15, or one sentence that says that `caller` needs it."""
    if RUNTIME != "tensorflow1":
        expected = "`%s` must run on TensorFlow 1.15, the only one that `npu_bridge` supports" % caller
        raise refusal(expected, "Keras 3 on " + RUNTIME, "it with Python 3.7, or without the options of NPUs")
    return importlib.import_module("tensorflow")


def load():
    """The module `npu_bridge.npu_init`. Its import registers the passes of the NPU, so it comes before the first session."""
    try:
        return importlib.import_module("npu_bridge.npu_init")
    except Exception as error:  # a broken toolkit shows itself as an ImportError, an OSError or an error of TensorFlow
        received = "%s: %s" % (type(error).__name__, error)
        raise refusal("`npu_bridge` must be importable", received, "`source set_env.sh` of the Ascend toolkit") from error


def find(name):
    """What the installed adapter calls `name`, or `None` for one that is too old to have it."""
    return getattr(load(), name, None)


def year():
    """About when the installed adapter was made: 2021, 2023 or 2026."""
    load()
    for when, module, name in _SIGNS:
        if hasattr(importlib.import_module("npu_bridge.estimator.npu." + module), name):
            return when
    return 2021
