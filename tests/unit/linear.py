"""A framework in memory: a chain of migrations, and a database that knows which of them are applied."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from pilotage.errors import HalfFailed, PilotageError
from pilotage.events import Emit
from pilotage.migrate.base import Command, RunCommand
from pilotage.migrate.migration import Framework, Migration, Migrations, Section
from pilotage.migrate.none import NoSchema
from pilotage.model import Applied, HalfRow, Intent, Registration, SchemaView, announced
from pilotage.plan.framework import half_of

LINEAR = Framework("tool", "tool up")


def chain(*names: str, framework: Framework = LINEAR) -> Migrations:
    """``e1 c2 e3``: an expand half, a contract half after it, and so on. Versions are the names."""
    made: dict[str, Migration] = {}
    before: tuple[str, ...] = ()
    for name in names:
        section = Section("", 1)
        halves = {"contract": section} if name.startswith("c") else {"expand": section}
        made[name] = Migration(name, "", Path(f"{name}.py"), after=before, **halves)  # type: ignore[arg-type]
        before = (name,)
    return Migrations(made, framework)


def rows(migrations: Migrations, applied: Iterable[str]) -> tuple[HalfRow, ...]:
    """Rows of what is applied."""
    done = set(applied)
    return tuple(
        HalfRow(half_of(m), m.name, started_at=1.0, finished_at=1.0)
        for m in migrations
        if m.version in done
    )


Tool = Callable[[Command], Awaitable[Iterable[str]]]
"""What the framework's command does with its database: the versions that it applies."""


@dataclass
class LinearDatabase(NoSchema):
    """`Schema` and `Engine`: what is applied, who is registered, what is intended."""

    files: Migrations = field(default_factory=Migrations)
    known: bool = True
    applied: set[str] = field(default_factory=set)
    registered: dict[str, Registration] = field(default_factory=dict)
    intents: dict[str, Intent] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)

    async def view(self) -> SchemaView:
        begun = self.begun - self.applied
        started = tuple(replace(row, finished_at=None) for row in rows(self.files, begun))
        return SchemaView(
            rows=(*rows(self.files, self.applied), *started),
            intents=tuple(self.intents.values()),
            registered=tuple(self.registered.values()),
            loose=frozenset(self.applied - {m.version for m in self.files}),
            known=self.known,
        )

    async def register(self, registration: Registration) -> Applied:
        self.registered[registration.instance] = registration
        return announced((await self.view()).applied, self.intents.values())

    async def deregister(self, instances: Iterable[str], *, token: int | None = None) -> None:
        for instance in instances:
            self.registered.pop(instance, None)

    async def intend(self, intents: Iterable[Intent], *, token: int) -> None:
        self.intents |= {intent.ref.version: intent for intent in intents}

    async def withdraw(self, refs: Iterable[object], *, token: int) -> None:
        for ref in refs:
            self.intents.pop(ref.version, None)  # type: ignore[attr-defined]

    def learn(self, migrations: Migrations) -> None:
        self.files = Migrations({**self.files.by_version, **migrations.by_version}, LINEAR)

    async def run(
        self,
        migrations: tuple[Migration, ...],
        *,
        fresh: bool,
        release: str | None,
        token: int,
        emit: Emit,
        command: RunCommand,
    ) -> None:
        wanted = tuple(m.version for m in migrations if m.version not in self.applied)
        if migrations and not wanted:
            return
        self.begun |= {m.version for m in migrations if m.contract}
        try:
            await command(Command("tool up", "shop", "web", "localhost", 60.0, wanted))
        except PilotageError as error:
            error.state = "told"
            raise
        if self.known and not set(wanted) <= self.applied:
            raise HalfFailed("left something out")
        for version in wanted:
            self.intents.pop(version, None)
