"""Start a program so that it outlives us, and so that it is on record before it exists.

The other end of `pilotage.host.shim`, which says why it is done this way.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotage.host.process import ProcessId, boot_id, group_members, wait_gone

ANSWER = 30.0
"""Seconds in which the shim must answer: it takes 20 ms, and a machine may be very busy."""

GONE = 5.0
"""Seconds in which a shim that could not start its program is gone."""

_BLOCK = 64 * 1024

_ISOLATED = ("-I", "-S", "-X", "utf8")
_SHIM = Path(__file__).with_name("shim.py")


@dataclass(frozen=True, slots=True)
class Program:
    """What to run. ``env`` is the whole environment; it goes over a socket, never into an argv.

    ``status`` is the file in which its end is written (`read_status`); ``title`` is for `ps`;
    ``grace``: seconds between SIGTERM and SIGKILL; ``timeout``: seconds, enforced by the shim even
    when we are gone; ``log_limit``: bytes, twice as much is kept at the most.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    status: Path
    log: Path | None
    title: str
    grace: float = 10.0
    timeout: float | None = None
    log_limit: int = 10_000_000

    def to_json(self) -> dict[str, Any]:
        """The job, as the shim reads it. Holds secrets: it is sent, never written."""
        return {
            "argv": self.argv,
            "env": dict(self.env),
            "cwd": str(self.cwd),
            "status": str(self.status),
            "log": str(self.log) if self.log else None,
            "grace": self.grace,
            "timeout": self.timeout,
            "log_limit": self.log_limit,
        }


@dataclass(frozen=True, slots=True)
class Status:
    """How a program is, or ended: ``exit`` or ``signal`` is set once it has. Times are Unix seconds."""

    main: ProcessId
    started_at: float
    ended_at: float | None = None
    exit: int | None = None
    signal: int | None = None
    timed_out: bool = False

    @property
    def code(self) -> int | None:
        """The exit status as a shell would have it (128 + n for signal n); None before the end."""
        return 128 + self.signal if self.signal is not None else self.exit


def read_status(path: Path) -> Status | None:
    """What the shim wrote, or None before it wrote anything."""
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    return parse_status(data)


def parse_status(data: Mapping[str, Any]) -> Status:
    """A status from the shim's object."""
    known = dict(data)
    known["main"] = ProcessId.from_json(known["main"])
    return Status(**known)


def still_alive(shim: ProcessId, status: Status | None) -> bool:
    """Whether anything of a launched program runs; also when somebody killed its shim.

    The shim outlives the program and all of its process group, so asking for the shim is enough
    while it is there, and decides once it has written down an end.
    """
    if shim.alive:
        return True
    if status is None or status.ended_at is not None or shim.boot != boot_id():
        return False
    return status.main.alive or bool(group_members(status.main.pid, session=shim.pid))


async def launch(program: Program, *, record: Callable[[ProcessId], None]) -> ProcessId:
    """Start the program detached; returns its process once it is running.

    ``record`` is called with the shim's process before the program exists. When it raises, or when
    we die in it, the program is never started. The shim is alive for as long as anything of the
    program's process group is: it is the process to ask for.

    Raises
    ------
    OSError
        It could not be started; whatever was started for it is gone.
    """
    async with _shim("detached", program) as control:
        shim = ProcessId.from_json(await control.receive())
        try:
            record(shim)
            return ProcessId.from_json(await control.submit(program))
        except OSError:
            await wait_gone((shim,), limit=GONE)
            raise


async def attach(
    program: Program,
    *,
    record: Callable[[ProcessId], None],
    written: Callable[[bool, bytes], None] | None = None,
) -> Status:
    """Run the program on our own terminal until it ends; it is ended when we are.

    ``written``: instead of on the terminal, with nothing to read; what it writes goes there, byte for byte,
    true for its standard error.

    Raises
    ------
    OSError
        It could not be started.
    """
    async with contextlib.AsyncExitStack() as stack:
        ends = None if written is None else await stack.enter_async_context(_caught(written))
        control = await stack.enter_async_context(_shim("attached", program, ends))
        record(ProcessId.from_json(await control.receive()))
        await control.submit(program)
        return parse_status(await control.receive(limit=None))


@contextlib.asynccontextmanager
async def _caught(written: Callable[[bool, bytes], None]) -> AsyncIterator[_Ends]:
    """Two pipes to write into; read until nobody has them open any more."""
    loop = asyncio.get_running_loop()

    async def read(end: int, error: bool) -> None:
        reader = asyncio.StreamReader()
        file = os.fdopen(end, "rb", 0)
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), file
        )
        try:
            while block := await reader.read(_BLOCK):
                written(error, block)
        finally:
            transport.close()

    reading, ends = [], []
    for error in (False, True):
        theirs, ours = os.pipe()
        reading.append(asyncio.create_task(read(theirs, error)))
        ends.append(ours)
    try:
        yield _Ends(*ends)
        # Something that the program left running may have them open for ever.
        await asyncio.wait(reading, timeout=GONE)
    finally:
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class _Ends:
    """The ends of pipes that a program writes into. Handed on, they are the program's alone."""

    out: int
    err: int


@contextlib.asynccontextmanager
async def _shim(mode: str, program: Program, ends: _Ends | None = None) -> AsyncIterator[_Control]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    attached = mode == "attached"
    nothing = None if attached else subprocess.DEVNULL
    with ours, contextlib.ExitStack() as handed:
        for end in (ends.out, ends.err) if ends else ():
            handed.callback(os.close, end)
        with theirs:
            process = subprocess.Popen(  # noqa: ASYNC220 (it only forks; waiting is asynchronous)
                (sys.executable, *_ISOLATED, _SHIM, str(theirs.fileno()), mode, program.title),
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL if ends else nothing,
                stdout=ends.out if ends else nothing,
                stderr=ends.err if ends else nothing,
                # The shim itself needs nothing: what it has would show in its /proc/PID/environ.
                env={"LC_ALL": "C.UTF-8"},
                cwd="/",
            )
        handed.close()
        try:
            yield _Control(ours)
        finally:
            ours.close()
            # Detached, this child is gone at once and its child is the shim; attached, it is the
            # shim, which ends the program when the socket closes.
            await _reap(process)


async def _reap(process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            await asyncio.sleep(0.002)
        except asyncio.CancelledError:
            await asyncio.to_thread(process.wait)
            raise


class _Control:
    """Our end of the socket: one JSON object a line."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._buffer = b""

    async def receive(self, *, limit: float | None = ANSWER) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(limit):
            while b"\n" not in self._buffer:
                block = await loop.sock_recv(self._socket, 1 << 16)
                if not block:
                    raise OSError(errno.EPIPE, "the supervisor ended without an answer")
                self._buffer += block
        line, _, self._buffer = self._buffer.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def submit(self, program: Program) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        job = json.dumps(program.to_json()).encode() + b"\n"
        await loop.sock_sendall(self._socket, job)
        answer = await self.receive()
        if "error" in answer:
            number = answer["errno"] or errno.EIO
            raise OSError(number, os.strerror(number), answer["error"])
        return answer
