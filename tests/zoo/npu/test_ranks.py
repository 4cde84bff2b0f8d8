"""Ranks: their environment, the table of devices with each way to spoil it, shards that make up the whole, and processes."""

import json
import os
import sys
import time

import pytest

from zoo import npu
from zoo.npu.ranks import Device, Rank

IPS = {0: "192.168.100.100", 1: "192.168.101.100"}


@pytest.fixture
def table(tmp_path):
    return npu.write_rank_table(str(tmp_path / "table.json"), {"10.0.0.10": IPS})


def spoiled(path, *steps):
    """The table with one entry replaced, or taken away by `None`; `steps` leads there and ends in the new value."""
    with open(path) as file:
        content = json.load(file)
    place = content
    for step in steps[:-2]:
        place = place[step]
    if steps[-1] is None:
        del place[steps[-2]]
    else:
        place[steps[-2]] = steps[-1]
    with open(path, "w") as file:
        json.dump(content, file)
    return path


def test_table_has_the_published_layout(table):
    with open(table) as file:
        assert json.load(file) == {
            "server_count": "1",
            "server_list": [
                {
                    "device": [
                        {"device_id": "0", "device_ip": "192.168.100.100", "rank_id": "0"},
                        {"device_id": "1", "device_ip": "192.168.101.100", "rank_id": "1"},
                    ],
                    "server_id": "10.0.0.10",
                }
            ],
            "status": "completed",
            "version": "1.0",
        }


def test_table_comes_back_by_rank(tmp_path):
    path = npu.write_rank_table(
        str(tmp_path / "two.json"), {"10.0.0.10": {3: "192.168.100.103"}, "10.0.0.11": {3: "192.168.100.104"}}
    )
    expected = [Device(0, 3, "192.168.100.103", "10.0.0.10"), Device(1, 3, "192.168.100.104", "10.0.0.11")]
    assert npu.read_rank_table(path) == expected


@pytest.mark.parametrize(
    "steps, message",
    [
        (("server_list", None), "`server_list` of the rank table .* must be a list. Received: None"),
        (("server_list", []), "`server_count` .* must be '0'. Received: '1'"),
        (("server_count", 1), "`server_count` .* must be text in quotes. Received: 1"),
        (("status", "initializing"), "`status` .* must be 'completed'. Received: 'initializing'"),
        (("server_list", 0, "server_id", None), r"`server_list\[0\].server_id` .* must be text in quotes"),
        (("server_list", 0, "device", {}), r"`server_list\[0\].device` .* must be a list"),
        (
            ("server_list", 0, "device", 1, "device_ip", "192.168.1"),
            r"`server_list\[0\].device\[1\].device_ip` .* an IP address",
        ),
        (("server_list", 0, "device", 1, "device_ip", IPS[0]), r"device\[1\].device_ip` .* one that no device before has"),
        (("server_list", 0, "device", 1, "device_id", "0"), r"device\[1\].device_id` .* one that no device before has"),
        (("server_list", 0, "device", 1, "device_id", "one"), r"device\[1\].device_id` .* a number in quotes. Received: 'one'"),
        (("server_list", 0, "device", 1, "rank_id", 1), r"device\[1\].rank_id` .* text in quotes. Received: 1"),
        (("server_list", 0, "device", 1, "rank_id", "2"), "`rank_id` .* 0 to the number of devices minus 1.*Received: '0, 2'"),
        (("server_list", 0, "device", 0, "x"), r"`server_list\[0\].device\[0\].device_ip` .* Received: None"),
    ],
)
def test_refuses_a_malformed_table_and_says_where(table, steps, message):
    with pytest.raises(ValueError, match=message):
        npu.read_rank_table(spoiled(table, *steps))


def test_refuses_what_is_no_table(tmp_path):
    path = tmp_path / "table.json"
    with pytest.raises(ValueError, match="`RANK_TABLE_FILE` must be a JSON file. Received: .*table.json .FileNotFoundError"):
        npu.read_rank_table(str(path))
    path.write_text("{")
    with pytest.raises(ValueError, match="`RANK_TABLE_FILE` must be a JSON file. Received: .*table.json .JSONDecodeError"):
        npu.read_rank_table(str(path))
    path.write_text("[]")
    with pytest.raises(ValueError, match="`server_list` of the rank table"):
        npu.read_rank_table(str(path))


def test_writes_no_malformed_table(tmp_path):
    for servers in ({}, {"10.0.0.10": {0: "here"}}, {"10.0.0.10": {0: IPS[0], 1: IPS[0]}}):
        with pytest.raises(ValueError, match="of the rank table servers must be"):
            npu.write_rank_table(str(tmp_path / "none.json"), servers)
    assert os.listdir(str(tmp_path)) == []


def test_rank_of_an_environment(two_ranks):
    assert npu.rank() == Rank(1, 2, 1)
    assert npu.rank({}) == Rank(0, 1, 0)
    assert npu.rank({"RANK_SIZE": "1", "RANK_ID": "0", "JOB_ID": "10087", "ASCEND_DEVICE_ID": "3"}) == Rank(0, 1, 3)


