"""How requests come in on one host: the door before the service's edge, as one proxy."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass

from pilotage.errors import ProxyError
from pilotage.model import Endpoint, Route, Sample
from pilotage.proxy.base import Proxy, Ready
from pilotage.proxy.door.door import Door
from pilotage.proxy.door.fragment import Fragment, OwnCertificate
from pilotage.proxy.door.scripts import Found
from pilotage.shell.fenced import Fence

_RECENT = 2.0
"""Seconds in which a look at the door is one of just now. What is written by it asks again whether that is so."""


@dataclass(slots=True)
class Entrance:
    """`pilotage.proxy.base.Proxy` of one host with a door.

    ``state_dir``: the service's, with its fence. While Kamal's proxy has the ports the door waits until
    the edge has somewhere to send requests: so they are taken over at the first switch, not before.
    """

    edge: Proxy
    door: Door
    fragment: Fragment
    state_dir: str
    certificate: OwnCertificate | None = None
    _waits: bool = False
    _seen: tuple[Found, float] | None = None

    async def ensure(self, *, token: int) -> None:
        """First the edge, then the door before it; they are looked at together."""
        async with self._looking() as looking:
            await self.edge.ensure(token=token)
            found = await looking
        self._seen = None
        self._waits = found.kamal and not found.running and not await self._served()
        if self._waits:
            # What would be refused at the switch is refused before anything is started.
            await self.door.require_alone(found, self.fragment.service)
        else:
            await self._open(token, found)

    async def _served(self) -> bool:
        """Whether the edge has an answer for requests."""
        return any(route.active or route.front for route in (await self.edge.observe()).values())

    async def apply(
        self, host: str, route: Route, *, token: int, ready: Ready | None = None
    ) -> float:
        """On the edge; and the first time, the door's taking over from Kamal's proxy."""
        moment = await self.edge.apply(host, route, token=token, ready=ready)
        if self._waits and (route.active or route.front):
            await self._open(token)
            self._waits = False
        return moment

    async def _open(self, token: int, found: Found | None = None) -> None:
        fence = Fence(self.state_dir, token)
        await self.door.put(self.fragment, fence, found, certificate=self.certificate)

    async def observe(self, *, token: int | None = None) -> Mapping[str, Route]:
        """Of the edge. With a token the door is looked at beside, for the `ensure` that follows."""
        if token is None:
            return await self.edge.observe()
        self._seen = None
        async with self._looking() as looking:
            routes = await self.edge.observe(token=token)
            if routes:  # or the host may not answer at all
                with contextlib.suppress(ProxyError):  # `ensure` meets it again
                    self._seen = await looking, time.monotonic()
        return routes

    @contextlib.asynccontextmanager
    async def _looking(self) -> AsyncIterator[Awaitable[Found]]:
        """A look at the door, begun; or the one of a moment ago."""
        task = asyncio.ensure_future(self._look())
        try:
            yield task
        finally:
            task.cancel()

    async def _look(self) -> Found:
        if self._seen is not None and time.monotonic() - self._seen[1] < _RECENT:
            return self._seen[0]
        return await self.door.look()

    async def measure(self, release: str) -> Mapping[str, Sample]:
        """Of the edge."""
        return await self.edge.measure(release)

    async def drain(self, host: str, endpoints: tuple[Endpoint, ...], *, limit: float) -> int:
        """Of the edge."""
        return await self.edge.drain(host, endpoints, limit=limit)

    async def remove(self, *, token: int) -> None:
        """First the door's way to the edge, then the edge."""
        await self.door.drop(self.fragment.service, Fence(self.state_dir, token))
        await self.edge.remove(token=token)
