"""Starts one process per rank on this machine, and ends all when one fails."""

import os
import subprocess
import time

from mrlayers.checks import refusal, require_integer
from zoo.files import make_folder
from zoo.npu.ranks import read_rank_table

GRACE = 10.0


def launch(command, ranks, output, table=None, job="mrlayers"):
    """Runs `command` once for each rank, with its environment, until all have ended. Logs are `output/rank-0.log` and so on.

    Args:
        command: list of texts, such as `[sys.executable, "examples/train_cascade.py"]`.
        ranks: number of processes.
        output: folder of the logs, made if it is missing.
        table: rank table (`write_rank_table`) with this number of ranks, all on this machine; needed for more than one rank.
            Rank `index` runs on the device that the table has for it; without a table it is that of `ASCEND_DEVICE_ID`, or 0.
        job: text that all ranks share, `JOB_ID`.

    Returns:
        Paths of the logs.

    Raises:
        ValueError: no table for more than one rank, another number of ranks in it, or an empty `command` or `job`.
        RuntimeError: a rank failed; the sentence says which, how, and where its log is. The others have been ended.
    """
    require_integer("ranks", ranks, 1)
    if isinstance(command, str) or not command:
        raise refusal("`command` must be a list of texts", repr(command), "[sys.executable, 'train.py']")
    if not job:
        raise refusal("`job` must be a text that is not empty", repr(job), "job='mrlayers'")
    devices = _devices(ranks, table)
    make_folder(output)
    logs = [os.path.join(output, "rank-%d.log" % index) for index in range(ranks)]
    processes = []
    try:
        for index, log in enumerate(logs):
            with open(log, "wb") as file:
                environment = dict(os.environ, **_environment(index, devices, table, job))
                processes.append(subprocess.Popen(list(command), env=environment, stdout=file, stderr=subprocess.STDOUT))
        _wait(processes, logs)
    finally:
        _end(processes)
    return logs


def _devices(ranks, table):
    if table is None and ranks > 1:
        raise refusal("`table` must be a rank table for more than one rank", table, "npu.write_rank_table")
    if table is None:
        return [os.environ.get("ASCEND_DEVICE_ID") or 0]
    found = read_rank_table(table)
    if len(found) != ranks or len({device.server for device in found}) > 1:
        received = "%s with %d on %d servers" % (table, len(found), len({device.server for device in found}))
        raise refusal("`table` must hold %d ranks on this one machine" % ranks, received, "ranks=%d" % len(found))
    return [device.device for device in found]


def _environment(index, devices, table, job):
    """What adapters of all years read; the two names without ASCEND are those of the oldest scripts."""
    device = str(devices[index])
    chosen = {"RANK_ID": str(index), "RANK_SIZE": str(len(devices)), "JOB_ID": job}
    chosen.update(ASCEND_DEVICE_ID=device, DEVICE_ID=device, DEVICE_INDEX=device)
    if table is not None:
        chosen["RANK_TABLE_FILE"] = os.path.abspath(table)
    return chosen


def _wait(processes, logs):
    """Until all have ended well, or one has not."""
    running = dict(enumerate(processes))
    while running:
        for index, status in [(index, process.poll()) for index, process in running.items()]:
            if status:
                raise RuntimeError(
                    "Rank %d ended with status %d: %s. The other ranks have been ended. Its log is %s."
                    % (index, status, _last_line(logs[index]), logs[index])
                )
            if status == 0:
                del running[index]
        time.sleep(0.05)


def _end(processes):
    """Asks those that still run to end, and ends those that do not."""
    for process in processes:
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + GRACE
    for process in processes:
        try:
            process.wait(max(0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _last_line(path):
    with open(path, errors="replace") as file:
        lines = file.read().strip().splitlines()
    return lines[-1].rstrip(".") if lines else "it wrote nothing"
