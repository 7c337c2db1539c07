"""The edges of one host, one for each role with traffic, as one proxy.

Every role has its own names, so each has an edge; but a host switches as a whole. Whoever plans and executes
knows one route a host: here it is taken apart by the role of each instance, and put together again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from pilotage.errors import LeaseLost, ProxyError
from pilotage.model import Endpoint, Front, Route, Sample
from pilotage.proxy.base import Proxy, Ready

_DIFFERENT = "\n<!-- not on every edge of the host -->"

RoleOf = Callable[[str], str | None]
"""The role of an instance, by its id; None where that is none with an edge here."""


@dataclass(frozen=True, slots=True)
class RoleEdges:
    """`pilotage.proxy.base.Proxy` of one host over an edge for each role."""

    host: str
    edges: Mapping[str, Proxy]
    role_of: RoleOf

    async def ensure(self, *, token: int) -> None:
        """One after the other: the doors before them share their files."""
        for edge in self.edges.values():
            await edge.ensure(token=token)

    async def observe(self, *, token: int | None = None) -> Mapping[str, Route]:
        """Of all edges together; the host is left out where one does not answer."""
        found = await asyncio.gather(*(edge.observe(token=token) for edge in self.edges.values()))
        routes = [route for part in found for route in part.values()]
        return {self.host: _together(routes)} if len(routes) == len(self.edges) else {}

    async def apply(
        self, host: str, route: Route, *, token: int, ready: Ready | None = None
    ) -> float:
        """On every edge: none puts its part in force before all can."""
        gate = _Gate(len(self.edges), ready)
        own = await self._fronts() if route.front and route.front.body.endswith(_DIFFERENT) else {}

        async def one(role: str, edge: Proxy) -> float:
            try:
                part = self._part(route, role)
                part = replace(part, front=own.get(role)) if own else part
                return await edge.apply(host, part, token=token, ready=gate.wait)
            except BaseException:
                await gate.abort()
                raise

        results = await asyncio.gather(
            *(one(role, edge) for role, edge in self.edges.items()), return_exceptions=True
        )
        failures = [result for result in results if isinstance(result, BaseException)]
        if failures:
            raise min(failures, key=lambda it: (not isinstance(it, LeaseLost), type(it) is _Held))
        return max(result for result in results if isinstance(result, float))

    async def measure(self, release: str) -> Mapping[str, Sample]:
        """Of all edges together."""
        found = await asyncio.gather(*(edge.measure(release) for edge in self.edges.values()))
        samples = [sample for part in found for sample in part.values()]
        return {self.host: Sample.total(samples)} if len(samples) == len(self.edges) else {}

    async def drain(self, host: str, endpoints: tuple[Endpoint, ...], *, limit: float) -> int:
        """On each edge that has any of them."""
        parts = {role: self._of(endpoints, role) for role in self.edges}
        left = await asyncio.gather(
            *(self.edges[r].drain(host, part, limit=limit) for r, part in parts.items() if part)
        )
        return sum(left)

    async def remove(self, *, token: int) -> None:
        """One after the other."""
        for edge in self.edges.values():
            await edge.remove(token=token)

    async def _fronts(self) -> dict[str, Front | None]:
        """What each edge does: they differ, and whoever applies a route does not mean to change that."""
        found = {role: await edge.observe() for role, edge in self.edges.items()}
        return {role: routes.get(self.host, Route()).front for role, routes in found.items()}

    def _part(self, route: Route, role: str) -> Route:
        """What of a host's route is a role's. A role that is new has nothing to share: it waits for the
        switch."""
        active, trial = self._of(route.active, role), self._of(route.trial, role)
        trial = trial if active else ()
        return replace(
            route,
            active=active,
            draining=self._of(route.draining, role),
            trial=trial,
            share=route.share if trial else 0.0,
        )

    def _of(self, endpoints: tuple[Endpoint, ...], role: str) -> tuple[Endpoint, ...]:
        return tuple(e for e in endpoints if self.role_of(e.instance) == role)


def _together(routes: list[Route]) -> Route:
    return Route(
        active=tuple(e for route in routes for e in route.active),
        draining=tuple(e for route in routes for e in route.draining),
        trial=tuple(e for route in routes for e in route.trial),
        share=max((route.share for route in routes), default=0.0),
        front=_front(routes),
    )


def _front(routes: list[Route]) -> Front | None:
    """What all edges do. Where they differ it is what none does: so it is not what is wanted either, and
    whoever compares brings them to it."""
    fronts = list(dict.fromkeys(route.front for route in routes))
    if len(fronts) == 1:
        return fronts[0]
    shut = next(front for front in fronts if front is not None)
    return replace(shut, body=f"{shut.body}{_DIFFERENT}")


class _Held(ProxyError):
    """An edge did not change because another one on its host could not."""


class _Gate:
    """Lets ``count`` edges go on together, once ``ready`` lets their host."""

    def __init__(self, count: int, ready: Ready | None) -> None:
        self._everyone = asyncio.Barrier(count)
        self._ready = ready
        self._told: asyncio.Future[None] | None = None

    async def wait(self) -> None:
        """Raises what ``ready`` raises, or `ProxyError` when another edge could not."""
        try:
            await self._everyone.wait()
        except asyncio.BrokenBarrierError as broken:
            raise _Held("another edge of the host was not ready to switch") from broken
        if self._ready is None:
            return
        if self._told is None:
            self._told = asyncio.ensure_future(self._ask(self._ready))
        await asyncio.shield(self._told)

    @staticmethod
    async def _ask(ready: Ready) -> None:
        await ready()

    async def abort(self) -> None:
        """One of them cannot: nobody waits for it."""
        await self._everyone.abort()
