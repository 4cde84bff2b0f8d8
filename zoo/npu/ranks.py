"""Data parallelism as in the published eight-device scripts: one process per device, found by environment and rank table."""

import collections
import ipaddress
import itertools
import json
import os

from mrlayers.checks import refusal
from zoo.files import written_whole

Rank = collections.namedtuple("Rank", "index size device")
Device = collections.namedtuple("Device", "rank device ip server")


def rank(environment=None):
    """The place of this process among all: `Rank(index, size, device)`, `Rank(0, 1, 0)` where the environment says nothing.

    With more than one rank, the environment holds `RANK_SIZE`, `RANK_ID`, `ASCEND_DEVICE_ID`, `JOB_ID` and `RANK_TABLE_FILE`,
    as `launch` sets them; or, without a table, `CM_WORKER_SIZE`, `CM_CHIEF_IP`, `CM_CHIEF_PORT`, `CM_CHIEF_DEVICE` and
    `RANK_ID`.

    Args:
        environment: a dict to read instead of `os.environ`.

    Raises:
        ValueError: a variable that is missing, no number, out of range, or does not fit the rank table.
    """
    environment = os.environ if environment is None else environment
    if environment.get("RANK_SIZE") and environment.get("CM_WORKER_SIZE"):
        received = "RANK_SIZE=%s and CM_WORKER_SIZE=%s" % (environment["RANK_SIZE"], environment["CM_WORKER_SIZE"])
        raise refusal("`RANK_SIZE` and `CM_WORKER_SIZE` must not both be set", received, "to unset one of them")
    without_table = bool(environment.get("CM_WORKER_SIZE"))
    size = _number(environment, "CM_WORKER_SIZE" if without_table else "RANK_SIZE", 1, 2**32 - 1, 1)
    index = _number(environment, "RANK_ID", 0, size - 1, 0 if size == 1 else None)
    device = _number(environment, "ASCEND_DEVICE_ID", 0, 2**32 - 1, 0 if size == 1 else None)
    if size == 1:
        return Rank(index, size, device)
    needed = ("CM_CHIEF_IP", "CM_CHIEF_PORT", "CM_CHIEF_DEVICE") if without_table else ("RANK_TABLE_FILE",)
    for name in ("JOB_ID",) + needed:
        if not environment.get(name):
            raise refusal("`%s` must be set for %d ranks" % (name, size), "none", "npu.launch, which sets it")
    if not without_table:
        _require_in_table(index, size, device, environment["RANK_TABLE_FILE"])
    return Rank(index, size, device)


def write_rank_table(path, servers):
    """Writes the rank table of HCCL, which names the devices of all servers, and returns `path`.

    Args:
        path: of the JSON file.
        servers: dict from the address of a server to a dict from its device numbers to their IP addresses, as `hccn_tool` tells
            them. Ranks are counted in this order.

    Raises:
        ValueError: no device, or an entry that `read_rank_table` would refuse.

    Example:
        >>> npu.write_rank_table("2p.json", {"10.0.0.10": {0: "192.168.100.100", 1: "192.168.101.100"}})
    """
    count = itertools.count()
    table = {
        "server_count": str(len(servers)),
        "server_list": [
            {
                "server_id": server,
                "device": [
                    {"device_id": str(device), "device_ip": ip, "rank_id": str(next(count))} for device, ip in devices.items()
                ],
            }
            for server, devices in servers.items()
        ],
        "status": "completed",
        "version": "1.0",
    }
    _devices(table, "servers")
    with written_whole(path) as temporary, open(temporary, "w") as file:
        json.dump(table, file, indent=1)
    return path


def read_rank_table(path):
    """The devices of a rank table as a list of `Device(rank, device, ip, server)`, by rank.

    Raises:
        ValueError: no such file, no JSON, or an entry that is missing or malformed: the sentence says which.
    """
    try:
        with open(path) as file:
            table = json.load(file)
    except (OSError, ValueError) as error:
        received = "%s (%s: %s)" % (path, type(error).__name__, error)
        raise refusal("`RANK_TABLE_FILE` must be a JSON file", received, "npu.write_rank_table") from error
    return _devices(table, path)


class Shard:
    """A view on `batches` that shows each rank batches of its own; see `shard`."""

    def __init__(self, batches, index, size):
        self.batches = batches
        self.index = index
        self.size = size

    def __len__(self):
        return len(self.batches) // self.size

    def epoch(self, index):
        """The batches of epoch `index` that belong to this rank."""
        own = itertools.islice(self.batches.epoch(index), self.index, None, self.size)
        return itertools.islice(own, len(self))


