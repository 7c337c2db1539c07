"""The audit on hosts: a file that lines are appended to, on this machine or through a `Shell`."""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from pilotage.errors import PilotageError, StoreError
from pilotage.shell.base import Shell

FILE = "audit.log"


class HostLog(Protocol):
    """The same file on each host of a service."""

    async def append(self, text: bytes, *, create: bool) -> tuple[str, ...]:
        """Append whole lines. Without ``create`` only where the file is: `remove` took it away.

        Returns why it failed, a text for each host on which it did; never raises for a host.
        """
        ...

    async def tail(self, lines: int) -> bytes:
        """The last lines of every host that answers."""
        ...


class LocalLog:
    """``folder/audit.log`` on this machine, readable by its owner alone."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    async def append(self, text: bytes, *, create: bool) -> tuple[str, ...]:
        """See `HostLog.append`."""
        try:
            await asyncio.to_thread(self._append, text, create)
        except OSError as error:
            return (f"{self._path}: {error.strerror}",)
        return ()

    def _append(self, text: bytes, create: bool) -> None:
        if create:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        elif not self._path.exists():
            return
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        handle = os.open(self._path, flags, 0o600)
        try:
            os.write(handle, text)  # one write: lines of two deployers do not mix
        finally:
            os.close(handle)

    async def tail(self, lines: int) -> bytes:
        """See `HostLog.tail`.

        Raises
        ------
        StoreError
            It cannot be read.
        """
        try:
            found = await asyncio.to_thread(self._path.read_bytes)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise StoreError(f"cannot be read: {error.strerror}", where=str(self._path)) from error
        return b"".join(found.splitlines(keepends=True)[-lines:])


_END = "END_OF_THE_AUDITS_LINES"


def append_script(folder: str, text: bytes, *, create: bool) -> bytes:
    """A script for ``sh`` that appends whole lines to the audit in ``folder``. It begins when all of it has come.

    The lines are in it, and not its input: a session that waits with a ``sh`` takes it in one round trip.
    """
    there = shlex.quote(f"{folder}/{FILE}")
    first = (
        f"umask 077 && mkdir -p -- {shlex.quote(folder)} &&" if create else f"[ ! -e {there} ] ||"
    )
    return f"{{\n{first} cat >> {there} <<'{_END}'\n".encode() + text + f"{_END}\n}}\n".encode()


class ShellLog:
    """``folder/audit.log`` in the home of the user who logs in, on each host."""

    def __init__(self, shells: Sequence[Shell], folder: str) -> None:
        self._shells = shells
        self._folder = folder

    async def append(self, text: bytes, *, create: bool) -> tuple[str, ...]:
        """See `HostLog.append`."""
        script = append_script(self._folder, text, create=create)

        async def one(shell: Shell) -> str | None:
            try:
                await shell.run(("sh",), input=script)
            except PilotageError as error:
                return f"{shell.host}: {error.what}"
            return None

        failed = await asyncio.gather(*(one(shell) for shell in self._shells))
        return tuple(why for why in failed if why)

    async def tail(self, lines: int) -> bytes:
        """See `HostLog.tail`."""
        argv = ("tail", "-n", str(lines), f"{self._folder}/{FILE}")

        async def one(shell: Shell) -> bytes:
            try:
                return (await shell.run(argv, check=False)).out
            except PilotageError:
                return b""

        return _together(await asyncio.gather(*(one(shell) for shell in self._shells)))


def _together(logs: Iterable[bytes]) -> bytes:
    """Every line once: each host has those of all."""
    return b"".join(dict.fromkeys(line for log in logs for line in log.splitlines(keepends=True)))
