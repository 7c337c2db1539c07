"""How a command that went wrong is told, alike for every shell."""

from __future__ import annotations

import time
from collections.abc import Sequence

from pilotage.errors import CommandFailed, CommandTimeout, HostLost
from pilotage.shell.base import Result, Shell, Stream
from pilotage.shell.quote import shown

LINES = 12
"""Last lines that a failed command's error quotes."""

PATIENCE = 2.0
"""Seconds between SIGTERM and SIGKILL for a command that took too long, or is not wanted any more."""


class Collected:
    """What a command wrote, as an `OnBytes`."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: dict[Stream, list[bytes]] = {Stream.OUT: [], Stream.ERR: []}

    def __call__(self, stream: Stream, data: bytes) -> None:
        self._parts[stream].append(data)

    @property
    def out(self) -> bytes:
        """Its standard output."""
        return b"".join(self._parts[Stream.OUT])

    @property
    def err(self) -> bytes:
        """Its standard error."""
        return b"".join(self._parts[Stream.ERR])


async def collected(
    shell: Shell, argv: Sequence[str], *, input: bytes, limit: float | None, check: bool
) -> Result:
    """`Shell.run` by `Shell.stream`: what is the same for every shell."""
    written = Collected()
    began = time.monotonic()
    status = await shell.stream(argv, written, input=input, limit=limit)
    result = Result(tuple(argv), status, written.out, written.err, time.monotonic() - began)
    if check and status:
        raise failed(shell.host, result)
    return result


def last_line(error: CommandFailed) -> str:
    """The last line that a failed command wrote to its standard error, else its exit status."""
    return last_line_of(error.err, error.status)


def last_line_of(said: bytes, status: int) -> str:
    """The last line of what a command said, else its exit status."""
    words = said.decode(errors="replace").strip().splitlines()
    return words[-1] if words else f"exit status {status}"


def nothing(_stream: Stream, _data: bytes) -> None:
    """An `OnBytes` that throws away."""


def failed(host: str, result: Result) -> CommandFailed:
    """The error of a command whose status is not 0, with the last lines that it wrote."""
    written = (result.err.strip() or result.out.strip()).decode(errors="replace").splitlines()
    quoted = "".join(f"\n    {line}" for line in written[-LINES:])
    how = (
        f"was ended by signal {result.status - 128}"
        if result.status > 128
        else ("could not be found" if result.status == 127 else f"exited with {result.status}")
    )
    return CommandFailed(
        f"`{shown(result.argv)}` {how}{':' if quoted else ''}{quoted}",
        where=host,
        next="run it by hand on the host to see more",
        status=result.status,
        err=result.err,
    )


def _one(argv: Sequence[str]) -> str:
    """A command in a sentence: of a script on standard input, ``sh`` would say nothing."""
    return "a command" if tuple(argv) == ("sh",) else f"`{shown(argv)}`"


def timed_out(host: str, argv: Sequence[str], limit: float, *, ended: bool) -> CommandTimeout:
    """The error of a command that took longer than ``limit`` seconds. ``ended``: it is known to be gone."""
    return CommandTimeout(
        f"{_one(argv)} took longer than {limit:g} s",
        where=host,
        state="it was ended"
        if ended
        else "it was told to end, and it is not known whether it did: it may still run there",
        next="see why it takes so long; then run this again",
    )


def lost(host: str, argv: Sequence[str], why: str) -> HostLost:
    """The error of a command whose link broke."""
    return HostLost(
        f"the connection broke in the middle of {_one(argv)}: {why}",
        where=host,
        state="what became of it is not known: it may have ended, or may still run there",
        next="run this again once the host answers: it looks at what is there and goes on from that",
    )
