"""`pilotage.migrate.base.Schema` on a real database: the migrations of one stream, run and recorded.

Called by the executor and by the ``migrate`` commands. Every mutation takes the migration lock in the
session that will do the work, compares the lease token with the fence under it, and only then acts.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from pilotage.errors import DatabaseError
from pilotage.events import Emit
from pilotage.migrate import create, dialects, history, sql
from pilotage.migrate import dump as dumps
from pilotage.migrate.backfill import Backfill
from pilotage.migrate.catalogue import Findings, missing_effects
from pilotage.migrate.connections import WORK, Connections
from pilotage.migrate.dialects.base import Dialect, Session, StatementError, Trouble
from pilotage.migrate.document import StateDocument
from pilotage.migrate.half import HalfRun
from pilotage.migrate.lock import lock_key, migration_lock
from pilotage.migrate.migration import Migration, Migrations
from pilotage.migrate.replicas import replayed
from pilotage.migrate.revert import Revert
from pilotage.migrate.script import Windows, first_windows
from pilotage.migrate.series import Series
from pilotage.migrate.settings import RunnerSettings
from pilotage.migrate.sql.effects import net
from pilotage.migrate.state import State
from pilotage.migrate.tables import table_format
from pilotage.migrate.verify import verify
from pilotage.migrate.work import Work
from pilotage.model import Applied, Half, HalfRef, Intent, Registration, SchemaView, announced
from pilotage.secret import Secret

__all__ = ["RunnerSettings", "SqlSchema"]


class SqlSchema:
    """One stream's schema in a PostgreSQL or SQLite database.

    Parameters
    ----------
    url:
        The database as the application connects to it.
    migration_url:
        As the migrator does, where that is another role or another way (past a pooler). Everything
        here then uses it, and of ``url`` only the role's name is used, to see what it may do.
    stream:
        Who owns the migration files: the key of all rows.
    service:
        The service whose deploy state `document` is.
    replicas:
        The read replicas that `replayed` waits for.
    domain:
        Whose lease tokens are compared: ``database``, or the id of another Store.
    """

    def __init__(
        self,
        *,
        url: Secret,
        migration_url: Secret | None = None,
        stream: str,
        service: str,
        settings: RunnerSettings | None = None,
        replicas: tuple[Secret, ...] = (),
        domain: str = "database",
    ) -> None:
        self._dialect: Dialect = dialects.dialect(url, migration_url)
        self._replicas = tuple(dialects.dialect(replica) for replica in replicas)
        self._stream = stream
        self._service = service
        self._settings = settings or RunnerSettings()
        self._domain = domain
        self._connections = Connections(self._dialect)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End all sessions, and with them every lock."""
        await self._connections.close()

    @property
    def dialect(self) -> str:
        """``postgresql`` or ``sqlite``."""
        return self._dialect.name

    @property
    def where(self) -> str:
        """The database's place, without a password."""
        return self._dialect.where

    @property
    def settings(self) -> RunnerSettings:
        """How patient it is, and how much it does at once."""
        return self._settings

    # -- looking -------------------------------------------------------------------------------

    async def view(self) -> SchemaView:
        """Everything as of one moment, and the sessions of right after it."""
        if not self._connections.has("look") and not await self._dialect.exists():
            return SchemaView(exists=False, fresh=True, dialect=self._dialect.name)
        async with self._connections.use("look") as session:
            state = await self._state(session)
            async with session.transaction(snapshot=True):
                home = await self._dialect.home(session)
                made = await table_format(self._dialect, session, home)
                if not made or not await state.has_stream(session):
                    empty = not await self._dialect.user_tables(session)
                    return SchemaView(exists=False, fresh=empty, dialect=self._dialect.name)
                view = SchemaView(
                    fresh=await state.is_fresh(session),
                    rows=await state.halves(session),
                    intents=await state.intents(session),
                    registered=await state.registered(session),
                    dialect=self._dialect.name,
                )
            sessions = await self._dialect.sessions(session, self._connections.open)
        return SchemaView(
            fresh=view.fresh,
            rows=view.rows,
            intents=view.intents,
            registered=view.registered,
            sessions=sessions,
            dialect=view.dialect,
        )

    def document(self) -> StateDocument:
        """The deploy state of the service, in ``pilotage_state``."""
        return StateDocument(self._connections, self._service, self._ensure_tables)

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
        async with self._connections.use("look") as session:
            return await self._dialect.dump(session)

    # -- getting ready ---------------------------------------------------------------------------

    async def prepare(self) -> None:
        """Create the database and the tables where they are missing; see `RunnerSettings`."""
        await self._ensure_tables()
        async with self._connections.use(WORK) as session:
            state = await self._state(session)
            await create.load(self._dialect, state, session, self._settings, self._stream)
        await self.check_grants()

    async def _ensure_tables(self) -> None:
        if not self._connections.has(WORK) and not await self._dialect.exists():
            await self._dialect.create()
        async with self._connections.use(WORK) as session:
            await self._connections.prove(session)
            await create.tables(
                self._dialect,
                await self._state(session),
                session,
                wait=self._settings.lock_wait,
            )

    async def grants(self) -> list[str]:
        """What a person must run so that the application's role can register and read; [] when
        it can, or when it is the migrator's role."""
        async with self._connections.use("look") as session:
            home = await self._dialect.home(session)
            return await self._dialect.missing_grants(session, home, self._dialect.role)

    async def check_grants(self) -> None:
        """Raise when instances of the application could not register themselves.

        Raises
        ------
        DatabaseError
            ``next`` has the exact statements.
        """
        missing = await self.grants()
        if missing:
            raise DatabaseError(
                f"the application's role {self._dialect.role} may not use pilotage's tables, so no "
                "instance of it could announce itself",
                where=self._dialect.where,
                state="the tables are there; nothing else was changed",
                next="as the migrator: " + " ".join(missing),
            )

    # -- halves ----------------------------------------------------------------------------------

    async def claim(self, *, token: int) -> None:
        """Wait for the migration lock, then raise the fence."""
        async with self._locked(token):
            pass

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

    async def replayed(self) -> None:
        """Wait for the read replicas; see `pilotage.migrate.replicas`."""
        if not self._replicas:
            return
        async with self._connections.use("look") as session:
            await replayed(
                session, self._dialect, self._replicas, limit=self._settings.replica_wait
            )

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
                with sql.located(migration.path, section.line):
                    changes += sql.changes(section.text, self._dialect.name)
        async with self._connections.use("look") as session:
            return await missing_effects(self._dialect, session, net(changes))

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

    async def open(self, versions: Iterable[str], *, token: int) -> None:
        """Record that new data of these versions may be written from now on."""
        async with self._locked(token) as session:
            state = await self._state(session)
            async with session.transaction():
                await state.open(session, versions)

    # -- the door --------------------------------------------------------------------------------

    async def intend(self, intents: Iterable[Intent], *, token: int) -> None:
        """Write intents, committed."""
        async with self._locked(token) as session:
            state = await self._state(session)
            async with session.transaction():
                for intent in intents:
                    await state.put_intent(session, intent)

    async def withdraw(self, refs: Iterable[HalfRef], *, token: int) -> None:
        """Take intents back."""
        async with self._locked(token) as session:
            state = await self._state(session)
            async with session.transaction():
                for ref in refs:
                    await state.delete_intent(session, ref)

    async def register(self, registration: Registration) -> Applied:
        """Commit the registration, then read what is announced.

        Without the migration lock, so that an instance can start while a migration runs. Writing
        before reading is what makes that safe: of a start and an intent, at least one sees the other.
        """
        async with self._connections.use("look") as session:
            state = await self._state(session)
            await self._write_registration(state, session, registration)
            async with session.transaction(snapshot=True):
                rows = await state.halves(session)
                intents = await state.intents(session)
        return announced(SchemaView(rows=rows).applied, intents)

    async def _write_registration(
        self, state: State, session: Session, registration: Registration
    ) -> None:
        async def write() -> None:
            async with session.transaction():
                await state.register(session, registration)

        try:
            await write()
        except StatementError as error:
            if error.trouble is not Trouble.DUPLICATE:
                raise
            await write()  # two wrote the same instance at once: the other's row is there now

    async def deregister(self, instances: Iterable[str], *, token: int | None = None) -> None:
        """Delete registrations."""
        async with self._connections.use("look") as session:
            state = await self._state(session)
            async with session.transaction():
                if token is not None:
                    await state.compare(session, self._domain, token)
                await state.deregister(session, instances)

    # -- under the lock --------------------------------------------------------------------------

    async def _state(self, session: Session) -> State:
        return State(self._dialect, await self._dialect.home(session), self._stream)

    @asynccontextmanager
    async def _locked(self, token: int) -> AsyncIterator[Session]:
        """The working session, holding the migration lock, its token compared with the fence."""
        async with self._connections.use(WORK) as session:
            await self._connections.prove(session)
            async with migration_lock(
                self._dialect, session, lock_key(self._stream), wait=self._settings.lock_wait
            ):
                state = await self._state(session)
                await state.fence(session, self._domain, token)
                yield session

    @asynccontextmanager
    async def _working(self, token: int, emit: Emit) -> AsyncIterator[Work]:
        """`_locked` for an author's statements: what they set in the session is undone after."""
        async with self._locked(token) as session:
            try:
                yield Work(self._dialect, await self._state(session), session, self._settings, emit)
            finally:
                if session.usable:
                    await session.reset()
