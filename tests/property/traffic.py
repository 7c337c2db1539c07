"""A proxy that passes on a steady stream of requests, and counts what each release answers.

Time is virtual, so the requests of a stretch of time are a multiplication. A release that is `worse`
answers every second request with an error. A good one fails now and then: its very first request,
which finds it cold, and one in a thousand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from pilotage.model import Route, Sample
from pilotage.proxy.base import Ready
from pilotage.proxy.memory import MemoryProxy

NOISE = 1000


class CountingProxy(MemoryProxy):
    """``rate``: requests a second on each host. ``worse``: releases that fail every second one.

    ``ever_worse``: those that ever did. ``moods``: how often any of them changed.
    """

    def __init__(self, *args: Any, rate: int, **more: Any) -> None:
        super().__init__(*args, **more)
        self.rate = rate
        self.worse: set[str] = set()
        self.ever_worse: set[str] = set()
        self.moods = 0
        self._until = 0.0

    def change_mood(self, release: str) -> None:
        """A release answers worse from now on, or no longer."""
        self.pass_on()
        self.moods += 1
        self.worse ^= {release}
        self.ever_worse |= self.worse

    def calm(self) -> None:
        """Every release answers well from now on."""
        for release in tuple(self.worse):
            self.change_mood(release)

    async def apply(
        self, host: str, route: Route, *, token: int, ready: Ready | None = None
    ) -> float:
        """What came until now went by the old route."""
        self.pass_on()
        return await super().apply(host, route, token=token, ready=ready)

    async def measure(self, release: str) -> Mapping[str, Sample]:
        """What came until now is counted."""
        self.pass_on()
        return await super().measure(release)

    def pass_on(self) -> None:
        """Count the requests since the last time."""
        now = asyncio.get_running_loop().time()
        came, self._until = round(self.rate * (now - self._until)), now
        if came:
            for host, route in self.routes.items():
                self._answer(host, came, route)

    def _answer(self, host: str, came: int, route: Route) -> None:
        tried = round(came * route.share) if route.trial else 0
        for endpoints, count in ((route.active, came - tried), (route.trial, tried)):
            for release in dict.fromkeys(e.release for e in endpoints):
                known = self.answered.get((host, release), Sample())
                total = known.requests + count
                errors = -(-total // NOISE) - -(-known.requests // NOISE)
                if release in self.worse:
                    errors = count // 2
                more = Sample(count, errors, ((10.0, count),) if count else ())
                self.answered[host, release] = known + more
