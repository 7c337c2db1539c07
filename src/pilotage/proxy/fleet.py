"""The edges of several hosts as one: everything on all of them at once, each host's outcome its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection, Mapping
from dataclasses import dataclass

from pilotage.errors import LeaseLost, PilotageError, ProxyError
from pilotage.model import Endpoint, Route, Sample
from pilotage.proxy.base import Proxy, Ready


@dataclass(frozen=True, slots=True)
class EdgeFleet:
    """`pilotage.proxy.base.Proxy` over one for each host, by its name.

    A host that does not answer is left out of what is observed and measured. What changes something goes
    to its end on every host before the first failure is raised, so that none is left half-way.

    ``at``: hosts that are to have an edge that runs; None: all of them.
    """

    edges: Mapping[str, Proxy]
    at: Collection[str] | None = None

    async def ensure(self, *, token: int) -> None:
        """On every host that is to have one."""
        hosts = [host for host in self.edges if self.at is None or host in self.at]
        await self._all({host: self.edges[host].ensure(token=token) for host in hosts})

    async def observe(self, *, token: int | None = None) -> Mapping[str, Route]:
        """Of every host that answers."""
        found = await asyncio.gather(*(edge.observe(token=token) for edge in self.edges.values()))
        return {host: route for routes in found for host, route in routes.items()}

    async def apply(
        self, host: str, route: Route, *, token: int, ready: Ready | None = None
    ) -> float:
        """On its host."""
        return await self._edge(host).apply(host, route, token=token, ready=ready)

    async def measure(self, release: str) -> Mapping[str, Sample]:
        """On every host that answers."""
        found = await asyncio.gather(*(edge.measure(release) for edge in self.edges.values()))
        return {host: sample for samples in found for host, sample in samples.items()}

    async def drain(self, host: str, endpoints: tuple[Endpoint, ...], *, limit: float) -> int:
        """On its host."""
        return await self._edge(host).drain(host, endpoints, limit=limit)

    async def remove(self, *, token: int) -> None:
        """On every host."""
        await self._all({host: edge.remove(token=token) for host, edge in self.edges.items()})

    def _edge(self, host: str) -> Proxy:
        edge = self.edges.get(host)
        if edge is None:
            known = ", ".join(self.edges) or "none"
            raise ProxyError(f"there is no edge on this host; there is one on: {known}", where=host)
        return edge

    async def _all(self, actions: Mapping[str, Awaitable[None]]) -> None:
        results = await asyncio.gather(*actions.values(), return_exceptions=True)
        failed = {
            host: result
            for host, result in zip(actions, results, strict=True)
            if isinstance(result, BaseException)
        }
        if not failed:
            return
        # Whoever lost its lease says nothing else.
        first = min(failed.values(), key=lambda error: not isinstance(error, LeaseLost))
        if len(failed) == 1 or not isinstance(first, PilotageError) or isinstance(first, LeaseLost):
            raise first
        done = [host for host in actions if host not in failed]
        raise ProxyError(
            "; ".join(f"{host}: {_what(error)}" for host, error in failed.items()),
            where=", ".join(failed),
            state=f"done on {', '.join(done) or 'no host'}",
            next=first.next or "run the command again",
        ) from first


def _what(error: BaseException) -> str:
    return error.what if isinstance(error, PilotageError) else str(error) or type(error).__name__
