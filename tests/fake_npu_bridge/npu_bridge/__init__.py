"""A stand-in for Ascend's `npu_bridge` on TensorFlow 1.15, for tests: own code, with the names and the behaviour of its adapter.

`FAKE_NPU_BRIDGE_YEAR` says which adapter it plays: 2021 (February), 2023 or 2026 (default). `calls` records what has been asked.
"""

import os

YEAR = int(os.environ.get("FAKE_NPU_BRIDGE_YEAR", "2026"))
calls = []
