"""The proxy protocol: what the executor needs of the edge of each host."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from pilotage.model import Endpoint, Route, Sample

Ready = Callable[[], Awaitable[None]]
"""Returns when the route may come into force, or raises a `ProxyError` when it may not."""


class Proxy(Protocol):
    """The edge of every host. Mutations carry the lease token; a lower one is refused (`LeaseLost`)."""

    async def ensure(self, *, token: int) -> None:
        """Make sure that a proxy runs on every host, with the route that it had before.

        Raises
        ------
        ProxyError
            It cannot be started (port taken, disk full, rejected configuration).
        """
        ...

    async def observe(self, *, token: int | None = None) -> Mapping[str, Route]:
        """The route in force on each host that answers; empty before the first `apply`.

        ``token``: observe with authority. Every host that answers first raises its fence to it, so no earlier
        deployer changes a route that is returned.

        Raises
        ------
        LeaseLost
            A host has seen a higher token.
        ProxyError
            With a token: a host answers, and its edge's files cannot be read.
        """
        ...

    async def apply(
        self, host: str, route: Route, *, token: int, ready: Ready | None = None
    ) -> float:
        """Put a route in force, and return once the proxy *confirmed* it (``time.monotonic()``).

        ``ready``: awaited when everything that the route needs is in force, and the route is not; what it
        raises is raised, and nothing was changed. So several hosts wait for each other.
        Requests that a pause held go on to the active endpoints of the first route without a front.

        Raises
        ------
        ProxyError
            No proxy can do this (`pilotage.proxy.checks`: a release on trial against itself, a page
            above 1 MiB, …), and nothing was changed.
            Or it was not confirmed in time, or rejected: the old route is then still in force, and the error
            has the proxy's own words. When even that is not certain, the error says so.
        LeaseLost
            The host has seen a higher token.
        """
        ...

    async def measure(self, release: str) -> Mapping[str, Sample]:
        """What the endpoints of a release answered so far, on each host that answers.

        A request counts once, when it is over, for the release that answered it, or should have. One
        whose client went away before an answer counts for nobody. Latency is the time from the end
        of the request to the first byte of the answer, a second old at most.

        The counts only ever grow while a route of the host names the release; a host on which none
        does (or did, since its proxy started) has an empty sample.
        """
        ...

    async def drain(self, host: str, endpoints: tuple[Endpoint, ...], *, limit: float) -> int:
        """Wait until no request is in flight at these (draining) endpoints, on two polls running.

        Returns the number of requests still in flight when ``limit`` (seconds) was reached, or 0.
        """
        ...

    async def remove(self, *, token: int) -> None:
        """Stop the proxy everywhere and delete its files."""
        ...
