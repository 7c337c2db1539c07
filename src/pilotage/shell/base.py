"""The shell protocol: what the Docker target and the edge need of a host.

Implemented for this machine (no SSH) and over asyncssh, one multiplexed connection a host; one
contract suite holds both to this text. An argv is quoted in one place, by the implementation. Secrets
go by ``input`` or in a file of mode 0600, never in an argv, because others may list those.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Stream(StrEnum):
    """Where a command wrote."""

    OUT = "out"
    ERR = "err"


OnBytes = Callable[[Stream, bytes], None]
"""Called with what a command writes, as it comes: byte-exact, in blocks that need not be lines."""

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
"""A byte stream, as `asyncio.open_connection` gives it (what an SSH library gives may only behave so)."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended. ``status``: its exit status, or 128 + n when signal n ended it."""

    argv: tuple[str, ...]
    status: int
    out: bytes = b""
    err: bytes = b""
    seconds: float = 0.0

    @property
    def text(self) -> str:
        """What it wrote to its standard output, without the newline at the end."""
        return self.out.decode(errors="replace").removesuffix("\n")


class Shell(Protocol):
    """One host. Relative paths start at the home of the user who logs in there.

    Every method may raise `pilotage.errors.HostUnreachable` (nothing was begun) or
    `pilotage.errors.HostLost` (the link broke: it is not known what became of what was begun).
    """

    @property
    def host(self) -> str:
        """The host's name, as the configuration has it."""
        ...

    async def connect(self) -> None:
        """Connect now, where the first command would have.

        Raises
        ------
        HostUnreachable
            It cannot be reached, or lets nobody in; its subclasses say more.
        """
        ...

    async def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes = b"",
        limit: float | None = None,
        check: bool = True,
    ) -> Result:
        """Run a command to its end. ``limit``: seconds, after which it is ended as well as can be.

        Raises
        ------
        CommandFailed
            ``check``, and its status is not 0; quotes the last lines that it wrote.
        CommandTimeout
            It took longer. Without a terminal a remote process may outlive this.
        """
        ...

    async def stream(
        self,
        argv: Sequence[str],
        output: OnBytes,
        *,
        input: bytes = b"",
        limit: float | None = None,
    ) -> int:
        """Run a command, give what it writes to ``output`` as it comes; its exit status.

        Raises
        ------
        CommandTimeout
            As `run`.
        """
        ...

    async def interactive(self, argv: Sequence[str]) -> int:
        """Run a command on the caller's terminal (with a terminal of its own there); its exit status."""
        ...

    def hold(
        self, argv: Sequence[str], *, input: bytes = b""
    ) -> AbstractAsyncContextManager[Result]:
        """A command that keeps something (a lock) for as long as the block lasts.

        The block is entered once the command wrote its first line (in ``out`` of the result; ``status``
        is 0), and the command's standard input is closed when it is left, or when the link breaks. With
        a command that ends before its first line the block is entered with its status and output.
        """
        ...

    async def put(self, path: str, content: bytes, *, mode: int = 0o600) -> None:
        """Write a file whole: beside it, synced, renamed into place. Directories are made (0700).

        Raises
        ------
        CommandFailed
            It cannot be written; the file is what it was.
        """
        ...

    async def get(self, path: str) -> bytes | None:
        """The content of a file; None when there is none."""
        ...

    async def open_tcp(self, host: str, port: int) -> Connection:
        """A connection from the host to ``host:port``, as seen from there.

        Raises
        ------
        ForwardingForbidden
            Its sshd forwards no connections.
        OSError
            Nothing listens there, or it does not answer (the classes that `asyncio.open_connection` raises).
        """
        ...

    async def open_unix(self, path: str) -> Connection:
        """A connection to a Unix socket of the host.

        Raises
        ------
        OSError
            Nothing listens there.
        """
        ...

    def forward(self, host: str, port: int) -> AbstractAsyncContextManager[int]:
        """A port of this machine's loopback that leads to ``host:port`` as seen from the host."""
        ...

    def reverse(self, port: int, *, to: tuple[str, int]) -> AbstractAsyncContextManager[int]:
        """Port ``port`` (0: any) of the host's loopback, leading to ``to`` as seen from this machine."""
        ...

    async def close(self) -> None:
        """End the connection. Idempotent."""
        ...
