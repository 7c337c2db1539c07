"""One command on an SSH connection: its channel, byte for byte."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import asyncssh

from pilotage.shell.base import OnBytes, Stream

_BLOCK = 64 * 1024


class Session(asyncssh.SSHClientSession[bytes]):
    """What asyncssh tells of one command.

    ``token``: by which its processes are known. ``opened``: the channel was, so that the command may have been begun. ``status``: as of
    `pilotage.shell.base.Result`; None until it is known, and for good where the link broke before.
    ``waits``: it was opened ahead, with a ``sh`` that reads what to do. ``failed``: what ``output`` raised. ``ended``: nothing is to be waited for any more, because the
    channel is ``closed`` or ``failed`` is set.
    """

    def __init__(self, output: OnBytes) -> None:
        self._output = output
        self._writable = asyncio.Event()
        self._writable.set()
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None
        self.token = ""
        self.waits = False
        self.opened = False
        self.status: int | None = None
        self.lost: Exception | None = None
        self.failed: BaseException | None = None
        self.closed = False
        self.ended = asyncio.Event()

    # ------------------------------------------------------------------ from asyncssh

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self._channel = chan
        self.opened = True

    def data_received(self, data: bytes, datatype: int | None) -> None:
        stream = Stream.ERR if datatype == asyncssh.EXTENDED_DATA_STDERR else Stream.OUT
        try:
            self._output(stream, data)
        except BaseException as error:  # noqa: BLE001 (raised again where the command is waited for)
            self.failed = self.failed or error
            self.ended.set()

    def eof_received(self) -> bool:
        return True  # it may still read

    def exit_status_received(self, status: int) -> None:
        self.status = status

    def exit_signal_received(self, name: str, *_: Any) -> None:
        number = getattr(signal, f"SIG{name}", signal.SIGKILL)
        self.status = 128 + int(number)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = exc
        self.closed = True
        self._writable.set()
        self.ended.set()

    # ------------------------------------------------------------------ for the shell

    def give(self, output: OnBytes) -> None:
        """Have another one told what it writes."""
        self._output = output

    async def write(self, data: bytes, *, end: bool) -> None:
        """Give it input. A command need not read it: what it leaves is dropped."""
        assert self._channel is not None
        view = memoryview(data)
        try:
            # In blocks: a large one would be copied again for each packet.
            for at in range(0, len(view), _BLOCK):
                await self._writable.wait()
                if self.ended.is_set() or self._channel.is_closing():
                    return
                self._channel.write(bytes(view[at : at + _BLOCK]))
            if end:
                self._channel.write_eof()
        except OSError:
            return  # it closed its input

    def resize(self, width: int, height: int) -> None:
        """The terminal has another size now."""
        if self._channel is not None and not self.closed:
            self._channel.change_terminal_size(width, height)

    def close(self) -> None:
        """Close the channel, whatever the command does."""
        if self._channel is not None:
            self._channel.abort()


class Sessions:
    """How many commands may run at once on one connection: sshd's ``MaxSessions``, 10 by default.

    A server that allows fewer says so by refusing one; from then on its number is kept to.
    """

    def __init__(self, limit: int) -> None:
        self._most = limit
        self._limit = limit
        self._open = 0
        self._held = 0
        self._changed = asyncio.Event()

    async def enter(self, *, held: bool) -> None:
        """Wait for a place. ``held``: for a command that runs until it is told to end.

        Beside those that are held one may always try: it is the server that knows.
        """
        while self._open >= max(self._limit, self._held + 1):
            self._changed.clear()
            await self._changed.wait()
        self._open += 1
        self._held += held

    def enter_if_free(self) -> bool:
        """Take a place when there is one, and another one is left."""
        free = self._open + 1 < self._limit
        self._open += free
        return free

    def leave(self, *, held: bool = False) -> None:
        """Give the place back."""
        self._open -= 1
        self._held -= held
        self._changed.set()

    @property
    def full(self) -> bool:
        """Whether one more would have to wait."""
        return self._open >= max(self._limit, self._held + 1)

    def refused(self, *, held: bool) -> bool:
        """The server refused one more, whose place is given back by `leave`. Whether others will end."""
        self._limit = max(1, self._open - 1)
        return self._open - 1 > self._held - held

    def succeeded(self) -> None:
        """The server took one: it may take one more than it did."""
        self._limit = min(self._most, max(self._limit, self._open + 1))

    @property
    def held(self) -> int:
        """Commands that run until they are told to end."""
        return self._held
