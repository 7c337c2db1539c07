"""A world in memory for unit tests, and short ways to write releases and goals."""

from __future__ import annotations

import asyncio
from pathlib import Path

from pilotage.deploy import deploy
from pilotage.events import Event
from pilotage.migrate.migration import Directives, Migration, Migrations, Section
from pilotage.migrate.none import NoSchema
from pilotage.model import Release, Role, release_id
from pilotage.observe import World
from pilotage.plan import Goal, Layout, Policy
from pilotage.proxy.memory import MemoryProxy
from pilotage.store import Claim, Store
from pilotage.targets.memory import MemoryTarget

CLAIM = Claim("tester")
ROLES = (
    Role("web", ("localhost",), instances=2, traffic=True),
    Role("worker", ("localhost",)),
)


def migration(version: str, *sections: str, **directives: object) -> Migration:
    """A migration with the named sections; their text does not matter here."""
    told = Directives(**directives)  # type: ignore[arg-type]
    made = {name: Section(f"-- {version} {name}", 1, told) for name in sections}
    return Migration(version, f"m{version}", Path(f"{version}_m{version}.sql"), **made)


def migrations(*all_: Migration) -> Migrations:
    return Migrations({m.version: m for m in all_})


def goal(
    revision: str,
    *files: Migration,
    roles: tuple[Role, ...] = ROLES,
    config: str = "",
    **policy: object,
) -> Goal:
    """The goal of running ``revision`` with these migrations."""
    shipped = migrations(*files)
    return Goal(
        release=Release(release_id(revision), revision, shipped.ships()),
        layout=Layout("shop", roles, {role.name: config for role in roles}),
        policy=Policy(**{"patience": 0.0, **policy}),  # type: ignore[arg-type]
        migrations=shipped,
    )


class MemoryWorld:
    """The four ports, each in memory, and the events that were emitted."""

    def __init__(self, hosts: tuple[str, ...] = ("localhost",)) -> None:
        self.target = MemoryTarget(hosts)
        self.proxy = MemoryProxy(hosts, reachable=self.target.answers, admit=self.target.admit)
        self.schema = NoSchema()
        self.store = Store(self.target.state)
        self.events: list[Event] = []
        self.world = World(self.target, self.proxy, self.schema, self.store)

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def running(self) -> list[str]:
        """``role@revision-id`` of every living instance, sorted."""
        return sorted(f"{i.role}@{i.release}" for i in self.target.everything() if i.alive)

    def serving(self) -> set[str]:
        """The releases that get new requests."""
        return {e.release for route in self.proxy.routes.values() for e in route.active}


def up(world: MemoryWorld, wanted: Goal, **more: object) -> None:
    """Deploy to it."""
    asyncio.run(deploy(world.world, wanted, CLAIM, world.emit, **more))  # type: ignore[arg-type]
