"""What the contract suite needs of a proxy beyond its protocol. A new proxy joins with a kit in `KITS`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol

from tests.integration.envoy.conftest import free_port
from tests.integration.envoy.edge import HOST, App, app, client
from tests.integration.local.world import until
from tests.lab import images
from tests.lab.lab import Lab

from pilotage.model import Endpoint, Route, Sample
from pilotage.proxy.base import Proxy
from pilotage.proxy.envoy import EnvoyProxy, EnvoySettings, local_edge
from pilotage.proxy.envoy.docker import DockerPlace
from pilotage.proxy.envoy.scripts import IMAGE, EdgeContainer
from pilotage.proxy.memory import MemoryProxy
from pilotage.shell.address import SshSettings
from pilotage.shell.fleet import Fleet

UNUSABLE = Route(active=(Endpoint("web-bad", "bad", "not-an-address:1"),))


class Kit(Protocol):
    """One proxy to be held to the protocol."""

    proxy: Proxy
    host: str

    async def endpoint(self, name: str) -> Endpoint:
        """An endpoint that answers."""
        ...

    def in_flight(self, endpoint: Endpoint) -> contextlib.AbstractAsyncContextManager[None]:
        """A request that this endpoint, the active one, works on for as long as the context is open."""
        ...

    async def requests(self, release: str, *, good: int, bad: int) -> None:
        """So many requests, all answered by that release, the only active one; the bad ones with 500."""
        ...

    async def refuses(self, route: Route, *, token: int) -> None:
        """Apply a route in such a way that the proxy refuses it."""
        ...

    async def close(self) -> None:
        """End everything."""
        ...


class EnvoyKit:
    """A real Envoy before tiny apps."""

    host = HOST

    def __init__(self, folder: Path) -> None:
        self._stack = AsyncExitStack()
        self._apps: dict[str, App] = {}
        self._settings = EnvoySettings(
            folder / ".pilotage", HOST, free_port(), address="127.0.0.1", concurrency=2
        )
        self.proxy = local_edge(self._settings, lambda event: None)

    async def endpoint(self, name: str) -> Endpoint:
        made = await self._stack.enter_async_context(app(name))
        self._apps[made.endpoint.instance] = made
        return made.endpoint

    @asynccontextmanager
    async def port(self) -> AsyncIterator[int]:
        """Where the edge listens, as this machine reaches it."""
        yield self._settings.port

    @asynccontextmanager
    async def in_flight(self, endpoint: Endpoint) -> AsyncIterator[None]:
        serving = self._apps[endpoint.instance]
        async with self.port() as port, client(port) as it:
            served = serving.served
            slow = asyncio.create_task(it.get("/slow"))
            await until(lambda: serving.served > served)
            yield
            serving.release.set()
            await slow

    async def requests(self, release: str, *, good: int, bad: int) -> None:
        async with self.port() as port, client(port) as it:
            for path in ("/",) * good + ("/500",) * bad:
                await it.get(path)

    async def refuses(self, route: Route, *, token: int) -> None:
        await self.proxy.apply(self.host, UNUSABLE, token=token)

    async def close(self) -> None:
        await self._stack.aclose()
        await self.proxy.remove(token=10**9)


class DockerKit(EnvoyKit):
    """A real Envoy in a container of a Docker host, reached over SSH."""

    def __init__(self, lab: Lab) -> None:
        lab.provide(images.envoy(), images.ENVOY + ":" + IMAGE.rpartition(":")[2])
        self._stack = AsyncExitStack()
        self._apps = {}
        self._lab = lab
        self._fleet = Fleet((lab.hosts[0].address,), SshSettings(files=(lab.ssh_config,)))
        self.host = lab.hosts[0].address
        self._container = EdgeContainer("shop", ".pilotage/shop")
        settings = EnvoySettings(Path("unused"), self.host, 80, concurrency=2)
        place = DockerPlace(self._fleet[self.host], self._container, settings, lambda event: None)
        self.proxy = EnvoyProxy(settings, place)

    async def endpoint(self, name: str) -> Endpoint:
        made = await self._stack.enter_async_context(app(name, address=self._lab.network.address))
        self._apps[made.endpoint.instance] = made
        return made.endpoint

    @asynccontextmanager
    async def port(self) -> AsyncIterator[int]:
        network = "{{.NetworkSettings.Networks.kamal.IPAddress}}"
        argv = ("docker", "inspect", "--format", network, self._container.name)
        shell = self._fleet[self.host]
        async with shell.forward((await shell.run(argv)).text, 80) as port:
            yield port

    async def close(self) -> None:
        await self._stack.aclose()
        await self.proxy.remove(token=10**9)
        await self._fleet.close()


class MemoryKit:
    """The proxy in memory."""

    host = HOST

    def __init__(self, folder: Path) -> None:
        self.proxy = MemoryProxy((HOST,))

    async def endpoint(self, name: str) -> Endpoint:
        return Endpoint(f"web-{name}", name, f"{name}:1")

    @asynccontextmanager
    async def in_flight(self, endpoint: Endpoint) -> AsyncIterator[None]:
        self.proxy.in_flight[endpoint.instance] = 1
        yield
        del self.proxy.in_flight[endpoint.instance]

    async def requests(self, release: str, *, good: int, bad: int) -> None:
        at = (self.host, release)
        before = self.proxy.answered.get(at, Sample())
        self.proxy.answered[at] = before + Sample(good + bad, bad, ((1.0, good + bad),))

    async def refuses(self, route: Route, *, token: int) -> None:
        self.proxy.rejecting.add(self.host)
        try:
            await self.proxy.apply(self.host, route, token=token)
        finally:
            self.proxy.rejecting.clear()

    async def close(self) -> None:
        pass


KITS: dict[str, Callable[[Path], Kit]] = {"envoy": EnvoyKit, "memory": MemoryKit}
"""Those that need nothing but a folder; a `DockerKit` needs Docker hosts."""
