"""A way to a server that is slow: a TCP proxy that passes on so many bytes a second and no more.

In a process of its own, which ends with whatever was under way.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_BLOCK = 16 * 1024


@contextmanager
def slow(server: str, place: str, *, rate: int) -> Iterator[str]:
    """An address at ``place`` (an IP address of ours) that leads to ``server`` (``host:port``).

    ``rate``: bytes a second that each connection is given.
    """
    argv = [sys.executable, "-m", "tests.lab.slow", server, place, str(rate)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"{place}:{process.stdout.readline().strip()}"
        finally:
            process.terminate()


async def _pass(source: asyncio.StreamReader, sink: asyncio.StreamWriter, rate: int) -> None:
    """From one end to the other, until one of them ends."""
    with contextlib.suppress(OSError):
        while block := await source.read(_BLOCK):
            sink.write(block)
            await sink.drain()
            await asyncio.sleep(len(block) / rate if rate else 0)
    sink.close()


async def _serve(server: str, place: str, rate: int) -> None:
    host, _, port = server.rpartition(":")

    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        await asyncio.gather(_pass(reader, far_writer, 0), _pass(far_reader, writer, rate))

    listening = await asyncio.start_server(join, place, 0)
    print(listening.sockets[0].getsockname()[1], flush=True)
    await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], sys.argv[2], int(sys.argv[3])))
