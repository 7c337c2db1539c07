"""A database that a framework migrates by its own command: `Schema` and `Engine` for it.

Registrations, intents, the lock and the fence are as with our own files. What is applied is the
framework's word; ``pilotage_migrations`` is kept like it whenever we hold the lock, and adds which half
each version is.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from pilotage.errors import LeaseLost, PilotageError, UsageError
from pilotage.events import Emit, HalfFinished, HalfStarted
from pilotage.migrate.base import RunCommand
from pilotage.migrate.connections import WORK
from pilotage.migrate.database import DatabaseSchema
from pilotage.migrate.dialects.base import Session, StatementError
from pilotage.migrate.engines.lines import Lines
from pilotage.migrate.engines.outcome import Outcome
from pilotage.migrate.engines.status import Reader
from pilotage.migrate.engines.truth import Reading, applied, found_rows, made_true
from pilotage.migrate.migration import Migration, Migrations
from pilotage.migrate.state import State
from pilotage.model import Applied, Half, HalfRef, HalfRow, Registration, SchemaView
from pilotage.plan.framework import half_of


class CommandSchema(DatabaseSchema):
    """`pilotage.migrate.base.Schema` and `Engine`. ``reader`` None: nothing says what is applied.

    The other parameters are those of `DatabaseSchema`.
    """

    def __init__(self, *, lines: Lines, reader: Reader | None, **database: object) -> None:
        super().__init__(**database)  # type: ignore[arg-type]
        self._lines = lines
        self._reader = reader
        self._files: dict[str, Migration] = {}

    @property
    def known(self) -> bool:
        """Whether anything says what is applied."""
        return self._reader is not None

    @property
    def framework(self) -> str:
        """Its name."""
        return self._lines.framework

    def learn(self, migrations: Migrations) -> None:
        """Remember files, of whichever release."""
        self._files |= migrations.by_version

    # -- what is applied -------------------------------------------------------------------------

    async def view(self) -> SchemaView:
        """As `DatabaseSchema.view`, with rows for what the framework says is applied."""
        await self._ask(now=False)
        return await super().view()

    async def register(self, registration: Registration) -> Applied:
        """As `DatabaseSchema.register`."""
        await self._ask(now=False)
        return await super().register(registration)

    async def _ask(self, *, now: bool) -> None:
        if self._reader is not None:
            await self._reader.ask(now=now)

    async def _true(self, session: Session, view: SchemaView) -> SchemaView:
        if self._reader is None:
            return replace(view, known=False)
        halves = {
            version: HalfRow(half_of(file), file.name, started_at=1.0, finished_at=1.0)
            for version, file in self._files.items()
        }
        return made_true(view, await self._applied(session, view.rows), halves)

    async def _applied(self, session: Session, rows: tuple[HalfRow, ...]) -> frozenset[str]:
        assert self._reader is not None
        reading: Reading = await self._reader.read(self._dialect, session)
        after = {version: migration.after for version, migration in self._files.items()}
        recorded = [row.ref.version for row in rows if row.finished_at]
        versions = applied(reading, after, recorded)
        if self._reader.grouped:
            own = {group(version) for version in (*self._files, *recorded)}
            versions = frozenset(version for version in versions if group(version) in own)
        return versions

    async def _first_look(self) -> None:
        """Record what the framework had applied before pilotage came."""
        if self._reader is None:
            return
        await self._ask(now=True)
        async with self._connections.use(WORK) as session:
            state = await self._state(session)
            if await state.halves(session) or await state.is_fresh(session):
                return
            async with session.transaction():
                for row in found_rows(await self._applied(session, ())):
                    await state.put_half(
                        session, row.ref, name="", checksum="", release=None,
                        finished=True, how=row.how,
                    )  # fmt: skip

    async def claim(self, *, token: int) -> None:
        """Raise the fence, and bring our rows up to what the framework says."""
        await self._ask(now=True)
        async with self._locked(token) as session:
            await self._copy(session, release=None)

    async def _copy(self, session: Session, *, release: str | None) -> frozenset[str]:
        """Make our rows like the framework's word, as far as files say which half is which."""
        if self._reader is None:
            return frozenset()
        state = await self._state(session)
        async with session.transaction():
            rows = {row.ref: row for row in await state.halves(session)}
            versions = await self._applied(session, tuple(rows.values()))
            recorded = {ref.version for ref, row in rows.items() if row.finished_at}
            for version in sorted(versions - recorded):
                ref = self._half(version, rows)
                if ref is not None:
                    await self._record(state, session, ref, release=release)
            for ref, row in rows.items():
                if ref.version not in versions and row.finished_at:
                    await state.delete_half(session, ref)
        return versions

    def _half(self, version: str, rows: Mapping[HalfRef, HalfRow]) -> HalfRef | None:
        if version in self._files:
            return half_of(self._files[version])
        return next((ref for ref in rows if ref.version == version), None)

    async def _record(
        self,
        state: State,
        session: Session,
        ref: HalfRef,
        *,
        release: str | None,
        finished: bool = True,
    ) -> None:
        file = self._files.get(ref.version)
        await state.put_half(
            session,
            ref,
            name=file.name if file else "",
            checksum="",  # frameworks do not mind an edited file, and neither do we
            release=release,
            finished=finished,
        )
        if finished:
            await state.delete_intent(session, ref)

    # -- applying --------------------------------------------------------------------------------

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
        """See `pilotage.migrate.base.Engine.run`."""
        self._files |= {migration.version: migration for migration in migrations}
        await self._ask(now=True)
        async with self._locked(token) as session:
            before = await self._copy(session, release=None)
            wanted = tuple(m for m in migrations if m.version not in before)
            began = time.monotonic()
            if migrations and not wanted:
                return
            await self._begin(session, wanted, release)
            async with self._told(session, wanted, before, release):
                emit(HalfStarted(half=self._what(wanted), name=self.framework, statements=1))
                await command(self._lines.command(wanted, fresh=fresh, apps=self._apps()))
            after = await self._ended(session, release)
            if self.known:
                self._outcome(wanted, before, after).judge(where=self.where)
        seconds = time.monotonic() - began
        emit(HalfFinished(half=self._what(wanted), name=self.framework, seconds=seconds))

    def _apps(self) -> str:
        return " ".join(sorted({group(version) for version in self._files}))

    async def _begin(
        self, session: Session, wanted: tuple[Migration, ...], release: str | None
    ) -> None:
        """A contract half counts from here on, whatever becomes of the command."""
        state = await self._state(session)
        async with session.transaction():
            for migration in wanted:
                if migration.contract:
                    ref = half_of(migration)
                    await self._record(state, session, ref, release=release, finished=False)

    async def _ended(self, session: Session, release: str | None) -> frozenset[str]:
        await self._ask(now=True)
        return await self._copy(session, release=release)

    @asynccontextmanager
    async def _told(
        self,
        session: Session,
        wanted: tuple[Migration, ...],
        before: frozenset[str],
        release: str | None,
    ) -> AsyncIterator[None]:
        """A command that failed says what is applied all the same."""
        try:
            yield
        except LeaseLost:
            raise
        except PilotageError as error:
            error.state = "nothing says what is applied by now"
            with suppress(PilotageError, StatementError):  # the first error is the one to tell
                after = await self._ended(session, release)
                if self.known:
                    error.state = self._outcome(wanted, before, after).state
            raise

    def _outcome(
        self, wanted: tuple[Migration, ...], before: frozenset[str], after: frozenset[str]
    ) -> Outcome:
        more = sorted(after - before - {migration.version for migration in wanted})
        files = {version: self._files.get(version) for version in more}
        return Outcome(
            self.framework,
            tuple(half_of(m) for m in wanted if m.version in after),
            tuple(half_of(m) for m in wanted if m.version not in after),
            tuple(str(half_of(file)) if file else version for version, file in files.items()),
        )

    def _what(self, wanted: tuple[Migration, ...]) -> str:
        return ", ".join(str(half_of(m)) for m in wanted) or "what is pending"

    # -- what is not ours to do --------------------------------------------------------------------

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
        """Refused: see `run`."""
        raise self._not_ours(migration)

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
        """Refused: see `run`."""
        raise self._not_ours(migrations[0])

    async def backfill(self, migration: Migration, *, final: bool, token: int, emit: Emit) -> None:
        """Refused: a framework's migration has no backfill of ours."""
        raise self._not_ours(migration)

    async def verify(self, migration: Migration) -> None:
        """Refused."""
        raise self._not_ours(migration)

    async def adopt(self, migration: Migration, *, release: str | None, token: int) -> None:
        """Refused."""
        raise self._not_ours(migration)

    async def mark(
        self, migration: Migration, half: Half, *, release: str | None, token: int
    ) -> None:
        """Refused."""
        raise self._not_ours(migration)

    async def rename(self, old: str, migration: Migration, *, token: int) -> None:
        """Refused."""
        raise self._not_ours(migration)

    async def revert(self, migration: Migration, *, token: int, emit: Emit) -> None:
        """Refused."""
        raise self._not_ours(migration)

    def _not_ours(self, migration: Migration) -> UsageError:
        return UsageError(
            f"{migration} is a migration of {self.framework}, which alone can do that",
            where=str(migration.path),
            state="nothing was touched",
            next=f"use the command of {self.framework}",
        )


def group(version: str) -> str:
    """Whose a version is: Django's app."""
    return version.partition(".")[0]
