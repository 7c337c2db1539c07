"""A shell that writes down what is asked of its host: for who wants to know where the time goes.

``PILOTAGE_TRACE=FILE`` has every command, tunnel and connection of a run in that file, a JSON object a line, when it has
ended. Scripts are named by the words of what they run, never by their text, which may hold secrets.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from pilotage.shell.base import Connection, OnBytes, Result, Shell
from pilotage.shell.quote import shown

VARIABLE = "PILOTAGE_TRACE"
"""Names the file, in the environment of the command."""

_WORDS = re.compile(rb"^(?:\[.*?\|\| )?run \d+ ((?:(?!\|\|)\S+ ?){1,3})", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Trace:
    """The file. Each line: ``host``, ``what``, ``at`` (Unix seconds) and ``seconds``."""

    path: Path

    @contextlib.contextmanager
    def call(self, host: str, what: str) -> Iterator[None]:
        """Write down how long the block took."""
        at, began = time.time(), time.monotonic()
        try:
            yield
        finally:
            seconds = round(time.monotonic() - began, 4)
            line = json.dumps({"host": host, "what": what, "at": round(at, 4), "seconds": seconds})
            with self.path.open("a") as file:
                file.write(f"{line}\n")


def described(argv: Sequence[str], input: bytes) -> str:
    """A command in a few words; a script by the first words of its commands."""
    if tuple(argv) != ("sh",):
        return shown(argv)[:100]
    words = [found.decode(errors="replace").strip() for found in _WORDS.findall(input)]
    return "; ".join(words) or "sh"


@dataclass(frozen=True, slots=True)
class TracedShell:
    """`pilotage.shell.base.Shell` around another one."""

    shell: Shell
    trace: Trace

    @property
    def host(self) -> str:
        """Of the other one."""
        return self.shell.host

    async def connect(self) -> None:
        """`Shell.connect`."""
        with self.trace.call(self.host, "connect"):
            await self.shell.connect()

    async def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes = b"",
        limit: float | None = None,
        check: bool = True,
    ) -> Result:
        """`Shell.run`."""
        with self.trace.call(self.host, described(argv, input)):
            return await self.shell.run(argv, input=input, limit=limit, check=check)

    async def stream(
        self,
        argv: Sequence[str],
        output: OnBytes,
        *,
        input: bytes = b"",
        limit: float | None = None,
    ) -> int:
        """`Shell.stream`."""
        with self.trace.call(self.host, described(argv, input)):
            return await self.shell.stream(argv, output, input=input, limit=limit)

    async def interactive(self, argv: Sequence[str]) -> int:
        """`Shell.interactive`."""
        with self.trace.call(self.host, described(argv, b"")):
            return await self.shell.interactive(argv)

    def hold(
        self, argv: Sequence[str], *, input: bytes = b""
    ) -> AbstractAsyncContextManager[Result]:
        """`Shell.hold`, for as long as the block lasts."""
        return self._held(self.shell.hold(argv, input=input), described(argv, input))

    @contextlib.asynccontextmanager
    async def _held(
        self, held: AbstractAsyncContextManager[Result], what: str
    ) -> AsyncIterator[Result]:
        with self.trace.call(self.host, what):
            async with held as result:
                yield result

    async def put(self, path: str, content: bytes, *, mode: int = 0o600) -> None:
        """`Shell.put`."""
        with self.trace.call(self.host, f"put {path}"):
            await self.shell.put(path, content, mode=mode)

    async def get(self, path: str) -> bytes | None:
        """`Shell.get`."""
        with self.trace.call(self.host, f"get {path}"):
            return await self.shell.get(path)

    async def open_tcp(self, host: str, port: int) -> Connection:
        """`Shell.open_tcp`."""
        with self.trace.call(self.host, f"open {host}:{port}"):
            return await self.shell.open_tcp(host, port)

    async def open_unix(self, path: str) -> Connection:
        """`Shell.open_unix`."""
        with self.trace.call(self.host, f"open {path}"):
            return await self.shell.open_unix(path)

    def forward(self, host: str, port: int) -> AbstractAsyncContextManager[int]:
        """`Shell.forward`; connections through it are not traced."""
        return self.shell.forward(host, port)

    def reverse(self, port: int, *, to: tuple[str, int]) -> AbstractAsyncContextManager[int]:
        """`Shell.reverse`."""
        return self.shell.reverse(port, to=to)

    async def close(self) -> None:
        """`Shell.close`."""
        await self.shell.close()
