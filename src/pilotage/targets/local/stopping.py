"""Ending an instance: its process group, and whatever else of it carries its name.

A program may detach helpers of its own (a build server, a job runner with a session of its own).
They left the process group but not the environment, so they are found by ``PILOTAGE_INSTANCE``: an
instance that is stopped must not keep a connection to the database. Another project, or another destination, on
this machine may have an instance of the same name: ``PILOTAGE_STATE`` tells them apart.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from pilotage.host.process import ProcessId, signal_group, wait_gone
from pilotage.targets.local.records import Record, Records

AFTER_KILL = 5.0
"""Seconds that the kernel is given to end a process after SIGKILL."""


def members(records: Records, record: Record) -> tuple[ProcessId, ...]:
    """Every living process of an instance, its shim among them."""
    found = []
    if record.shim is not None and record.shim.alive:
        found.append(record.shim)
    status = records.status(record.instance.id)
    if status is not None and status.main.alive:
        found.append(status.main)
    found += (process for process in _marked(records, record) if process not in found)
    return tuple(found)


def marks(records: Records, id: str) -> dict[str, str]:
    """The variables by which the processes of an instance are known."""
    return {"PILOTAGE_INSTANCE": id, "PILOTAGE_STATE": str(records.state_dir.resolve())}


def _marked(records: Records, record: Record) -> tuple[ProcessId, ...]:
    wanted = {
        os.fsencode(f"{name}={value}") for name, value in marks(records, record.instance.id).items()
    }
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):  # somebody else's process, or gone
            if wanted <= set((entry / "environ").read_bytes().split(b"\0")):
                process = ProcessId.of(int(entry.name))
                if process is not None:
                    found.append(process)
    return tuple(found)


def signal_all(records: Records, record: Record, number: signal.Signals) -> None:
    """Signal everything of an instance but its shim, which ends when the last of it has."""
    status = records.status(record.instance.id)
    main = status.main if status is not None else None
    if main is not None:
        signal_group(main, number)
    for process in members(records, record):
        if process == record.shim and (main is not None or number is not signal.SIGKILL):
            continue
        if process != main and process.alive and not _in_group(process, main):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)


def _in_group(process: ProcessId, leader: ProcessId | None) -> bool:
    try:
        return leader is not None and leader.alive and os.getpgid(process.pid) == leader.pid
    except ProcessLookupError:
        return True


async def wait_ended(records: Records, record: Record, *, limit: float) -> bool:
    """Wait until no process of the instance is left; False when ``limit`` seconds were not enough."""
    deadline = time.monotonic() + limit
    # Look again: the program may have started a helper as its last act.
    while found := members(records, record):
        if not await wait_gone(found, limit=deadline - time.monotonic()):
            return False
    return True
