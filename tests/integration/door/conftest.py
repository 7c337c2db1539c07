"""A Docker host with a door, services behind it, and clients that come in by the host's own ports."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.integration.envoy.edge import App, Client, app
from tests.lab import images
from tests.lab.host import Host
from tests.lab.lab import Lab

from pilotage.events import Event
from pilotage.model import Route
from pilotage.proxy.door import Door, DoorSettings, Entrance, Fragment, OwnCertificate
from pilotage.proxy.envoy import EnvoyProxy, EnvoySettings
from pilotage.proxy.envoy.docker import DockerPlace
from pilotage.proxy.envoy.scripts import IMAGE, EdgeContainer
from pilotage.shell.address import SshSettings
from pilotage.shell.base import Shell
from pilotage.shell.fleet import Fleet


@dataclass(slots=True)
class Way:
    """How requests come in on one host."""

    lab: Lab
    shell: Shell
    stack: AsyncExitStack
    events: list[Event] = field(default_factory=list)

    @property
    def host(self) -> Host:
        return self.lab.hosts[0]

    def entrance(
        self, service: str, *, certificate: OwnCertificate | None = None, **more: Any
    ) -> Entrance:
        """Of one service; `more` is its fragment's."""
        settings = EnvoySettings(
            Path("unused"), self.host.address, 80, service=service, concurrency=1, in_front=1
        )
        container = EdgeContainer(service, f".pilotage/{service}")
        place = DockerPlace(self.shell, container, settings, self.events.append)
        part = Fragment(
            service,
            f"{container.name}:80",
            certificate=certificate.name if certificate else None,
            **more,
        )
        door = Door(self.shell, DoorSettings(), self.events.append)
        return Entrance(
            EnvoyProxy(settings, place), door, part, container.state_dir, certificate=certificate
        )

    async def app(self, name: str) -> App:
        """One that containers reach."""
        return await self.stack.enter_async_context(app(name, address=self.lab.network.address))

    async def serve(self, entrance: Entrance, *active: App, token: int = 1) -> None:
        """As a deploy does: see that everything runs, then switch."""
        await entrance.ensure(token=token)
        route = Route(tuple(it.endpoint for it in active))
        await entrance.apply(self.host.address, route, token=token)

    @asynccontextmanager
    async def client(
        self, *, trust: str | None = None, name: str = "shop"
    ) -> AsyncIterator[Client]:
        """A connection to the host's port 80; with the PEM of a root, to 443 by that name."""
        context = ssl.create_default_context(cadata=trust) if trust else None
        reader, writer = await asyncio.open_connection(
            self.host.address,
            443 if context else 80,
            ssl=context,
            server_hostname=name if context else None,
        )
        try:
            yield Client(reader, writer)
        finally:
            writer.transport.abort()

    async def ask(self, name: str, path: str = "/", *, trust: str | None = None) -> tuple[int, str]:
        """Status and body of one request for a host name."""
        async with self.client(trust=trust, name=name) as it:
            it.writer.write(
                f"GET {path} HTTP/1.1\r\nhost: {name}\r\nconnection: close\r\n\r\n".encode()
            )
            answer = await it.reader.read()
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split(b" ")[1]), body.decode()


@pytest.fixture
def tell(lab: Lab) -> Callable[[Callable[[Way], Coroutine[Any, Any, None]]], None]:
    """Run a story on the first host, whose images of Envoy and Caddy are there."""
    lab.provide(images.envoy(), IMAGE)
    lab.provide(images.caddy(), f"{images.CADDY}:2")

    async def run(story: Callable[[Way], Coroutine[Any, Any, None]]) -> None:
        host = lab.hosts[0].address
        async with (
            Fleet((host,), SshSettings(files=(lab.ssh_config,))) as fleet,
            AsyncExitStack() as stack,
        ):
            await story(Way(lab, fleet[host], stack))

    return lambda story: asyncio.run(run(story))
