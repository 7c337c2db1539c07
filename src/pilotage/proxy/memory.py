"""A proxy in memory: one route per host, and everything that can go wrong when it is changed.

For tests, and for whoever extends pilotage. A host's proxy can reject a route, or take it and not say
so; both are sets of host names that a test changes at any time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

from pilotage.errors import LeaseLost, ProxyError
from pilotage.model import Endpoint, Route, Sample
from pilotage.proxy.base import Ready
from pilotage.proxy.checks import require_sound


class MemoryProxy:
    """`pilotage.proxy.base.Proxy` in memory.

    Parameters
    ----------
    hosts:
        The hosts that have a proxy.
    reachable:
        Whether a host answers; `pilotage.targets.memory.MemoryTarget.answers`, where there is one.
    admit:
        The fence of a host, shared with its target (`MemoryTarget.admit`); by default one of its own.

    ``rejecting``: hosts that refuse every route and keep the old one. ``mute``: hosts that put a
    route in force and do not confirm it. ``in_flight``: requests by instance id, for `drain`.
    ``answered``: what a release answered, by host and release; a test adds to it.
    """

    def __init__(
        self,
        hosts: Iterable[str] = ("localhost",),
        *,
        reachable: Callable[[str], bool] | None = None,
        admit: Callable[[str, int], None] | None = None,
    ) -> None:
        self.hosts = list(hosts)
        self.routes: dict[str, Route] = {}
        self.running: set[str] = set()
        self.rejecting: set[str] = set()
        self.mute: set[str] = set()
        self.in_flight: dict[str, int] = {}
        self.answered: dict[tuple[str, str], Sample] = {}
        self._tokens: dict[str, int] = {}
        self._reachable = reachable or (lambda host: True)
        self._admit = admit or self._own_fence

    async def ensure(self, *, token: int) -> None:
        """A proxy runs on every host that answers; the others are an error."""
        for host in self.hosts:
            self._reach(host)
            self._admit(host, token)
            self.running.add(host)
            self.routes.setdefault(host, Route())

    async def observe(self, *, token: int | None = None) -> Mapping[str, Route]:
        """The routes of the hosts that answer."""
        for host in filter(self._reachable, self.hosts):
            if token is not None:
                self._admit(host, token)
        return {host: route for host, route in self.routes.items() if self._reachable(host)}

    async def apply(
        self, host: str, route: Route, *, token: int, ready: Ready | None = None
    ) -> float:
        """Put a route in force; the time is the event loop's, which is `time.monotonic`'s."""
        require_sound(host, route)
        self._reach(host)
        self._admit(host, token)
        if host not in self.running:
            raise ProxyError("no proxy runs", where=host, state="no route is in force there")
        if host in self.rejecting:
            raise ProxyError(
                "the proxy rejected the route",
                where=host,
                state="the route that it had is still in force",
            )
        if ready:
            await ready()
            self._reach(host)
            self._admit(host, token)
        self.routes[host] = route
        if host in self.mute:
            raise ProxyError(
                "the proxy did not confirm the route in time",
                where=host,
                state="it is not known which route is in force",
                next="run the command again",
            )
        return asyncio.get_running_loop().time()

    async def measure(self, release: str) -> Mapping[str, Sample]:
        """What the test says that the release answered."""
        return {
            host: self.answered.get((host, release), Sample())
            for host in self.hosts
            if self._reachable(host)
        }

    async def drain(self, host: str, endpoints: tuple[Endpoint, ...], *, limit: float) -> int:
        """What is in flight at these endpoints; nothing here goes away by waiting."""
        return sum(self.in_flight.get(endpoint.instance, 0) for endpoint in endpoints)

    async def remove(self, *, token: int) -> None:
        """Forget every route and stop every proxy."""
        for host in self.hosts:
            self._reach(host)
            self._admit(host, token)
            self.routes.pop(host, None)
            self.running.discard(host)

    def _reach(self, host: str) -> None:
        if not self._reachable(host):
            raise ProxyError(
                "the host does not answer",
                where=host,
                state="it is not known which route is in force",
                next="run the command again once it answers",
            )

    def _own_fence(self, host: str, token: int) -> None:
        known = self._tokens.get(host, 0)
        if token < known:
            raise LeaseLost(
                f"another deployer holds the lease: the proxy has seen token {known}, "
                f"this one has {token}",
                where=host,
                state="its route was not changed",
                next="see `pilotage status`, then run the command again",
            )
        self._tokens[host] = token
