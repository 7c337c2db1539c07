"""Questions to Envoy's admin interface, over a Unix socket that only its owner can open.

A client of forty lines, because a switch asks every millisecond whether it is in force, and drain asks
until nothing is in flight: one connection is kept, and no library is imported.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pilotage.proxy.envoy.answers import STATS
from pilotage.proxy.envoy.names import ADMIN_SOCKET, LISTENER
from pilotage.proxy.envoy.state import State, from_dump

ANSWER = 5.0
"""Seconds in which Envoy must answer."""

_STATS: Mapping[str, str] = {
    "cds": "cluster_manager.cds",
    "rds": f"http.{LISTENER}.rds.{LISTENER}",
    "lds": "listener_manager.lds",
}


def stats_of(kind: str) -> str:
    """Where Envoy keeps, for each file, ``version_text`` and its counts of updates."""
    return _STATS.get(kind) or f"cluster.{kind.removeprefix('eds/')}"


@dataclass(frozen=True, slots=True)
class Admin:
    """One open connection to the admin interface. Any failure of it is an `OSError`."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def get(self, path: str) -> bytes:
        """The body of an answer.

        Raises
        ------
        OSError
            No answer in time, the connection was closed, or the answer is not 200.
        """
        async with asyncio.timeout(ANSWER):
            try:
                return await self._get(path)
            except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
                raise ConnectionResetError("Envoy's admin interface broke off") from error

    async def _get(self, path: str) -> bytes:
        self.writer.write(f"GET {path} HTTP/1.1\r\nHost: admin\r\n\r\n".encode())
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        if b"transfer-encoding: chunked" in head:
            body = b""
            while size := int(await self.reader.readline(), 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readline()
        else:
            _, _, rest = head.partition(b"content-length:")
            body = await self.reader.readexactly(int(rest.split(b"\r\n")[0]))
        status = int(head.split(b" ", 2)[1])
        if status != 200:
            raise ConnectionError(f"Envoy's admin interface answered {status} to {path}")
        return body

    async def json(self, path: str) -> dict[str, Any]:
        """The object in an answer."""
        value: dict[str, Any] = json.loads(await self.get(path))
        return value

    async def version(self, kind: str) -> str | None:
        """The version of a file (``cds``, ``eds/CLUSTER``…) that is in force."""
        version: str | None = await self._stat(f"{stats_of(kind)}.version_text")
        return version

    async def refusals(self, kind: str) -> int:
        """How often Envoy has refused this file, or could not read it."""
        counts = [
            await self._stat(f"{stats_of(kind)}.{name}")
            for name in ("update_rejected", "update_failure")
        ]
        return sum(int(count or 0) for count in counts)

    async def _stat(self, name: str) -> Any:
        answer = await self.json(f"/stats?format=json&filter=^{quote(re.escape(name))}$")
        return next((stat["value"] for stat in answer["stats"] if stat.get("name") == name), None)

    async def state(self) -> State:
        """What is in force."""
        return from_dump(await self.json("/config_dump?include_eds"))

    async def answers(self) -> dict[str, Any]:
        """Envoy's counts of what was answered, for `pilotage.proxy.envoy.answers.sample`."""
        return await self.json(f"/stats?format=json&histogram_buckets=detailed&filter=^{STATS}[.]")

    async def in_flight(self) -> dict[str, int]:
        """Per address: requests that an instance is working on, or that wait for a connection to it."""
        answer = await self.json("/clusters?format=json")
        counts: dict[str, int] = {}
        for cluster in answer.get("cluster_statuses", ()):
            for host in cluster.get("host_statuses", ()):
                address = host["address"].get("socket_address")
                if address is None:
                    continue  # the gate
                stats = {stat["name"]: int(stat.get("value", 0)) for stat in host["stats"]}
                name = f"{address['address']}:{address['port_value']}"
                count = stats.get("rq_active", 0) + stats.get("rq_pending_active", 0)
                counts[name] = counts.get(name, 0) + count
        return counts

    async def listener_error(self) -> str:
        """Why Envoy refused the listener that it was given last; empty when it did not."""
        answer = await self.json("/config_dump?resource=dynamic_listeners")
        return "; ".join(
            entry["error_state"]["details"]
            for entry in answer.get("configs", ())
            if "error_state" in entry
        )


@contextlib.asynccontextmanager
async def connect(directory: Path) -> AsyncIterator[Admin]:
    """Open the admin interface of the Envoy that runs in ``directory``.

    Raises
    ------
    OSError
        Nothing answers there.
    """
    # A Unix socket's path has at most 107 bytes, and a project may be deeper than that: go by descriptor.
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        async with asyncio.timeout(ANSWER):
            reader, writer = await asyncio.open_unix_connection(
                f"/proc/self/fd/{descriptor}/{ADMIN_SOCKET}"
            )
    finally:
        os.close(descriptor)
    try:
        yield Admin(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
