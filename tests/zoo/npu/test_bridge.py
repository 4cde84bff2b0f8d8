"""What of `npu_bridge` is installed: none, one of any year, a broken one."""

import sys

import pytest

from mrlayers.backend import RUNTIME
from zoo import npu
from zoo.npu import bridge

tensorflow1 = pytest.mark.skipif(RUNTIME != "tensorflow1", reason="npu_bridge supports TensorFlow 1.15 only")


def test_none_is_installed():
    assert not npu.is_available()
    assert not [name for name in sys.modules if name.startswith("npu_bridge")]


@tensorflow1
def test_asking_imports_nothing(install):
    install()
    del sys.modules["npu_bridge"]
    assert npu.is_available()
    assert "npu_bridge" not in sys.modules


@tensorflow1
@pytest.mark.parametrize("year", [2021, 2023, 2026])
def test_year_and_names(install, year):
    install(year)
    assert bridge.year() == year
    assert (bridge.find("npu_distributed_optimizer_wrapper") is None) == (year == 2021)
    assert bridge.find("NPULossScaleOptimizer") is not None


@tensorflow1
def test_a_broken_installation_is_said_in_words(monkeypatch, tmp_path):
    (tmp_path / "npu_bridge").mkdir()
    (tmp_path / "npu_bridge" / "__init__.py").write_text("raise ImportError('no _tf_adapter.so')")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert npu.is_available()
    with pytest.raises(ValueError, match="`npu_bridge` must be importable. Received: ImportError: no _tf_adapter.so. Try"):
        with npu.session():
            pass


@pytest.mark.skipif(RUNTIME == "tensorflow1", reason="what Keras 3 refuses")
@pytest.mark.parametrize(
    "call",
    [
        lambda: npu.session().__enter__(),
        npu.session_config,
        npu.clear_session,
        npu.callbacks,
        lambda: npu.compile(None, "adam"),
        lambda: npu.supported_batch_normalization().__enter__(),
    ],
)
def test_keras_3_refuses(call):
    with pytest.raises(
        ValueError, match="must run on TensorFlow 1.15, the only one that `npu_bridge` supports. Received: Keras 3"
    ):
        call()
