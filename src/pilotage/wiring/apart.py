"""A service of which the database is reached, and nothing else: every host is unknown.

For a half that runs where no host can be asked: in a container of pilotage's own, or on a machine of
whoever looks after the database. An expand half adds, so it needs no look at what runs. A contract half
needs its proof, and no host gives one: it is refused, as with hosts that do not answer.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from pilotage.config import Config
from pilotage.errors import ConfigError, TargetError
from pilotage.events import Emit
from pilotage.model import Endpoint, Host, Instance, Route, Sample
from pilotage.plan import Layout
from pilotage.proxy.base import Ready
from pilotage.source import GitSource
from pilotage.targets.base import Document, Gate, Job, OnOutput, TargetView
from pilotage.wiring.place import Place
from pilotage.wiring.use import Use


@contextlib.asynccontextmanager
async def open_apart(
    config: Config, source: GitSource, *, emit: Emit, use: Use
) -> AsyncIterator[Place]:
    """A place without hosts.

    Raises
    ------
    ConfigError
        The deploy lock is kept on a host.
    """
    if config.state == "target":
        raise ConfigError(
            "the deploy lock is kept at the target, so nothing can be done without asking a host",
            where=str(config.path),
            key="state",
            next="leave --no-hosts out, or set `state: database`",
        )
    hosts = UnaskedHosts(config.hosts)
    yield Place(
        target=hosts,
        logs=hosts,
        proxy=UnaskedProxy(),
        layout=Layout(config.service, ()),
        host=hosts.names[0] if hosts.names else "",
        wipe=_refuse,
        ask=_refuse,
        build=_refuse,
        tidy=_refuse,
    )


@dataclass(frozen=True, slots=True)
class UnaskedHosts:
    """`pilotage.targets.base.Target` and `Logs` of hosts that nobody asks: all are unknown."""

    names: tuple[str, ...]

    @property
    def state(self) -> Document:
        """There is none: the deploy state is in the database."""
        _refused()

    async def highest(self) -> int:
        """No host says what token it has seen."""
        return 0

    async def observe(self, *, token: int | None = None) -> TargetView:
        """Every host as one that does not answer."""
        unknown = (Host(name, reachable=False, detail="not asked") for name in self.names)
        return TargetView(hosts=tuple(unknown), instances=())

    async def fetch(self, revision: str) -> None:
        """Refused."""
        _refused()

    async def start(self, instance: Instance, revision: str, *, token: int, gate: Gate) -> Instance:
        """Refused."""
        _refused()

    async def check(self, instance: Instance, *, limit: float | None = None) -> float:
        """Refused."""
        _refused()

    async def boot(
        self,
        instance: Instance,
        revision: str,
        *,
        limit: float,
        token: int,
        gate: Gate,
        output: OnOutput,
    ) -> Instance:
        """Refused."""
        _refused()

    async def stop(self, instance: Instance, *, token: int) -> bool:
        """Refused."""
        _refused()

    async def run_once(self, job: Job, *, token: int | None, gate: Gate, output: OnOutput) -> int:
        """Refused."""
        _refused()

    async def last_lines(
        self, id: str, *, lines: int | None = 10, since: str | None = None
    ) -> tuple[str, ...]:
        """Nothing is known of any instance."""
        return ()

    async def follow(
        self, id: str, output: OnOutput, *, lines: int | None = None, since: str | None = None
    ) -> None:
        """Nothing is known of any instance."""


@dataclass(frozen=True, slots=True)
class UnaskedProxy:
    """`pilotage.proxy.base.Proxy` of hosts that nobody asks."""

    async def ensure(self, *, token: int) -> None:
        """Refused."""
        _refused()

    async def observe(self, *, token: int | None = None) -> Mapping[str, Route]:
        """No host answers."""
        return {}

    async def apply(
        self, host: str, route: Route, *, token: int, ready: Ready | None = None
    ) -> float:
        """Refused."""
        _refused()

    async def measure(self, release: str) -> Mapping[str, Sample]:
        """No host answers."""
        return {}

    async def drain(self, host: str, endpoints: tuple[Endpoint, ...], *, limit: float) -> int:
        """Refused."""
        _refused()

    async def remove(self, *, token: int) -> None:
        """Refused."""
        _refused()


async def _refuse(*_words: Any, **_named: Any) -> NoReturn:
    _refused()


def _refused() -> NoReturn:
    raise TargetError(
        "no host is asked here",
        state="nothing was touched",
        next="run it without --no-hosts",
    )
