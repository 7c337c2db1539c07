"""The caller's terminal, joined with a command on a host: raw, byte for byte, with its size.

Without a terminal (a pipe, a file) the command gets none either, and its input ends where ours does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import termios
import threading
import tty
from types import TracebackType
from typing import Any, Self

from pilotage.shell.base import Stream
from pilotage.shell.session import Session

_BLOCK = 64 * 1024


class Terminal:
    """Our standard input, output and error. Raw for as long as the block lasts, where it is a terminal."""

    def __init__(self) -> None:
        self._in = sys.stdin.fileno()
        self._tty = os.isatty(self._in) and os.isatty(sys.stdout.fileno())
        self._before: list[Any] | None = None

    async def __aenter__(self) -> Self:
        sys.stdout.flush()
        if self._tty:
            self._before = termios.tcgetattr(self._in)
            tty.setraw(self._in)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._before is not None:
            termios.tcsetattr(self._in, termios.TCSADRAIN, self._before)

    def wanted(self) -> dict[str, Any]:
        """What the channel asks for: a terminal like ours, or none."""
        if not self._tty:
            return {}
        size = self._size()
        return {
            "request_pty": "force",
            "term_type": os.environ.get("TERM", "xterm"),
            "term_size": (size.columns, size.lines),
        }

    def _size(self) -> os.terminal_size:
        # The terminal's own: LINES and COLUMNS in the environment say what programs should print for, and never change.
        return os.get_terminal_size(self._in)

    def write(self, stream: Stream, data: bytes) -> None:
        """Show what the command wrote."""
        descriptor = 2 if stream is Stream.ERR else 1
        view = memoryview(data)
        while view:
            with contextlib.suppress(BlockingIOError):
                view = view[os.write(descriptor, view) :]

    async def follow(self, session: Session) -> None:
        """Give the command what is typed, and our size whenever it changes, until it ends."""
        loop = asyncio.get_running_loop()
        typed: asyncio.Queue[bytes] = asyncio.Queue()

        def read() -> None:
            # A thread, because a file cannot be waited for; it dies with us when nothing is typed.
            with contextlib.suppress(OSError, RuntimeError):
                while data := os.read(self._in, _BLOCK):
                    loop.call_soon_threadsafe(typed.put_nowait, data)
                loop.call_soon_threadsafe(typed.put_nowait, b"")

        async def feed() -> None:
            while data := await typed.get():
                await session.write(data, end=False)
            await session.write(b"", end=True)

        def resized() -> None:
            size = self._size()
            session.resize(size.columns, size.lines)

        threading.Thread(target=read, daemon=True, name="terminal").start()
        feeding = asyncio.ensure_future(feed())
        if self._tty:
            loop.add_signal_handler(signal.SIGWINCH, resized)
        try:
            await session.ended.wait()
        finally:
            if self._tty:
                loop.remove_signal_handler(signal.SIGWINCH)
            feeding.cancel()
            await asyncio.wait({feeding})
