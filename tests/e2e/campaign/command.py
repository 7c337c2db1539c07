"""The command line, with a murderer: ``command.py EVENT:NUMBER VICTIM POSTGRES WORDS…``.

Runs ``pilotage WORDS…``, which prints its events as JSON lines, and kills the ``VICTIM`` once event ``NUMBER``
(from 0) of the class ``EVENT`` (any, where it is empty) is out, before the command goes on: the ``deployer``
itself, ``envoy``, ``postgres`` (whose pid is ``POSTGRES``), or an ``instance``: the youngest of those that take
requests.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO


class Counted:
    """Standard output, which acts when so many events are out."""

    def __init__(self, inner: TextIO, event: str, number: int, victim: str, postgres: int) -> None:
        self._inner = inner
        self._event = event
        self._left = number + 1
        self._line = ""
        self._victim = victim
        self._postgres = postgres

    def write(self, text: str) -> int:
        """Write, and count."""
        written = self._inner.write(text)
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            if self._event in ("", json.loads(line).get("event")):
                self._left -= 1
                if self._left == 0:
                    self._inner.flush()
                    self._kill()
        return written

    def _kill(self) -> None:
        match self._victim:
            case "deployer":
                os.kill(os.getpid(), signal.SIGKILL)
            case "postgres":
                os.kill(self._postgres, signal.SIGQUIT)  # every session ends where it is
            case "envoy":
                os.kill(max(_running(b"envoy")), signal.SIGKILL)
            case "instance":
                with suppress(ProcessLookupError):
                    os.kill(max(_running(b"app.py"), key=_born), signal.SIGKILL)

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


def _running(program: bytes) -> list[int]:
    """The processes of this project whose command line has ``program`` as a word's end."""
    found = []
    here = Path.cwd()
    for process in Path("/proc").iterdir():
        with suppress(OSError):
            if not process.name.isdigit() or int(process.name) == os.getpid():
                continue
            words = (process / "cmdline").read_bytes().split(b"\0")
            mine = (process / "cwd").readlink().is_relative_to(here)
            shim = any(b"shim" in word for word in words)
            if mine and not shim and any(word.endswith(program) for word in words):
                found.append(int(process.name))
    return found


def _born(pid: int) -> int:
    """When a process started, in clock ticks since boot; before all others, where it has ended by now."""
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return -1


if __name__ == "__main__":
    when, victim, postgres, *words = sys.argv[1:]
    if victim:
        event, _, number = when.partition(":")
        sys.stdout = Counted(sys.stdout, event, int(number), victim, int(postgres))  # type: ignore[assignment]
    sys.argv = ["pilotage", *words]
    from pilotage.cli import main

    sys.exit(main())
