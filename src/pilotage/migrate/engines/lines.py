"""A framework's commands as configured, and one run of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pilotage.events import Emit
from pilotage.migrate.base import Command, RunCommand
from pilotage.migrate.migration import Migration, Migrations
from pilotage.model import Half
from pilotage.plan.framework import half_of
from pilotage.secret import Secret


@dataclass(frozen=True, slots=True)
class Lines:
    """A framework's commands, and where they are run. ``fresh`` None: an empty database is like any other.

    ``env`` comes over the environment of ``role``; ``timeout``: seconds for one run.
    """

    framework: str
    expand: str
    contract: str
    fresh: str | None
    service: str
    role: str
    host: str
    timeout: float
    env: Mapping[str, str | Secret] = field(default_factory=dict)

    def command(self, migrations: tuple[Migration, ...], *, fresh: bool, apps: str) -> Command:
        """One run that is to apply these."""
        versions = tuple(migration.version for migration in migrations)
        before = {version for migration in migrations for version in migration.after}
        halves = {half_of(migration).half for migration in migrations}
        line = self.contract if halves == {Half.CONTRACT} else self.expand
        if fresh and self.fresh:
            line = self.fresh
        about = {
            "PILOTAGE_VERSIONS": " ".join(versions),
            "PILOTAGE_TARGETS": " ".join(v for v in versions if v not in before),
            "PILOTAGE_VERSION": versions[-1] if versions else "",
            "PILOTAGE_HALF": str(halves.pop()) if len(halves) == 1 else "all",
            "PILOTAGE_APPS": apps,
        }
        return Command(
            line,
            service=self.service,
            role=self.role,
            host=self.host,
            timeout=self.timeout,
            versions=versions,
            env={**self.env, **about},
        )


class BareEngine:
    """A command for a database that pilotage does not speak to: run, and believed."""

    known = False

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def learn(self, migrations: Migrations) -> None:
        """There is nothing to understand."""

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
        """Run it."""
        await command(self._lines.command(migrations, fresh=fresh, apps=""))
