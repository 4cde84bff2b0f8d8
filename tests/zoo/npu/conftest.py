"""The stand-in for `npu_bridge` that a test asks for, and an environment in which no test finds the ranks of another."""

import pathlib
import sys

import pytest

FAKE = str(pathlib.Path(__file__).resolve().parents[2] / "fake_npu_bridge")
VARIABLES = (
    "RANK_ID RANK_SIZE ASCEND_DEVICE_ID JOB_ID RANK_TABLE_FILE CM_WORKER_SIZE CM_CHIEF_IP CM_CHIEF_PORT CM_CHIEF_DEVICE"
).split()


def _forget():
    for name in [name for name in sys.modules if name.split(".")[0] == "npu_bridge"]:
        del sys.modules[name]


@pytest.fixture(autouse=True)
def no_ranks(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def install(monkeypatch):
    """`install(2021)` puts the adapter of that year on the path and returns what it is asked from then on."""

    def installed(year=2026):
        _forget()
        monkeypatch.syspath_prepend(FAKE)
        monkeypatch.setenv("FAKE_NPU_BRIDGE_YEAR", str(year))
        import npu_bridge

        return npu_bridge.calls

    yield installed
    _forget()


@pytest.fixture
def two_ranks(monkeypatch, tmp_path):
    """The environment of rank 1 of 2."""
    from zoo import npu

    table = npu.write_rank_table(str(tmp_path / "2p.json"), {"10.0.0.10": {0: "192.168.100.100", 1: "192.168.101.100"}})
    values = {"RANK_ID": "1", "RANK_SIZE": "2", "ASCEND_DEVICE_ID": "1", "JOB_ID": "10087", "RANK_TABLE_FILE": table}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return values
