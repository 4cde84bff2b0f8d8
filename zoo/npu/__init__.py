"""Ascend NPUs with `npu_bridge` and TensorFlow 1.15: sessions, compiling, ranks, and host pinning with its proof.

What is here has been checked on graphs of TensorFlow 1.15 and with a stand-in for `npu_bridge`, never on an NPU.
"""

from zoo.npu.bridge import is_available
from zoo.npu.compiling import callbacks, compile, whole_batches
from zoo.npu.launching import launch
from zoo.npu.options import session_config, write_mixlist
from zoo.npu.partition import simulate_partition, training_step
from zoo.npu.pinning import check_host_pinning
from zoo.npu.ranks import rank, read_rank_table, shard, write_rank_table
from zoo.npu.sessions import clear_session, session, supported_batch_normalization

__all__ = [
    "callbacks",
    "check_host_pinning",
    "clear_session",
    "compile",
    "is_available",
    "launch",
    "rank",
    "read_rank_table",
    "session",
    "session_config",
    "shard",
    "simulate_partition",
    "supported_batch_normalization",
    "training_step",
    "whole_batches",
    "write_mixlist",
    "write_rank_table",
]