def shard(batches, index=None, size=None):
    """A view on `batches` of which rank `index` sees the batches `index`, `index + size` and so on of every epoch.

    All ranks make `batches` with the same seed: they see different images then, and together the whole epoch. Batches that are
    left over by the number of ranks are left out, so that no rank waits for another. Every rank still prepares all batches;
    where that takes the time, give each rank as many images of its own instead, `images[rank.index :: rank.size]`, and no view.

    Args:
        batches: `len(batches)` is the number of batches in an epoch, `batches.epoch(index)` yields them.
        index: of the rank; `None` for that of this process.
        size: number of ranks; `None` for that of the environment.

    Raises:
        ValueError: an index out of range, or fewer batches than ranks.
    """
    if index is None or size is None:
        own = rank()
        index, size = own.index if index is None else index, own.size if size is None else size
    if not 0 <= index < size:
        raise refusal("`index` must be from 0 to below the number of ranks, %d" % size, index, "npu.rank().index")
    if len(batches) < size:
        received = "%d batches for %d ranks" % (len(batches), size)
        raise refusal("`batches` must be at least as many as ranks", received, "a smaller batch size")
    return batches if size == 1 else Shard(batches, index, size)


def _number(environment, name, lowest, highest, default):
    text = environment.get(name)
    if not text and default is not None:
        return default
    if not text:
        raise refusal("`%s` must be set for more than one rank" % name, "none", "npu.launch, which sets it")
    if not text.isdigit() or not lowest <= int(text) <= highest:
        raise refusal(
            "`%s` must be a whole number from %d to %d" % (name, lowest, highest), repr(text), "%s=%d" % (name, lowest)
        )
    return int(text)


def _require_in_table(index, size, device, path):
    devices = {entry.rank: entry for entry in read_rank_table(path)}
    if size != len(devices):
        received = "%d, with %d in %s" % (size, len(devices), path)
        raise refusal("`RANK_SIZE` must be the number of ranks in the table", received, "RANK_SIZE=%d" % len(devices))
    if devices[index].device != device:
        received = "ASCEND_DEVICE_ID=%d" % device
        expected = "`ASCEND_DEVICE_ID` must be the device that %s has for rank %d" % (path, index)
        raise refusal(expected, received, "ASCEND_DEVICE_ID=%d" % devices[index].device)


def _devices(table, path):
    """The devices of a rank table that was read, by rank, every entry checked."""
    found = []
    servers = _entry(table, path, "", "server_list", list)
    if _entry(table, path, "", "server_count", str) != str(len(servers)):
        raise _malformed(path, "server_count", table["server_count"], "'%d'" % len(servers))
    if _entry(table, path, "", "status", str) != "completed":
        raise _malformed(path, "status", table["status"], "'completed'")
    for position, server in enumerate(servers):
        place = "server_list[%d]." % position
        name = _entry(server, path, place, "server_id", str)
        for number, device in enumerate(_entry(server, path, place, "device", list)):
            inner = "%sdevice[%d]." % (place, number)
            ip = _entry(device, path, inner, "device_ip", str)
            if not _is_address(ip):
                raise _malformed(path, inner + "device_ip", ip, "an IP address such as '192.168.100.100'")
            numbers = [_entry(device, path, inner, each, str) for each in ("rank_id", "device_id")]
            for each, text in zip(("rank_id", "device_id"), numbers):
                if not text.isdigit():
                    raise _malformed(path, inner + each, text, "a number in quotes")
            found.append((Device(int(numbers[0]), int(numbers[1]), ip, name), inner))
    _refuse_repeated(path, found)
    ordered = sorted(device for device, _ in found)
    if [device.rank for device in ordered] != list(range(len(ordered))) or not ordered:
        ranks = ", ".join(str(device.rank) for device in ordered) or "no rank"
        raise _malformed(path, "rank_id", ranks, "0 to the number of devices minus 1, each once")
    return ordered


def _refuse_repeated(path, found):
    seen = set()
    for device, place in found:
        for name, value in (("device_id", (device.server, device.device)), ("device_ip", device.ip)):
            if (name, value) in seen:
                shown = value if name == "device_ip" else device.device
                raise _malformed(path, place + name, shown, "one that no device before has")
            seen.add((name, value))


def _entry(holder, path, place, name, kind):
    value = holder.get(name) if isinstance(holder, dict) else None
    if not isinstance(value, kind):
        raise _malformed(path, place + name, value, {str: "text in quotes", list: "a list"}[kind])
    return value


def _malformed(path, entry, value, expected):
    return refusal("`%s` of the rank table %s must be %s" % (entry, path, expected), repr(value), "npu.write_rank_table")


def _is_address(text):
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
