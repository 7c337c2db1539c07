"""What `pilotage.migrate.base.Schema` needs of a real database, whoever applies the migrations.

Looking, pilotage's own tables, the migration lock with the fence under it, registrations, intents.
`pilotage.migrate.runner` runs our own SQL files on top of it, `pilotage.migrate.engines` the commands of
frameworks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pilotage.errors import DatabaseError
from pilotage.migrate import create, dialects
from pilotage.migrate.audit_table import AuditTable
from pilotage.migrate.connections import WORK, Connections
from pilotage.migrate.dialects.base import Dialect, Session, StatementError, Trouble
from pilotage.migrate.document import StateDocument
from pilotage.migrate.lock import lock_key, migration_lock
from pilotage.migrate.replicas import replayed
from pilotage.migrate.settings import RunnerSettings
from pilotage.migrate.state import State
from pilotage.migrate.tables import table_format
from pilotage.model import Applied, HalfRef, Intent, Registration, SchemaView, announced
from pilotage.secret import Secret

if TYPE_CHECKING:
    from pilotage.hazards.catalogue import Catalogue

_SURVEY, _SURVEY_LOCK = 10.0, 0.5
"""Seconds that a query of `DatabaseSchema.survey` may take, and that it may wait for a lock."""


class DatabaseSchema:
    """One stream's schema in a PostgreSQL, MySQL or SQLite database, without the applying of halves.

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
        """``postgresql``, ``mysql`` or ``sqlite``."""
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
                    return await self._true(
                        session,
                        SchemaView(exists=False, fresh=empty, dialect=self._dialect.name),
                    )
                view = SchemaView(
                    fresh=await state.is_fresh(session),
                    rows=await state.halves(session),
                    intents=await state.intents(session),
                    registered=await state.registered(session),
                    dialect=self._dialect.name,
                )
                view = await self._true(session, view)
            sessions = await self._dialect.sessions(session, self._connections.open)
        return replace(view, sessions=sessions)

    async def _true(self, session: Session, view: SchemaView) -> SchemaView:
        """What our rows say, made true by whatever knows better; in the transaction of the look."""
        return view

    async def survey(self) -> Catalogue | None:
        """The schema as it is with the sizes of its tables, as of one moment; None: it cannot say.

        Read-only, in a few queries, and never long: where a table is locked against everybody, its
        size is the last estimate.

        Raises
        ------
        DatabaseError
            It cannot be read, or not in time.
        """
        async with self._connections.use("look") as session:
            try:
                return await self._survey(session, exact=True)
            except StatementError as error:
                if error.trouble is not Trouble.LOCK:
                    raise
            return await self._survey(session, exact=False)

    async def _survey(self, session: Session, *, exact: bool) -> Catalogue | None:
        async with session.transaction(snapshot=True):
            await self._dialect.limit(session, lock=_SURVEY_LOCK, total=_SURVEY, local=True)
            return await self._dialect.survey(session, exact=exact)

    def document(self) -> StateDocument:
        """The deploy state of the service, in ``pilotage_state``."""
        return StateDocument(self._connections, self._service, self._ensure_tables)

    def audit(self) -> AuditTable:
        """Who did what to the service, in ``pilotage_audit``."""
        return AuditTable(self._connections, self._service, self._ensure_tables)

    # -- getting ready ---------------------------------------------------------------------------

    async def prepare(self) -> None:
        """Create the database and the tables where they are missing; see `RunnerSettings`."""
        await self._ensure_tables()
        await self._first_look()
        await self.check_grants()

    async def _first_look(self) -> None:
        """What comes right after the tables were made."""

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

    # -- under the lock, for whoever applies -----------------------------------------------------

    async def claim(self, *, token: int) -> None:
        """Wait for the migration lock, then raise the fence."""
        async with self._locked(token):
            pass

    async def replayed(self) -> None:
        """Wait for the read replicas; see `pilotage.migrate.replicas`."""
        if not self._replicas:
            return
        async with self._connections.use("look") as session:
            await replayed(
                session, self._dialect, self._replicas, limit=self._settings.replica_wait
            )

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
                view = await self._true(session, SchemaView(rows=await state.halves(session)))
                intents = await state.intents(session)
        return announced(view.applied, intents)

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
