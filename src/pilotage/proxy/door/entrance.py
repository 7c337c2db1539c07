"""How requests come in on one host: the door before the service's edge, as one proxy."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from pilotage.model import Endpoint, Route, Sample
from pilotage.proxy.base import Proxy, Ready
from pilotage.proxy.door.door import Door
from pilotage.proxy.door.fragment import Fragment, OwnCertificate
from pilotage.proxy.door.scripts import Found
from pilotage.shell.fenced import Fence


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

    async def ensure(self, *, token: int) -> None:
        """First the edge, then the door before it; they are looked at together."""
        looking = asyncio.ensure_future(self.door.look())
        try:
            await self.edge.ensure(token=token)
        except BaseException:
            looking.cancel()
            raise
        found = await looking
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

    async def observe(self) -> Mapping[str, Route]:
        """Of the edge."""
        return await self.edge.observe()

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
