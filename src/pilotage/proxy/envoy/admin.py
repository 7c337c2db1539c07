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
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pilotage.model import Route
from pilotage.proxy.envoy.answers import STATS
from pilotage.proxy.envoy.names import ADMIN_SOCKET, LISTENER
from pilotage.proxy.envoy.state import State, from_dump, from_resources

ANSWER = 5.0
"""Seconds in which Envoy must answer."""

_STATS: Mapping[str, str] = {
    "cds": "cluster_manager.cds",
    "rds": f"http.{LISTENER}.rds.{LISTENER}",
    "lds": "listener_manager.lds",
}


_STATE = "/config_dump?include_eds"
"""All of it: a hundred kilobytes, most of which are the names of Envoy's extensions."""

_ENDPOINTS = "/config_dump?include_eds&resource=dynamic_endpoint_configs"
_ROUTES = "/config_dump?resource=dynamic_route_configs"
_LISTENERS = "/config_dump?resource=dynamic_listeners"
_NOTHING = 404
"""The answer where there is no resource of a kind yet."""

_KINDS = {name: kind for kind, name in _STATS.items()}
_NAMES = "|".join((*(re.escape(name) for name in _STATS.values()), "cluster[.].+"))


def stats_of(kind: str) -> str:
    """Where Envoy keeps, for each file, ``version_text`` and its counts of updates."""
    return _STATS.get(kind) or f"cluster.{kind.removeprefix('eds/')}"


def kind_of(stats: str) -> str:
    """The inverse of `stats_of`."""
    return _KINDS.get(stats) or f"eds/{stats.removeprefix('cluster.')}"


@dataclass(frozen=True, slots=True)
class Standing:
    """One file as Envoy has it. ``version``: of what is in force; ``refusals``: how often Envoy has refused
    this file, or could not read it."""

    version: str | None = None
    refusals: int = 0


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(slots=True)
class Admin:
    """One open connection to the admin interface. Any failure of it is an `OSError`.

    ``reopen``: where the connection was kept from an earlier use, makes another one when it has ended meanwhile.
    ``reopened``: it did, perhaps to another Envoy.
    """

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    reopen: Callable[[], Awaitable[Streams]] | None = None
    reopened: bool = False

    async def get(self, path: str) -> bytes:
        """The body of an answer.

        Raises
        ------
        OSError
            No answer in time, the connection was closed, or the answer is not 200.
        """
        ((status, body),) = await self._answers(path)
        _require(status == 200, status, path)
        return body

    async def _answers(self, *paths: str) -> list[tuple[int, bytes]]:
        """Statuses and bodies, asked for at once.

        Two at most: where a third answer is to be sent at once, Envoy takes it for a flood, and closes the connection.
        """
        try:
            answers = await self._ask(paths)
        except ConnectionError:
            if self.reopen is None:
                raise
            self.writer.close()
            (self.reader, self.writer), self.reopen = await self.reopen(), None
            self.reopened = True
            answers = await self._ask(paths)
        self.reopen = None
        return answers

    async def _ask(self, paths: Sequence[str]) -> list[tuple[int, bytes]]:
        async with asyncio.timeout(ANSWER):
            try:
                for path in paths:
                    self.writer.write(f"GET {path} HTTP/1.1\r\nHost: admin\r\n\r\n".encode())
                return [await self._answer() for _ in paths]
            except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
                raise ConnectionResetError("Envoy's admin interface broke off") from error

    async def _answer(self) -> tuple[int, bytes]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        if b"transfer-encoding: chunked" in head:
            body = b""
            while size := int(await self.reader.readline(), 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readline()
        else:
            _, _, rest = head.partition(b"content-length:")
            body = await self.reader.readexactly(int(rest.split(b"\r\n")[0]))
        return int(head.split(b" ", 2)[1]), body

    async def json(self, path: str) -> dict[str, Any]:
        """The object in an answer."""
        value: dict[str, Any] = json.loads(await self.get(path))
        return value

    async def standing(self, kinds: Iterable[str] | None = None) -> dict[str, Standing]:
        """How Envoy takes its files, by kind (``cds``, ``eds/CLUSTER``…); by default all of them."""
        return _standing(await self.json(_standing_path(kinds)))

    async def ready(self) -> dict[str, Standing]:
        """`standing` of all files, from an Envoy that says that it is ready. Raises `OSError` where it does not."""
        paths = ("/ready", _standing_path(None))
        answers = await self._answers(*paths)
        for path, (status, _) in zip(paths, answers, strict=True):
            _require(status == 200, status, path)
        return _standing(json.loads(answers[-1][1]))

    async def state(self) -> State:
        """What is in force."""
        return from_dump(await self.json(_STATE))

    async def route(self) -> Route:
        """The route in force. Clusters are only asked for in a pause, which may have ended with one of them."""
        paths = (_ENDPOINTS, _ROUTES)
        parts: list[Mapping[str, Any]] = []
        for path, (status, body) in zip(paths, await self._answers(*paths), strict=True):
            _require(status in (200, _NOTHING), status, path)
            parts += json.loads(body).get("configs", ()) if status == 200 else ()
        state = from_resources(parts)
        if state.paused:
            return (await self.state()).route()
        return replace(state, clusters={name: {} for name in state.endpoints}).route()

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
        answer = await self.json(_LISTENERS)
        return "; ".join(
            entry["error_state"]["details"]
            for entry in answer.get("configs", ())
            if "error_state" in entry
        )


def _require(fine: bool, status: int, path: str) -> None:
    if not fine:
        raise ConnectionError(f"Envoy's admin interface answered {status} to {path}")


def _standing_path(kinds: Iterable[str] | None) -> str:
    names = [_NAMES] if kinds is None else [re.escape(stats_of(kind)) for kind in kinds]
    pattern = f"^({'|'.join(names)})[.](version_text|update_rejected|update_failure)$"
    return f"/stats?format=json&filter={quote(pattern)}"


def _standing(answer: Mapping[str, Any]) -> dict[str, Standing]:
    found: dict[str, Standing] = {}
    for stat in answer["stats"]:
        if "name" in stat:
            name, _, what = stat["name"].rpartition(".")
            kind = kind_of(name)
            old = found.get(kind, Standing())
            if what == "version_text":
                found[kind] = replace(old, version=stat["value"])
            else:
                found[kind] = replace(old, refusals=old.refusals + int(stat["value"]))
    return found


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
    async with session(reader, writer) as admin:
        yield admin


@contextlib.asynccontextmanager
async def session(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> AsyncIterator[Admin]:
    """A connection to an admin interface, closed at the end."""
    try:
        yield Admin(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
