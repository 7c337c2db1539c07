"""Streams of an SSH connection whose errors are the system's, as those of `asyncio.open_connection` are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import asyncssh


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """`ConnectionResetError` for a link that broke."""
    try:
        yield
    except asyncssh.Error as error:
        raise ConnectionResetError(str(error)) from error


class Reader:
    """An `asyncssh.SSHReader`, whose reads raise `OSError`."""

    def __init__(self, inner: asyncssh.SSHReader[bytes]) -> None:
        self._inner = inner

    async def read(self, n: int = -1) -> bytes:
        """As `asyncio.StreamReader.read`."""
        with _translated():
            return await self._inner.read(n)

    async def readline(self) -> bytes:
        """As `asyncio.StreamReader.readline`."""
        with _translated():
            return await self._inner.readline()

    async def readuntil(self, separator: bytes = b"\n") -> bytes:
        """As `asyncio.StreamReader.readuntil`."""
        with _translated():
            return await self._inner.readuntil(separator)

    async def readexactly(self, n: int) -> bytes:
        """As `asyncio.StreamReader.readexactly`."""
        with _translated():
            return await self._inner.readexactly(n)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class Writer:
    """An `asyncssh.SSHWriter`, whose waits raise `OSError`."""

    def __init__(self, inner: asyncssh.SSHWriter[bytes]) -> None:
        self._inner = inner

    async def drain(self) -> None:
        """As `asyncio.StreamWriter.drain`."""
        with _translated():
            await self._inner.drain()

    async def wait_closed(self) -> None:
        """As `asyncio.StreamWriter.wait_closed`."""
        with _translated():
            await self._inner.wait_closed()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
