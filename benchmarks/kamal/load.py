"""Constant requests to the hosts of a service, and what they saw of a switch.

One process: so its clock tells when each host answered with the new version first. A connection is kept open, and
a request is never tried again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

CONNECTIONS = 32


@contextlib.contextmanager
def load(addresses: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Ask ``HOST:PORT``\\ s for ``/version`` by 32 connections in all. Afterwards: ``requests``, ``failed``, ``skew_ms``
    (between the first answers of the last version on two hosts), ``mixed_ms`` (the longest in which a host
    answered with the old version after another had the new one)."""
    argv = [sys.executable, "-m", "benchmarks.kamal.load", *addresses]
    told: dict[str, Any] = {}
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield told
        finally:
            out, _ = process.communicate("stop\n", timeout=60)
            told.update(json.loads(out.splitlines()[-1]))


class _Seen:
    def __init__(self) -> None:
        self.requests = 0
        self.failed: list[str] = []
        self.first: dict[tuple[str, str], float] = {}
        self.last: dict[tuple[str, str], float] = {}

    def answer(self, host: str, version: str, began: float) -> None:
        self.requests += 1
        self.first.setdefault((host, version), time.monotonic())
        self.last[host, version] = began

    def told(self) -> dict[str, Any]:
        version = max(self.first, key=lambda key: self.first[key])[1]
        firsts = [at for (_, seen), at in self.first.items() if seen == version]
        lasts = [at for (_, seen), at in self.last.items() if seen != version]
        return {
            "requests": self.requests,
            "failed": len(self.failed),
            "errors": self.failed[:3],
            "skew_ms": (max(firsts) - min(firsts)) * 1000,
            "mixed_ms": max(0.0, max(lasts, default=0.0) - min(firsts)) * 1000,
        }


async def _ask(address: str, seen: _Seen, stop: asyncio.Event) -> None:
    host, _, port = address.partition(":")
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    while not stop.is_set():
        began = time.monotonic()
        try:
            streams = streams or await asyncio.open_connection(host, int(port or 80))
            reader, writer = streams
            writer.write(b"GET /version HTTP/1.1\r\nHost: shop\r\n\r\n")
            async with asyncio.timeout(30):
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                size = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
                body = await reader.readexactly(size)
            if b" 200 " in head.split(b"\r\n")[0]:
                seen.answer(address, body.decode(), began)
            else:
                seen.failed.append(head.split(b"\r\n")[0].decode())
        except (OSError, ValueError, asyncio.IncompleteReadError) as error:
            seen.failed.append(repr(error))
            if streams:
                streams[1].close()
            streams = None
        await asyncio.sleep(0.01)


async def _main(addresses: Sequence[str]) -> None:
    seen, stop = _Seen(), asyncio.Event()
    asking = [
        asyncio.create_task(_ask(addresses[number % len(addresses)], seen, stop))
        for number in range(CONNECTIONS)
    ]
    await asyncio.sleep(0.5)
    print("begun", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    stop.set()
    await asyncio.gather(*asking)
    print(json.dumps(seen.told()), flush=True)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1:]))
