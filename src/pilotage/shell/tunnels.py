"""A port of this machine that leads somewhere else, one new stream for each connection to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

from pilotage.errors import HostError
from pilotage.shell.base import Connection

_BLOCK = 256 * 1024


@contextlib.asynccontextmanager
async def listening(
    connect: Callable[[], Awaitable[Connection]], *, port: int = 0
) -> AsyncIterator[int]:
    """Listen on ``port`` (0: any) of the loopback, and join each connection with a new ``connect()``.

    A stream that cannot be opened closes its connection, and the port stays: a link that was lost is
    made again for the next one.

    Raises
    ------
    OSError
        The port is taken.
    """
    pumps: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        pumps.add(task)
        try:
            try:
                far = await connect()
            except (OSError, HostError):
                writer.transport.abort()
                return
            await join((reader, writer), far)
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            pumps.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in pumps:
            task.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        await server.wait_closed()


async def join(near: Connection, far: Connection) -> None:
    """Carry bytes both ways, and each end of them, until both directions have ended."""
    try:
        await together(_pump(near[0], far[1]), _pump(far[0], near[1]))
    except (OSError, EOFError):
        pass  # one side is gone: the other one learns it below
    finally:
        for _, writer in (near, far):
            writer.close()
        for _, writer in (near, far):
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def together(*work: Coroutine[Any, Any, None]) -> None:
    """All of it at once; the first error, as it is, once what else was under way has been cancelled."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_BLOCK):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