def test_rank_without_a_table():
    chief = {"CM_WORKER_SIZE": "2", "CM_CHIEF_IP": "10.0.0.10", "CM_CHIEF_PORT": "6000", "CM_CHIEF_DEVICE": "0"}
    own = dict(chief, RANK_ID="1", ASCEND_DEVICE_ID="1", JOB_ID="1")
    assert npu.rank(own) == Rank(1, 2, 1)
    for name in ("CM_CHIEF_PORT", "JOB_ID"):
        with pytest.raises(ValueError, match="`%s` must be set for 2 ranks" % name):
            npu.rank(dict(own, **{name: ""}))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"JOB_ID": ""}, "`JOB_ID` must be set for 2 ranks. Received: none. Try npu.launch"),
        ({"RANK_TABLE_FILE": ""}, "`RANK_TABLE_FILE` must be set for 2 ranks"),
        ({"RANK_ID": ""}, "`RANK_ID` must be set for more than one rank"),
        ({"ASCEND_DEVICE_ID": ""}, "`ASCEND_DEVICE_ID` must be set for more than one rank"),
        ({"RANK_ID": "2"}, "`RANK_ID` must be a whole number from 0 to 1. Received: '2'"),
        ({"RANK_ID": "-1"}, "`RANK_ID` must be a whole number from 0 to 1. Received: '-1'"),
        ({"RANK_SIZE": "two"}, "`RANK_SIZE` must be a whole number from 1 to .* Received: 'two'"),
        ({"RANK_SIZE": "8", "RANK_ID": "5"}, "`RANK_SIZE` must be the number of ranks in the table. Received: 8, with 2"),
        (
            {"ASCEND_DEVICE_ID": "0"},
            "`ASCEND_DEVICE_ID` must be the device that .* has for rank 1. Received: ASCEND_DEVICE_ID=0",
        ),
        ({"CM_WORKER_SIZE": "2"}, "`RANK_SIZE` and `CM_WORKER_SIZE` must not both be set"),
    ],
)
def test_refuses_an_environment(two_ranks, changes, message):
    with pytest.raises(ValueError, match=message):
        npu.rank(dict(two_ranks, **changes))


class Batches:
    """Seven batches, other ones in every epoch."""

    def __len__(self):
        return 7

    def epoch(self, index):
        return iter(range(100 * index, 100 * index + 7))


@pytest.mark.parametrize("epoch", [0, 3])
@pytest.mark.parametrize("size", [2, 7])
def test_shards_are_disjoint_equal_and_together_whole(epoch, size):
    shards = [npu.shard(Batches(), index, size) for index in range(size)]
    seen = [list(shard.epoch(epoch)) for shard in shards]
    assert {len(batches) for batches in seen} == {len(shard) for shard in shards} == {7 // size}
    assert sorted(sum(seen, [])) == list(Batches().epoch(epoch))[: size * (7 // size)]


def test_shard_of_this_process(two_ranks):
    assert list(npu.shard(Batches()).epoch(0)) == [1, 3, 5]


def test_one_rank_sees_the_batches_themselves():
    batches = Batches()
    assert npu.shard(batches) is batches


def test_refuses_shards():
    with pytest.raises(ValueError, match="`index` must be from 0 to below the number of ranks, 2. Received: 2"):
        npu.shard(Batches(), 2, 2)
    with pytest.raises(ValueError, match="`batches` must be at least as many as ranks. Received: 7 batches for 8 ranks"):
        npu.shard(Batches(), 0, 8)


NAMES = "RANK_ID", "RANK_SIZE", "ASCEND_DEVICE_ID", "JOB_ID", "RANK_TABLE_FILE"
TELL = "import os; print(*[os.environ.get(name) for name in %r])" % (NAMES,)


def test_launches_one_process_for_each_rank_with_a_log(tmp_path, table):
    logs = npu.launch([sys.executable, "-c", TELL], 2, str(tmp_path / "logs"), table, job="some job")
    for index, log in enumerate(logs):
        assert os.path.basename(log) == "rank-%d.log" % index
        with open(log) as file:
            assert file.read().strip() == "%d 2 %d some job %s" % (index, index, table)


@pytest.mark.parametrize("device", ["", "3"])
def test_one_rank_needs_no_table(tmp_path, monkeypatch, device):
    monkeypatch.setenv("ASCEND_DEVICE_ID", device)
    (log,) = npu.launch([sys.executable, "-c", TELL], 1, str(tmp_path))
    with open(log) as file:
        assert file.read().strip() == "0 1 %s mrlayers None" % (device or "0")


def test_ends_all_when_one_fails_and_says_which(tmp_path, table):
    program = "import os, sys, time\nif os.environ['RANK_ID'] == '1': sys.exit('out of memory')\ntime.sleep(60)"
    begin = time.time()
    with pytest.raises(RuntimeError, match="Rank 1 ended with status 1: out of memory. .* Its log is .*rank-1.log"):
        npu.launch([sys.executable, "-c", program], 2, str(tmp_path / "logs"), table)
    assert time.time() - begin < 20


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"ranks": 0}, "`ranks` must be an integer from 1"),
        ({"command": "python train.py"}, "`command` must be a list of texts. Received: 'python train.py'"),
        ({"command": []}, "`command` must be a list of texts"),
        ({"job": ""}, "`job` must be a text that is not empty"),
        ({"table": None}, "`table` must be a rank table for more than one rank"),
        ({"ranks": 3}, "`table` must hold 3 ranks on this one machine. Received: .*table.json with 2 on 1 servers"),
    ],
)
def test_refuses_to_launch(tmp_path, table, changes, message):
    with pytest.raises(ValueError, match=message):
        npu.launch(**dict({"command": ["true"], "ranks": 2, "output": str(tmp_path / "logs"), "table": table}, **changes))
    assert not os.path.exists(str(tmp_path / "logs"))
