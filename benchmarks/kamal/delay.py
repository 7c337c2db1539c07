"""A TCP proxy that delays: what a round trip costs between a laptop and a data centre, on one machine.

In a process of its own, so that its work is not the deployer's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence

_BLOCK = 256 * 1024


@contextlib.contextmanager
def delayed(addresses: Sequence[str], *, seconds: float) -> Iterator[dict[str, int]]:
    """Ports of the loopback, by address, that lead to its sshd. ``seconds``: of a round trip."""
    argv = [sys.executable, "-m", "benchmarks.kamal.delay", str(seconds), *addresses]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, late: float) -> None:
    """Pass on every block ``late`` seconds after it came: late, and no slower."""
    loop = asyncio.get_running_loop()
    blocks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def deliver() -> None:
        while True:
            at, block = await blocks.get()
            await asyncio.sleep(max(0.0, at - loop.time()))
            if not block:
                return
            writer.write(block)
            await writer.drain()

    delivering = asyncio.create_task(deliver())
    try:
        block = b"-"
        while block:
            block = await reader.read(_BLOCK)
            blocks.put_nowait((loop.time() + late, block))
        await delivering
    except OSError:
        delivering.cancel()
    finally:
        writer.close()


async def _serve(late: float, addresses: Sequence[str]) -> None:
    async def listen(address: str) -> int:
        async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # A connection that is made takes a round trip as well.
            await asyncio.sleep(2 * late)
            far_reader, far_writer = await asyncio.open_connection(address, 22)
            await asyncio.gather(_pump(reader, far_writer, late), _pump(far_reader, writer, late))

        server = await asyncio.start_server(join, "127.0.0.1", 0)
        return int(server.sockets[0].getsockname()[1])

    print(json.dumps({address: await listen(address) for address in addresses}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(float(sys.argv[1]) / 2, sys.argv[2:]))
