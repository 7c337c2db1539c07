"""The schema of a service that has none: every release fits it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pilotage.errors import UsageError
from pilotage.events import Emit
from pilotage.migrate.migration import Migration
from pilotage.model import Applied, Half, HalfRef, Intent, Registration, SchemaView


class NoSchema:
    """`pilotage.migrate.base.Schema` without a database.

    ``known`` false: there is one, which a framework's command or an image migrates and pilotage does not
    speak to.
    """

    def __init__(self, *, known: bool = True) -> None:
        self._known = known

    async def prepare(self) -> None:
        """Nothing to prepare."""

    async def view(self) -> SchemaView:
        """An empty schema."""
        return SchemaView(known=self._known)

    async def claim(self, *, token: int) -> None:
        """Nothing to fence."""

    async def apply(
        self,
        migration: Migration,
        half: Half,
        *,
        release: str | None,
        token: int,
        emit: Emit,
        fresh: bool = False,
    ) -> None:
        """Refused: there is nothing to migrate."""
        raise _nothing(migration)

    async def apply_some(
        self,
        migrations: Sequence[Migration],
        *,
        release: str | None,
        token: int,
        emit: Emit,
        fresh: bool = False,
        seconds: float,
    ) -> int:
        """Refused."""
        raise _nothing(migrations[0])

    async def backfill(self, migration: Migration, *, final: bool, token: int, emit: Emit) -> None:
        """Refused."""
        raise _nothing(migration)

    async def replayed(self) -> None:
        """No database, no replicas."""

    async def verify(self, migration: Migration) -> None:
        """Refused."""
        raise _nothing(migration)

    async def adopt(self, migration: Migration, *, release: str | None, token: int) -> None:
        """Refused."""
        raise _nothing(migration)

    async def mark(
        self, migration: Migration, half: Half, *, release: str | None, token: int
    ) -> None:
        """Refused."""
        raise _nothing(migration)

    async def rename(self, old: str, migration: Migration, *, token: int) -> None:
        """Refused."""
        raise _nothing(migration)

    async def revert(self, migration: Migration, *, token: int, emit: Emit) -> None:
        """Refused."""
        raise _nothing(migration)

    async def intend(self, intents: Iterable[Intent], *, token: int) -> None:
        """Nobody reads them."""

    async def withdraw(self, refs: Iterable[HalfRef], *, token: int) -> None:
        """Nobody reads them."""

    async def register(self, registration: Registration) -> Applied:
        """Nothing is applied."""
        return Applied()

    async def deregister(self, instances: Iterable[str], *, token: int | None = None) -> None:
        """Nobody is registered."""

    async def open(self, versions: Iterable[str], *, token: int) -> None:
        """Nobody reads them."""


def _nothing(migration: Migration) -> UsageError:
    return UsageError(
        f"there is a migration, {migration}, but no database",
        where=str(migration.path),
        next="name one under `databases:` and `migrations: {database: …}` in the configuration",
    )
