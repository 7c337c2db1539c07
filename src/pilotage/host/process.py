"""Processes known by birth: a pid alone is nobody, a pid with its start time and boot is somebody.

Linux only: it reads ``/proc``. A zombie counts as dead, because it does nothing any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

_TICKS = os.sysconf("SC_CLK_TCK")


@lru_cache(maxsize=1)
def boot_id() -> str:
    """What the kernel calls this boot: after a reboot every process of before is dead."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@dataclass(frozen=True, slots=True)
class Stat:
    """What ``/proc/PID/stat`` says: state letter, process group, session, start in clock ticks."""

    state: str
    group: int
    session: int
    start: int

    @property
    def dead(self) -> bool:
        """A zombie, or gone while we looked."""
        return self.state in "ZXx"


def read_stat(pid: int) -> Stat | None:
    """The process with this pid now, or None."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command name, in parentheses, may hold blanks and parentheses itself: read from the last.
    fields = text[text.rindex(")") + 2 :].split()
    return Stat(
        state=fields[0], group=int(fields[2]), session=int(fields[3]), start=int(fields[19])
    )


@dataclass(frozen=True, slots=True)
class ProcessId:
    """One process, for good: ``start`` is in clock ticks since the boot named ``boot``."""

    pid: int
    start: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """The identity of the process that has this pid now, or None when it is dead."""
        stat = read_stat(pid)
        return cls(pid, stat.start, boot_id()) if stat and not stat.dead else None

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        if self.boot != boot_id():
            return False
        stat = read_stat(self.pid)
        return stat is not None and not stat.dead and stat.start == self.start

    @property
    def age(self) -> float:
        """Seconds since it was born (meaningful while it is alive)."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) - self.start / _TICKS

    def to_json(self) -> dict[str, Any]:
        """An object."""
        return {"pid": self.pid, "start": self.start, "boot": self.boot}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(pid=data["pid"], start=data["start"], boot=data["boot"])


def group_members(group: int, *, session: int) -> tuple[int, ...]:
    """The living members of a process group of a session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            stat = read_stat(int(entry.name))
            if stat and not stat.dead and stat.group == group and stat.session == session:
                found.append(int(entry.name))
    return tuple(found)


def signal_group(leader: ProcessId, number: signal.Signals) -> None:
    """Signal the process group of which ``leader`` is the leader, if it is still alive."""
    if leader.alive:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(leader.pid, number)


async def wait_gone(processes: Iterable[ProcessId], *, limit: float) -> bool:
    """Wait until none of the processes is alive; False when ``limit`` seconds were not enough."""
    deadline = time.monotonic() + limit
    pause = 0.002
    waiting = tuple(processes)
    while waiting := tuple(process for process in waiting if process.alive):
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 0.05)
    return True
