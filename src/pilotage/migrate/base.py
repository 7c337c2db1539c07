"""The schema protocol: what the executor needs of the application's database, for one stream.

Implemented by `pilotage.migrate.runner` (a real database) and `pilotage.migrate.none` (a service
without one); the property tests bring a model of their own.

Every mutation here happens under the migration lock, which is polled and lives in the session that
runs the DDL, and after the lease token was compared under that lock. So whatever a deployer that
lost its lease had in flight is over before the next one looks, and what it had not begun is refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pilotage.events import Emit
from pilotage.migrate.migration import Migration, Migrations
from pilotage.model import Applied, Half, HalfRef, Intent, Registration, SchemaView
from pilotage.secret import Secret


class Schema(Protocol):
    """One stream's schema and what pilotage keeps beside it."""

    async def prepare(self) -> None:
        """Create the database where it is missing, and pilotage's own tables. Idempotent.

        Raises
        ------
        DatabaseUnavailable, PoolerUnsafe
            Nothing was changed.
        """
        ...

    async def view(self) -> SchemaView:
        """What the database says of itself. ``exists=False`` when it, or our tables, are missing.

        Raises
        ------
        DatabaseUnavailable
            It cannot be asked.
        """
        ...

    async def claim(self, *, token: int) -> None:
        """Wait for the migration lock, then raise the fence to ``token``: lower ones are refused."""
        ...

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
        """Run a half, once: return at once when its row says that it is applied.

        An expand half with a backfill is left unfinished, for `backfill` to finish. The intent of a
        contract half is taken back in the transaction that finishes it. ``fresh``: the half of a
        squash also leaves the row of a contract half (see `Migrations.ships`).

        Raises
        ------
        HalfFailed, LockUnavailable, AmbiguousOutcome, LeaseLost
            ``state`` says how much of the half is applied.
        """
        ...

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
        """Run the expand halves of migrations in their order, as `apply` would one after the other.

        About as many as ``seconds`` allow, and at least one; returns how many, from the first, are
        applied now. A half that is told as finished (`HalfFinished`) stays applied when the server
        crashes.

        Raises
        ------
        HalfFailed, LockUnavailable, AmbiguousOutcome, LeaseLost
            As `apply`, of the first half that failed; those before it are applied.
        """
        ...

    async def backfill(self, migration: Migration, *, final: bool, token: int, emit: Emit) -> None:
        """Run the backfill in batches until it changes no row, and finish the expand half.

        ``final``: the second run, before the contract half, when no old code is left.

        Raises
        ------
        HalfFailed, NotConverging, LeaseLost
            The cursor stays; the next run resumes.
        """
        ...

    async def replayed(self) -> None:
        """Wait until every read replica has replayed what is committed. Nothing where there is none.

        Raises
        ------
        DatabaseError
            A replica is behind still, or cannot be asked.
        """
        ...

    async def verify(self, migration: Migration) -> None:
        """Run the ``-- verify`` queries; raises `VerifyFailed` with the first rows when any returns."""
        ...

    async def adopt(self, migration: Migration, *, release: str | None, token: int) -> None:
        """Record a squash as applied, because all that it replaces is."""
        ...

    async def mark(
        self, migration: Migration, half: Half, *, release: str | None, token: int
    ) -> None:
        """Record a half as applied because a person says so (``how = marked``)."""
        ...

    async def rename(self, old: str, migration: Migration, *, token: int) -> None:
        """Give what is recorded under the version ``old`` the version and name of ``migration``."""
        ...

    async def revert(self, migration: Migration, *, token: int, emit: Emit) -> None:
        """Run the ``-- down`` section and delete the row of the expand half."""
        ...

    async def intend(self, intents: Iterable[Intent], *, token: int) -> None:
        """Write intents, committed: from now on a start that they would break refuses itself."""
        ...

    async def withdraw(self, refs: Iterable[HalfRef], *, token: int) -> None:
        """Take intents back."""
        ...

    async def register(self, registration: Registration) -> Applied:
        """Commit the registration, *then* read what is announced: applied halves and intents.

        The order is what makes the start gate safe. The caller judges, and deregisters on refusal.
        """
        ...

    async def deregister(self, instances: Iterable[str], *, token: int | None = None) -> None:
        """Delete the registrations of instances that are known to have ended.

        ``token``: of the deployer that ended them; another one may have started them anew since.
        An instance that was refused, and a console, take their own back without one.

        Raises
        ------
        LeaseLost
            The schema has seen a higher token.
        """
        ...

    async def open(self, versions: Iterable[str], *, token: int) -> None:
        """Record that new data of these ``new-data=breaks-old`` versions may be written from now on."""
        ...


@dataclass(frozen=True, slots=True)
class Command:
    """One run of a framework's own command, for `pilotage.targets.base.Target.run_once`.

    ``line`` is for ``sh``; ``env`` comes over the environment of ``role``; ``timeout``: seconds.
    ``versions``: what it is to apply, in order; with the release and the line they say which run it is.
    """

    line: str
    service: str
    role: str
    host: str
    timeout: float
    versions: tuple[str, ...] = ()
    env: Mapping[str, str | Secret] = field(default_factory=dict)


RunCommand = Callable[[Command], Awaitable[None]]
"""Runs it to its end, or raises a `pilotage.errors.PilotageError`: it failed, or could not be run."""


class Engine(Protocol):
    """A framework that applies migrations by its own command (`pilotage.migrate.engines`)."""

    @property
    def known(self) -> bool:
        """Whether anything says what the framework has applied."""
        ...

    def learn(self, migrations: Migrations) -> None:
        """Hear of the files of a release: what comes before what, and which half each is.

        What a framework says of itself (Alembic: only where it stands) is understood by them.
        """
        ...

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
        """Have these applied, once: return at once when they are. Under the migration lock.

        What the framework says before and after decides, not the exit status of its command alone.

        Raises
        ------
        HalfFailed
            The command failed, left something out, or went too far; ``state`` says what is applied now.
        LockUnavailable, LeaseLost, TargetError
            It was not run.
        """
        ...
