"""Apps behind an edge and clients in front of it, small enough to read, real enough to lose a request."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pilotage.events import Event
from pilotage.model import Endpoint, Route
from pilotage.proxy.envoy import EnvoyProxy, EnvoySettings
from pilotage.proxy.envoy.admin import connect
from pilotage.proxy.envoy.names import Resource, path
from pilotage.proxy.envoy.process import EnvoyProcess

HOST = "here"


@dataclass(slots=True)
class App:
    """An HTTP/1.1 app in this process, which says its name. ``of``: its release, by default its name.

    ``/slow``: waits for `release`. ``/events``: a stream of server-sent events, one for each `tick`
    but the empty one, which ends it. ``/socket``: upgrades, then sends back what it gets.
    ``/headers``: the request's head. ``/500``: that status. ``/late/N``: answers after N ms.
    ``/reset``: cuts the connection before the head of an answer, ``/cut`` after it.
    """

    name: str
    server: asyncio.Server
    of: str = ""
    served: int = 0
    release: asyncio.Event = field(default_factory=asyncio.Event)
    tick: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def address(self) -> str:
        host, port = self.server.sockets[0].getsockname()
        return f"{host}:{port}"

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(f"web-{self.name}", self.of or self.name, self.address)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            while True:
                await self.answer(reader, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self.tasks.discard(task)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ")[1].decode()
        body = b""
        if b"content-length: " in head.lower():
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            body = await reader.readexactly(length)
        self.served += 1
        if path == "/slow":
            await self.release.wait()
        elif path == "/events":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
            while tick := await self.tick.get():
                writer.write(f"data: {tick}\n\n".encode())
                await writer.drain()
            raise ConnectionResetError
        elif path == "/reset":
            writer.transport.abort()
            raise ConnectionResetError
        elif path == "/cut":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n.")
            await writer.drain()
            await asyncio.sleep(0.05)  # or Envoy sees the end before it passed the head on
            writer.transport.abort()
            raise ConnectionResetError
        elif path.startswith("/late/"):
            await asyncio.sleep(int(path.rpartition("/")[2]) / 1000)
        elif path == "/socket":
            writer.write(
                b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n"
                b"connection: upgrade\r\n\r\n"
            )
            while data := await reader.read(1024):
                writer.write(data)
                await writer.drain()
            raise ConnectionResetError
        text = head if path == "/headers" else self.name.encode() + body
        status = b"500 Wrong" if path == "/500" else b"200 OK"
        writer.write(
            b"HTTP/1.1 %s\r\nserver: tiny\r\ncontent-length: %d\r\n\r\n%s"
            % (status, len(text), text)
        )

    async def kill(self) -> None:
        """Stop as a process does that is ended: every connection is cut."""
        self.server.close()
        tasks = tuple(self.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)
        await self.server.wait_closed()


@contextlib.asynccontextmanager
async def app(name: str, of: str = "", *, address: str = "127.0.0.1") -> AsyncIterator[App]:
    """An app that runs, and is killed at the end."""
    made: list[App] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await made[0].serve(reader, writer)

    made.append(App(name, await asyncio.start_server(serve, address, 0, backlog=2048), of))
    try:
        yield made[0]
    finally:
        await made[0].kill()


@dataclass(slots=True)
class Answer:
    """What came back: status, head and body."""

    status: int
    head: bytes
    body: bytes


@dataclass(slots=True)
class Client:
    """One connection to the edge, kept alive."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def get(self, path: str = "/", *, method: str = "GET", body: bytes = b"") -> Answer:
        await self.send(path, method=method, body=body)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        return Answer(int(head.split(b" ")[1]), head, await self.reader.readexactly(length))

    async def send(
        self, path: str, *, method: str = "GET", body: bytes = b"", more: str = ""
    ) -> None:
        length = f"content-length: {len(body)}\r\n" if body else ""
        self.writer.write(
            f"{method} {path} HTTP/1.1\r\nhost: shop\r\n{length}{more}\r\n".encode() + body
        )
        await self.writer.drain()

    async def chunk(self) -> bytes:
        """The next piece of a chunked body."""
        size = int(await self.reader.readline(), 16)
        return (await self.reader.readexactly(size + 2))[:-2]


@contextlib.asynccontextmanager
async def client(port: int) -> AsyncIterator[Client]:
    """A connection that is open."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def ask(port: int, path: str = "/") -> str:
    """One request on a connection of its own: the body, or the status when it is not 200."""
    async with client(port) as it:
        answer = await it.get(path)
        return answer.body.decode() if answer.status == 200 else str(answer.status)


@dataclass(slots=True)
class Edge:
    """One project's edge."""

    proxy: EnvoyProxy
    events: list[Event]

    @property
    def settings(self) -> EnvoySettings:
        return self.proxy.settings

    @property
    def port(self) -> int:
        return self.settings.port

    def file(self, kind: str) -> Path:
        return self.settings.directory / path(kind)

    def files(self) -> dict[str, bytes]:
        """What Envoy reads, by its names below the edge's directory."""
        folder = self.settings.directory
        return {
            str(it.relative_to(folder)): it.read_bytes()
            for kind in ("lds", "cds", "rds", "eds")
            for it in (folder / kind).rglob("*")
            if it.is_file()
        }

    async def route(
        self, *active: App, draining: tuple[App, ...] = (), token: int = 1, **more: Any
    ) -> tuple[Route, float]:
        route = Route(
            active=tuple(it.endpoint for it in active),
            draining=tuple(it.endpoint for it in draining),
            **more,
        )
        return route, await self.proxy.apply(HOST, route, token=token)

    async def observed(self) -> Route | None:
        return (await self.proxy.observe()).get(HOST)

    def pid(self) -> int:
        status = EnvoyProcess(self.settings).status()
        assert status is not None
        return status.main.pid

    def runs(self) -> bool:
        return EnvoyProcess(self.settings).alive

    async def stat(self, name: str) -> int:
        """One of Envoy's own counts."""
        async with connect(self.settings.directory) as admin:
            answer = await admin.json(f"/stats?format=json&filter=^{name}$")
        return next((int(it["value"]) for it in answer["stats"] if it.get("name") == name), 0)

    async def clusters(self) -> list[Resource]:
        """Those in force."""
        async with connect(self.settings.directory) as admin:
            return list((await admin.state()).clusters.values())

    def cpu(self) -> float:
        """Seconds of processor time so far."""
        fields = Path(f"/proc/{self.pid()}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int:
        """Bytes of it that are resident."""
        fields = Path(f"/proc/{self.pid()}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    def inotify(self) -> int:
        """How many inotify instances it has."""
        count = 0
        for descriptor in Path(f"/proc/{self.pid()}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                count += str(descriptor.readlink()) == "anon_inode:inotify"
        return count
