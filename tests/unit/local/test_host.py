"""The small things that a host's state stands on."""

from __future__ import annotations

import json
import os
import socket

import pytest

from pilotage.errors import StartFailed, TargetError
from pilotage.host.fence import Fence
from pilotage.host.files import dump_json, read_json, write_atomic
from pilotage.host.logs import prune, tail
from pilotage.host.ports import is_free, listener
from pilotage.host.process import ProcessId, read_stat
from pilotage.targets.local.ports import free_port
from pilotage.targets.local.records import Records


def test_a_file_is_replaced_whole_and_for_its_owner_alone(tmp_path):
    path = tmp_path / "state.json"
    path.write_text("old, and longer than the new one")
    write_atomic(path, dump_json({"n": 1, "é": "ü"}))
    assert read_json(path) == {"n": 1, "é": "ü"}
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.json"]


def test_a_file_that_cannot_be_replaced_is_kept_and_nothing_is_left_beside_it(tmp_path):
    path = tmp_path / "folder"
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        write_atomic(path, b"x")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_a_file_that_holds_no_object_is_told(tmp_path):
    (tmp_path / "list").write_text("[]")
    with pytest.raises(ValueError, match="does not hold a JSON object"):
        read_json(tmp_path / "list")
    assert read_json(tmp_path / "missing") is None


def test_a_fence_that_holds_no_number_is_told(tmp_path):
    (tmp_path / "fence").write_text("many")
    with pytest.raises(TargetError, match="does not hold a number"):
        Fence(tmp_path).highest()


def test_a_process_is_its_pid_its_start_and_its_boot():
    me = ProcessId.of(os.getpid())
    assert me.alive
    assert 0 < me.age < 10**6
    assert ProcessId.from_json(json.loads(json.dumps(me.to_json()))) == me
    for other in ({"start": me.start + 1}, {"boot": "another"}, {"pid": 2**22 + 1}):
        assert not ProcessId.from_json({**me.to_json(), **other}).alive
    assert read_stat(2**22 + 1) is None


def test_a_zombie_is_dead():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert read_stat(pid).dead
    assert ProcessId.of(pid) is None
    os.waitpid(pid, 0)


def test_a_port_that_somebody_listens_on_is_not_free_and_has_a_name():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not is_free(port)
        assert not is_free(port, address="127.0.0.1", reuse=True)
        assert listener(port).startswith(f"process {os.getpid()} (")
    assert is_free(port, address="127.0.0.1", reuse=True)
    assert listener(port) is None


def test_a_port_is_never_one_that_is_recorded_nor_one_for_outgoing_connections():
    ports = {free_port(()) for _ in range(20)}
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:  # noqa: PTH123 (one line)
        first = int(file.read().split()[0])
    if first > 21_000:
        assert all(20_000 <= port < first for port in ports)
    all_but_one = set(range(20_000, 65_536)) - {min(ports)}
    assert free_port(all_but_one) == min(ports)
    with pytest.raises(StartFailed, match="no free port"):
        free_port(range(65_536))


@pytest.mark.parametrize("id", ["", "../x", "a/b", ".hidden", "x" * 201, "a b", "é"])
def test_an_id_that_cannot_be_a_file_name_is_refused(tmp_path, id):
    with pytest.raises(TargetError, match="cannot be the id"):
        Records(tmp_path).path(id)


def test_the_tail_of_a_log(tmp_path):
    log = tmp_path / "log"
    assert tail(log, 3) == ()
    log.write_bytes(b"x" * 200_000 + b"\none\n\xfftwo\nthree")
    assert tail(log, 3) == ("one", "�two", "three")


def test_old_logs_of_nobody_are_deleted_and_the_newest_kept(tmp_path):
    for age, name in enumerate(("new", "old", "older", "running")):
        (tmp_path / f"{name}.log").touch()
        (tmp_path / f"{name}.log.1").touch()
        os.utime(tmp_path / f"{name}.log", (1000 - age, 1000 - age))
    prune(tmp_path, keep=1, used=frozenset({"running"}))
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["new.log", "new.log.1", "running.log", "running.log.1"]
