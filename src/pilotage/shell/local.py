"""This machine as a host: processes of our own, no SSH."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from pilotage.errors import HostError
from pilotage.shell import files, outcome
from pilotage.shell.base import Connection, OnBytes, Result, Stream
from pilotage.shell.tunnels import listening, together

_BLOCK = 256 * 1024


class LocalShell:
    """`pilotage.shell.base.Shell` for ``localhost``. ``home``: where relative paths start; the user's."""

    def __init__(self, host: str = "localhost", *, home: Path | None = None) -> None:
        self._host = host
        self._home = Path.home() if home is None else home

    @property
    def host(self) -> str:
        """Its name in the configuration."""
        return self._host

    async def connect(self) -> None:
        """Nothing is to be done."""

    async def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes = b"",
        limit: float | None = None,
        check: bool = True,
    ) -> Result:
        """`Shell.run`."""
        return await outcome.collected(self, argv, input=input, limit=limit, check=check)

    async def stream(
        self,
        argv: Sequence[str],
        output: OnBytes,
        *,
        input: bytes = b"",
        limit: float | None = None,
    ) -> int:
        """`Shell.stream`."""
        process = await self._start(argv, output)
        if isinstance(process, int):
            return process
        try:
            async with asyncio.timeout(limit):
                await together(_feed(process, input), *_followers(process, output))
                return _status_of(await process.wait())
        except TimeoutError:
            assert limit is not None
            await _end(process)
            raise outcome.timed_out(self._host, argv, limit, ended=True) from None
        except BaseException:
            await _end(process)
            raise

    async def interactive(self, argv: Sequence[str]) -> int:
        """`Shell.interactive`: on our own terminal, in our own session."""
        try:
            process = await asyncio.create_subprocess_exec(*argv, cwd=self._home)
        except OSError as error:
            return _not_started(argv, error, outcome.nothing)
        return _status_of(await process.wait())

    @contextlib.asynccontextmanager
    async def hold(self, argv: Sequence[str], *, input: bytes = b"") -> AsyncIterator[Result]:
        """`Shell.hold`."""
        written = outcome.Collected()
        line = asyncio.Event()

        def output(stream: Stream, data: bytes) -> None:
            written(stream, data)
            if stream is Stream.OUT and b"\n" in data:
                line.set()

        process = await self._start(argv, output)
        if isinstance(process, int):
            yield Result(tuple(argv), process, written.out, written.err)
            return
        assert process.stdin is not None
        began = time.monotonic()
        reading = asyncio.ensure_future(together(*_followers(process, output)))
        try:
            await _write(process.stdin, input)
            first = asyncio.ensure_future(line.wait())
            await asyncio.wait({reading, first}, return_when=asyncio.FIRST_COMPLETED)
            first.cancel()
            status = 0 if line.is_set() else _status_of(await process.wait())
            yield Result(tuple(argv), status, written.out, written.err, time.monotonic() - began)
            process.stdin.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), outcome.PATIENCE)
        finally:
            process.stdin.close()
            if process.returncode is None:
                await _end(process)
            reading.cancel()
            await asyncio.wait({reading})

    async def put(self, path: str, content: bytes, *, mode: int = 0o600) -> None:
        """`Shell.put`."""
        await files.put(self, path, content, mode=mode)

    async def get(self, path: str) -> bytes | None:
        """`Shell.get`."""
        return await files.get(self, path)

    async def open_tcp(self, host: str, port: int) -> Connection:
        """`Shell.open_tcp`."""
        return await asyncio.open_connection(host, port)

    async def open_unix(self, path: str) -> Connection:
        """`Shell.open_unix`."""
        return await asyncio.open_unix_connection(self._home / path)

    def forward(self, host: str, port: int) -> AbstractAsyncContextManager[int]:
        """`Shell.forward`."""
        return listening(lambda: self.open_tcp(host, port))

    @contextlib.asynccontextmanager
    async def reverse(self, port: int, *, to: tuple[str, int]) -> AsyncIterator[int]:
        """`Shell.reverse`; where the port already is the one it shall lead to, there is nothing to do."""
        if port == to[1] and to[0] in ("127.0.0.1", "localhost"):
            yield port
            return
        async with contextlib.AsyncExitStack() as stack:
            try:
                bound = await stack.enter_async_context(
                    listening(lambda: asyncio.open_connection(*to), port=port)
                )
            except OSError as error:
                raise HostError(
                    f"port {port} cannot be listened on: {error.strerror}",
                    where=self._host,
                    state="nothing was changed",
                    next=f"see what uses it (`ss -ltnp 'sport = :{port}'`) and end it",
                ) from error
            yield bound

    async def close(self) -> None:
        """Nothing is kept."""

    async def _start(
        self, argv: Sequence[str], output: OnBytes
    ) -> asyncio.subprocess.Process | int:
        """The process, or the status that a shell would give where there is no such program.

        In a session of its own, so that all of it can be ended, and Ctrl-C reaches us alone.
        """
        try:
            return await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=self._home,
                start_new_session=True,
            )
        except OSError as error:
            return _not_started(argv, error, output)


def _not_started(argv: Sequence[str], error: OSError, output: OnBytes) -> int:
    output(Stream.ERR, f"{argv[0]}: {error.strerror}\n".encode())
    return 127 if isinstance(error, FileNotFoundError) else 126


async def _feed(process: asyncio.subprocess.Process, data: bytes) -> None:
    assert process.stdin is not None
    await _write(process.stdin, data)
    process.stdin.close()


async def _write(pipe: asyncio.StreamWriter, data: bytes) -> None:
    # A command need not read what it is given.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        pipe.write(data)
        await pipe.drain()


def _followers(
    process: asyncio.subprocess.Process, output: OnBytes
) -> list[Coroutine[None, None, None]]:
    assert process.stdout is not None
    assert process.stderr is not None
    return [
        _follow(process.stdout, Stream.OUT, output),
        _follow(process.stderr, Stream.ERR, output),
    ]


async def _follow(pipe: asyncio.StreamReader, stream: Stream, output: OnBytes) -> None:
    while data := await pipe.read(_BLOCK):
        output(stream, data)


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the process and all that it started: SIGTERM, and SIGKILL for what does not heed it."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(outcome.PATIENCE):
                await process.wait()
                return


def _status_of(code: int) -> int:
    return code if code >= 0 else 128 - code
