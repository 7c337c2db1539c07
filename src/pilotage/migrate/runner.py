"""`pilotage.migrate.base.Schema` on a real database: the migrations of one stream, run and recorded.

Called by the executor and by the ``migrate`` commands. Every mutation takes the migration lock in the
session that will do the work, compares the lease token with the fence under it, and only then acts.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

from pilotage.events import Emit
from pilotage.migrate import create, history, sql
from pilotage.migrate import dump as dumps
from pilotage.migrate.backfill import Backfill
from pilotage.migrate.catalogue import Findings, missing_effects
from pilotage.migrate.connections import WORK
from pilotage.migrate.database import DatabaseSchema
from pilotage.migrate.dialects.base import Session, StatementError, Trouble
from pilotage.migrate.half import HalfRun
from pilotage.migrate.migration import Migration, Migrations
from pilotage.migrate.revert import Revert
from pilotage.migrate.script import Windows, first_windows
from pilotage.migrate.series import Series
from pilotage.migrate.settings import RunnerSettings
from pilotage.migrate.sql.effects import net
from pilotage.migrate.throttles import BackfillReport, Throttles
from pilotage.migrate.verify import verify
from pilotage.migrate.work import Work, steps_of
from pilotage.model import Half, HalfRef

__all__ = ["RunnerSettings", "SqlSchema"]


class SqlSchema(DatabaseSchema):
    """Our own SQL files, run in a PostgreSQL, MySQL or SQLite database."""

    # -- the schema as text ----------------------------------------------------------------------

    async def dump(self) -> str:
        """The schema as a file that `RunnerSettings.schema_file` may name: the same from run to run,
        with the halves that it holds.

        Raises
        ------
        DatabaseError
            It cannot be dumped from here; ``next`` says what to install.
        """
        view = await self.view()
        text = dumps.normalise(await self._raw_dump(), self._dialect.name)
        held = history.applied_text(view)
        return dumps.loadable(text, self._dialect.name) + held

    async def record_dump(self) -> str:
        """`dump`, kept in ``pilotage_streams`` as well, for `drift`."""
        text = await self.dump()
        async with self._connections.use("look") as session:
            state = await self._state(session)
            async with session.transaction():
                await state.put_dump(session, text)
        return text

    async def recorded_dump(self) -> str | None:
        """What `record_dump` kept last, or None."""
        async with self._connections.use("look") as session:
            return await (await self._state(session)).recorded_dump(session)

    async def drift(self, expected: str | None = None) -> str:
        """A unified diff from ``expected`` to the schema as it is, ``""`` when there is none.

        ``expected``: a dump; without it the one that was recorded last, and ``""`` when none was.
        """
        if expected is None:
            expected = await self.recorded_dump()
        if expected is None:
            return ""
        return dumps.drift(expected, await self._raw_dump(), self._dialect.name)

    async def baseline(self, migrations: Migrations, *, through: str) -> str:
        """The text of a squash migration for everything up to ``through``; see `dump.baseline`."""
        view = await self.view()
        return dumps.baseline(
            view,
            migrations,
            await self._raw_dump(),
            through=through,
            dialect=self._dialect.name,
        )

    async def _raw_dump(self) -> str:
        # In a session of its own: it may have to wait for a lock, and nobody who looks meanwhile should.
        async with self._connections.use("dump") as session:
            return await self._dialect.dump(session)

    # -- halves ----------------------------------------------------------------------------------

    async def _first_look(self) -> None:
        """Load a new, empty database; see `RunnerSettings`."""
        async with self._connections.use(WORK) as session:
            state = await self._state(session)
            await create.load(self._dialect, state, session, self._settings, self._stream)

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
        """Run a half, once; see `pilotage.migrate.half`."""
        async with self._working(token, emit) as work:
            await HalfRun(work, migration, half, release=release, fresh=fresh).run()

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
        """Run expand halves under one lock; see `pilotage.migrate.series`."""
        async with self._working(token, emit) as work:
            series = Series(work, release=release, fresh=fresh, own=self._connections.open)
            return await series.run(migrations, seconds=seconds)

    async def backfill(self, migration: Migration, *, final: bool, token: int, emit: Emit) -> None:
        """Run the backfill; see `pilotage.migrate.backfill`."""
        if migration.backfill is None:
            return
        async with self._working(token, emit) as work:
            await Backfill(work, migration, final=final).run()

    async def backfills(self) -> tuple[BackfillReport, ...]:
        """The backfills that were begun and have not ended, and what people said of others."""
        async with self._connections.use("look") as session:
            home = await self._dialect.home(session)
            if not await self._dialect.has_table(session, home, "pilotage_throttles"):
                return ()
            return await Throttles(self._dialect, home, self._stream).reports(session)

    @asynccontextmanager
    async def throttles(self) -> AsyncIterator[tuple[Throttles, Session]]:
        """What people may say of a backfill that runs anywhere; without the migration lock, which that
        backfill holds."""
        async with self._connections.use("look") as session:
            home = await self._dialect.home(session)
            yield Throttles(self._dialect, home, self._stream), session

    async def verify(self, migration: Migration) -> None:
        """Run the ``-- verify`` queries; see `pilotage.migrate.verify`."""
        try:
            async with self._dialect.session() as session:
                await verify(self._dialect, session, migration, self._settings)
        except StatementError as error:
            raise self._connections.explain(error) from error

    async def revert(self, migration: Migration, *, token: int, emit: Emit) -> None:
        """Run the ``-- down`` section; see `pilotage.migrate.revert`."""
        async with self._working(token, emit) as work:
            await Revert(work, migration).run()

    # -- records ---------------------------------------------------------------------------------

    async def adopt(self, migration: Migration, *, release: str | None, token: int) -> None:
        """Record a squash as applied. Its expand half alone: releases from before the squash still
        run here, and a contract half of it would be one that they do not ship."""
        await self._record(migration, (Half.EXPAND,), "adopted", release, token)

    async def mark(
        self, migration: Migration, half: Half, *, release: str | None, token: int
    ) -> None:
        """Record a half as applied because a person says so, and take its intent back."""
        await self._record(migration, (half,), "marked", release, token)

    async def _record(
        self,
        migration: Migration,
        halves: tuple[Half, ...],
        how: str,
        release: str | None,
        token: int,
    ) -> None:
        async with self._locked(token) as session:
            state = await self._state(session)
            async with session.transaction():
                for half in halves:
                    ref = HalfRef(migration.version, half)
                    await state.put_half(
                        session,
                        ref,
                        name=migration.name,
                        checksum=migration.checksum(half),
                        release=release,
                        finished=True,
                        how=how,
                    )
                    await state.delete_intent(session, ref)

    async def missing_effects(self, migration: Migration, half: Half) -> Findings:
        """What a half would have made, and the catalogue does not show (``mark --verify``)."""
        return await self.missing_together(((migration, half),))

    async def missing_together(self, halves: Iterable[tuple[Migration, Half]]) -> Findings:
        """`missing_effects` of several halves in their order: what a later one undid is not missed."""
        changes: list[sql.Change] = []
        for migration, half in halves:
            section = migration.section(half)
            if section is not None:
                for step in steps_of(section, migration, self._dialect.name):
                    changes += sql.changes(step.text, self._dialect.name)
        async with self._connections.use("look") as session:
            return await missing_effects(self._dialect, session, net(changes))

    async def estimates(self, tables: Iterable[str]) -> dict[str, int]:
        """About how many rows tables have, by their names as SQL; without those that are not there."""
        found: dict[str, int] = {}
        async with self._connections.use("look") as session:
            for table in tables:
                try:
                    rows = await self._dialect.estimate(session, table)
                except StatementError as error:
                    if error.trouble is Trouble.LOST:
                        raise self._connections.explain(error) from error
                    continue
                if rows is not None:
                    found[table] = rows
        return found

    async def first_windows(self, migration: Migration) -> Windows:
        """The first batches of a backfill as of now; see `pilotage.migrate.script`."""
        if not await self._dialect.exists():
            return {}
        async with self._connections.use("look") as session:
            return await first_windows(migration, self._dialect, session, self._settings)

    async def rename(self, old: str, migration: Migration, *, token: int) -> None:
        """Give what is recorded under the version ``old`` the version and name of ``migration``."""
        async with self._locked(token) as session:
            state = await self._state(session)
            async with session.transaction():
                await state.rename(session, old, migration.version, migration.name)

    @asynccontextmanager
    async def _working(self, token: int, emit: Emit) -> AsyncIterator[Work]:
        """`_locked` for an author's statements: what they set in the session is undone after."""
        async with self._locked(token) as session:
            try:
                yield Work(
                    self._dialect,
                    await self._state(session),
                    session,
                    self._settings,
                    emit,
                    self._stream,
                    self._replicas,
                )
            finally:
                if session.usable:
                    await session.reset()
