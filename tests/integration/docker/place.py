"""A service on the hosts of a lab, for the tests of the Docker target."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from tests.contract.target.docker_kit import APP, OnHosts, provide_app, settings
from tests.lab.host import Host
from tests.lab.lab import Lab

from pilotage.events import CommandRan, Event
from pilotage.model import Instance, Kind, Life, release_id
from pilotage.secret import Secret
from pilotage.shell.fleet import Fleet
from pilotage.targets.base import Job
from pilotage.targets.docker import DockerRole, DockerService, DockerTarget, HttpHealth

REVISION = "5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed"
HEALTH = HttpHealth(limit=60.0, interval=0.1)
WEB = DockerRole(traffic=True, health=HEALTH, stop_timeout=20)

Story = Callable[["Place"], Awaitable[None]]


async def open_gate() -> None:
    """A gate that lets everything through."""


def instance(
    host: str,
    *,
    role: str = "web",
    index: int = 0,
    config: str = "c0ffee",
    kind: Kind = Kind.TRAFFIC,
) -> Instance:
    """One that does not exist yet."""
    return Instance(
        id=f"shop-{role}-{host}-{release_id(REVISION)}-{config}-{index}",
        service="shop",
        role=role,
        host=host,
        release=release_id(REVISION),
        config=config,
        kind=kind,
        life=Life.STARTING,
        index=index,
    )


def job(host: str, *argv: str, timeout: float | None = None, env: Mapping[str, Secret] = {}) -> Job:
    """A job of the role ``job``."""
    name = f"shop-migrate-{release_id(REVISION)}"
    return Job(
        Instance(
            name, "shop", "job", host, release_id(REVISION), kind=Kind.ONCE, life=Life.STARTING
        ),
        REVISION,
        argv,
        timeout=timeout,
        env=env,
    )


@dataclass
class Place:
    """The service on the first hosts of a lab, as one deployer sees it."""

    lab: Lab
    fleet: Fleet
    service: DockerService
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.target = self.another()

    def another(self) -> DockerTarget:
        """The same place, seen by another command over the same connections."""
        return DockerTarget(
            self.service, self.fleet.shells, OnHosts(REVISION, "broken"), self.events.append
        )

    @property
    def host(self) -> Host:
        """The first one."""
        return self.lab.hosts[0]

    @property
    def commands(self) -> list[tuple[str, ...]]:
        """Docker's commands so far, as events told them."""
        return [event.argv for event in self.events if isinstance(event, CommandRan)]

    async def seen(self, id: str, *, token: int | None = None) -> Instance | None:
        """The instance as another command sees it."""
        view = await self.another().observe(token=token)
        return next((found for found in view.instances if found.id == id), None)

    async def start(self, wanted: Instance, *, token: int = 1) -> Instance:
        """Start an instance and wait until it is healthy."""
        started = await self.target.start(wanted, REVISION, token=token, gate=open_gate)
        await self.target.check(started)
        return started


def play(lab: Lab, roles: Mapping[str, DockerRole], story: Story, *, hosts: int = 1) -> Place:
    """Run a story on a service with these roles on the first hosts of a lab."""
    names = tuple(host.address for host in lab.hosts[:hosts])
    provide_app(lab, hosts=hosts)
    place = Place(lab, Fleet(names, settings(lab)), DockerService("shop", names, roles))

    async def whole() -> None:
        try:
            async with asyncio.timeout(240):
                await place.target.fetch(REVISION)
                await story(place)
        finally:
            await place.fleet.close()

    asyncio.run(whole())
    return place


__all__ = [
    "APP",
    "HEALTH",
    "REVISION",
    "WEB",
    "Place",
    "instance",
    "job",
    "open_gate",
    "play",
]
