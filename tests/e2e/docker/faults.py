"""What the fault tests share: a command in which something happens, and what must be so whatever did."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.docker.conftest import Ship
from tests.e2e.ran import Ran
from tests.lab.host import Host

PACE = 0.1
"""Seconds between two requests of a connection: the machine is for the commands."""


def run_at(ship: Ship, when: str, script: str, *words: str) -> Ran:
    """Run a command of pilotage in which ``script`` is run at the event ``when``; see `tests.e2e.docker.at`."""
    process = ship.start(
        *words, "--json", program=(sys.executable, "-m", "tests.e2e.docker.at", when, script)
    )
    out, err = process.communicate(timeout=300)
    assert "Traceback" not in err, err
    assert "pilotage itself failed" not in err, err
    return Ran(process.returncode, out, err)


def cut(host: Host) -> str:
    """The script that cuts a host's link, as `Host.cut` does."""
    return shlex.join(host.network.cutting(host.number))


def kill_sshd(host: Host) -> str:
    """The script that kills a host's sshd and every connection, as `Host.kill_sshd` does."""
    return (
        "for pid in $(pgrep -x sshd); do "
        f'[ "$(readlink /proc/$pid/ns/mnt)" != "{host.mounts}" ] || '
        # One whose parent was killed a moment ago may be gone by now.
        "kill -KILL $pid 2>/dev/null || :; done"
    )


@contextmanager
def loads(ship: Ship) -> Iterator[None]:
    """Requests on both hosts for as long as the block lasts, of which none may fail."""
    first, second, _ = ship.hosts
    with ship.load(first, pace=PACE) as one, ship.load(second, pace=PACE) as other:
        yield
    for told in (one, other):
        assert told["failed"] == 0, told
        assert told["done"] > 100, told


def serving(ship: Ship) -> list[str]:
    """What each host with traffic answers."""
    return [ship.serving(host) for host in ship.hosts[:2]]


def settled(ship: Ship, version: str) -> None:
    """A version serves on every host, its instances run, alone, and nothing is unfinished or locked."""
    assert serving(ship) == [version] * 2
    status = ship.status()
    assert status["settled"], status
    assert status["lock"] is None, status
    release = status["release"]["id"]
    lives = [(i["role"], i["release"], i["life"]) for i in status["instances"]]
    assert sorted(lives) == sorted(
        [("job", release, "running"), *[("web", release, "running")] * 2]
    ), lives


def serves_again(ship: Ship, host: Host, version: str, *, limit: float = 60) -> None:
    """Wait until a host serves this version (after its Docker, or a container, was restarted)."""
    deadline = time.monotonic() + limit
    while True:
        try:
            found = ship.serving(host)
        except Exception as error:
            found = str(error)
        if found == version:
            return
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
