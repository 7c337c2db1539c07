"""PostgreSQL as the runner needs it: connections, locks and the views of who holds them."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import psycopg

from pilotage.errors import DatabaseUnavailable, PoolerUnsafe
from pilotage.migrate.dialects.base import (
    APPLICATION_NAME,
    TABLE_PREFIX,
    Answer,
    Call,
    Dialect,
    Offenders,
    Progress,
    Session,
    StatementError,
    Vacuum,
    Waiting,
    Walk,
    Window,
)
from pilotage.migrate.dialects.postgresql import (
    catalogue,
    clients,
    login,
    online,
    suffering,
    walking,
)
from pilotage.migrate.dialects.postgresql.address import parse
from pilotage.migrate.dialects.postgresql.dump import dump
from pilotage.migrate.dialects.postgresql.session import BEGIN, PostgresSession
from pilotage.migrate.dialects.probing import are_apart
from pilotage.model import Session as SeenSession
from pilotage.secret import Secret

if TYPE_CHECKING:
    from pilotage.hazards.catalogue import Catalogue
    from pilotage.migrate.sql import Effect
    from pilotage.migrate.sql.online import Step

_BEGIN, _COMMIT = Call(BEGIN, often=True), Call("COMMIT", often=True)
_BECOME_SELF = (
    Call("SET LOCAL SESSION AUTHORIZATION DEFAULT", often=True),
    Call("SET LOCAL role TO DEFAULT", often=True),
)
_LIMITS = (
    "SELECT set_config('lock_timeout', $1, true), set_config('statement_timeout', $2, true),"
    " set_config('row_security', 'off', true),"
    " set_config('client_connection_check_interval', $3, true)"
)
_LIMITS_RELAXED = f"{_LIMITS}, set_config('synchronous_commit', $4, true)"


class PostgreSQL(Dialect):
    """One PostgreSQL database.

    ``url`` is the application's; ``migration_url``, when there is one, is what everything here
    connects with. From ``url`` only the name of the application's role is then used.
    """

    name = "postgresql"
    timestamp = "timestamptz"
    json = "jsonb"
    now = "clock_timestamp()"
    names_blockers = True
    tells_progress = True

    def __init__(self, url: Secret, migration_url: Secret | None = None) -> None:
        app = parse(url, application_name=APPLICATION_NAME)
        self._address = (
            parse(migration_url, application_name=APPLICATION_NAME) if migration_url else app
        )
        self._role = app.user or None if migration_url else None
        self._home: str | None = None
        self._apart = False  # it was proven that each connection has a process of its own

    @property
    def where(self) -> str:
        """``postgresql://user@host:port/database``."""
        return str(self._address)

    @property
    def role(self) -> str | None:
        """The application's role, where it is not the migrator's."""
        return self._role if self._role != self._address.user else None

    # -- connections ---------------------------------------------------------------------------

    async def connect(self) -> PostgresSession:
        """A new session."""
        try:
            session = await PostgresSession.open(self._address)
            if self._apart and not session.is_own:
                await session.set_up()
        except psycopg.Error as error:
            raise await login.explain(error, self._address) from login.cause(error)
        except StatementError as error:
            raise DatabaseUnavailable(str(error), where=self.where) from error
        return session

    async def exists(self) -> bool:
        """Whether the database is there: it can be connected to, or the server lists it."""
        try:
            session = await PostgresSession.open(self._address)
        except psycopg.Error:
            if await login.is_missing(self._address):
                return False
            session = await self.connect()  # another deployer may have created it since
        except StatementError as error:
            raise DatabaseUnavailable(str(error), where=self.where) from error
        await session.close()
        return True

    async def create(self) -> None:
        """CREATE DATABASE, from the server's maintenance database."""
        session = await login.maintenance(self._address)
        if session is None:
            raise DatabaseUnavailable(
                f"the database {self._address.database} is missing, and no other database of the "
                "server can be connected to in order to create it",
                where=self.where,
                next=f"create it: createdb {self._address.database}",
            )
        name = catalogue.quote(self._address.database)
        try:
            await session.execute(f"CREATE DATABASE {name}")
        except StatementError as error:
            if error.code in ("42P04", "23505"):  # someone else was faster
                return
            raise DatabaseUnavailable(
                f"the database {self._address.database} is missing and could not be created: {error}",
                where=self.where,
                next=f"as a role that may: CREATE DATABASE {name}"
                + (f" OWNER {catalogue.quote(self._address.user)};" if self._address.user else ";"),
            ) from error
        finally:
            await session.close()

    async def position(self, session: Session) -> str:
        """The position in the write-ahead log."""
        return str((await session.query("SELECT pg_current_wal_lsn()"))[0][0])

    async def has_replayed(self, session: Session, position: str) -> bool | None:
        """Whether a standby has replayed the log up to there; None when it is not in recovery."""
        answer: bool | None = (
            await session.query(
                "SELECT CASE WHEN pg_is_in_recovery()"
                " THEN coalesce(pg_last_wal_replay_lsn() >= $1::pg_lsn, false) END",
                position,
            )
        )[0][0]
        return answer

    async def server_clock(self) -> float:
        """The server's clock, asked in the maintenance database while our own is missing."""
        session: PostgresSession | None
        if await login.is_missing(self._address):
            session = await login.maintenance(self._address)
            if session is None:
                raise DatabaseUnavailable("the server's clock cannot be read", where=self.where)
        else:
            session = await self.connect()
        try:
            return float((await session.query(f"SELECT {self.epoch(self.now)}"))[0][0])
        finally:
            await session.close()

    async def prove_session(self, session: Session) -> None:
        """Compare the server processes that two connections talk to, a few times.

        Behind a transaction pooler both are given the same one in turn, or one of them is moved
        to another; a server, or a pooler in session mode, gives each its own and keeps it.
        """
        first = cast(PostgresSession, session)
        try:
            second = await PostgresSession.open(self._address)
        except (psycopg.Error, StatementError) as error:
            if first.announced_pid == first.pid:
                return  # the server itself named this process: no pooler is in between
            raise PoolerUnsafe(
                "a pooler stands before the server, and whether it keeps a session together "
                "cannot be seen: a second connection was refused",
                where=self.where,
                next="set migration_url to the server itself",
            ) from (login.cause(error) if isinstance(error, psycopg.Error) else error)
        try:
            apart = await are_apart(first, second, "SELECT pg_backend_pid()")
        except StatementError as error:
            raise DatabaseUnavailable(str(error), where=self.where) from error
        finally:
            await second.close()
        if not apart:
            raise PoolerUnsafe(
                "the connection goes through a pooler in transaction mode: consecutive statements "
                "reach different server processes, so the migration lock would guard nothing",
                where=self.where,
                state="nothing was changed",
                next="set migration_url to the server itself (not the pooler's port), or to a "
                "pool in session mode",
            )
        self._apart = True
        if not first.is_own:
            await first.set_up()

    # -- SQL fragments -------------------------------------------------------------------------

    def quote(self, name: str) -> str:
        """Quoted also where it need not be: the grammar, which knows that, takes long to load."""
        return catalogue.quote(name)

    def epoch(self, column: str) -> str:
        """Seconds, as a double."""
        return f"extract(epoch FROM {column})::float8"

    async def home(self, session: Session) -> str:
        """The schema in which our tables are found, else the one in which they will be made."""
        if self._home is not None:
            return self._home
        rows = await session.query(
            "SELECT (SELECT n.nspname FROM pg_class c JOIN pg_namespace n"
            " ON n.oid = c.relnamespace WHERE c.oid = to_regclass('pilotage_meta')),"
            " current_schema()"
        )
        found, current = rows[0]
        schema = found or current
        if schema is None:
            raise DatabaseUnavailable(
                "the search path names no schema that exists",
                where=self.where,
                next="CREATE SCHEMA …, or change the role's search_path",
            )
        home = f"{catalogue.quote(schema)}."
        if found:
            self._home = home
        return home

    async def has_table(self, session: Session, home: str, table: str) -> bool:
        """Whether it is in the catalogue."""
        return bool((await session.query("SELECT to_regclass($1) IS NOT NULL", home + table))[0][0])

    async def user_tables(self, session: Session) -> int:
        """Tables, partitioned and foreign tables outside the system's schemas and extensions."""
        rows = await session.query(
            "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't'"
            " AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
            r" AND n.nspname NOT LIKE 'pg\_toast%' AND c.relname NOT LIKE 'pilotage\_%'"
            " AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass"
            " AND d.objid = c.oid AND d.deptype = 'e')"
        )
        return int(rows[0][0])

    # -- locks and limits ----------------------------------------------------------------------

    async def try_lock(self, session: Session, key: str) -> bool:
        """pg_try_advisory_lock, which never waits; also notes if the session was exchanged."""
        rows = await session.query(
            "SELECT pg_try_advisory_lock($1::bigint), pg_backend_pid()", _number(key)
        )
        granted, pid = rows[0]
        if pid != cast(PostgresSession, session).pid:
            raise PoolerUnsafe(
                "the server process behind the connection changed: a pooler is in between",
                where=self.where,
                next="set migration_url to the server itself",
            )
        return bool(granted)

    async def unlock(self, session: Session, key: str) -> None:
        """Release it; nothing happens when it is not held."""
        await session.query("SELECT pg_advisory_unlock($1::bigint)", _number(key))

    async def holder(self, session: Session, key: str) -> tuple[str, str]:
        """The session that holds the lock: its pid, name, address, age and what it is doing."""
        number = _number(key) & 0xFFFFFFFFFFFFFFFF
        rows = await session.query(
            "SELECT a.pid, a.application_name, coalesce(host(a.client_addr), 'local'),"
            " to_char(a.backend_start, 'YYYY-MM-DD HH24:MI:SS TZ'), a.state,"
            " extract(epoch FROM clock_timestamp() - a.state_change)::int"
            " FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
            " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1"
            " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            " AND l.classid::bigint = $1 AND l.objid::bigint = $2",
            number >> 32,
            number & 0xFFFFFFFF,
        )
        if not rows:
            return "", ""
        pid, name, client, since, state, age = rows[0]
        doing = f", {state} for {age} s" if state else ""
        return (
            f"session {pid} ({name or 'unnamed'} from {client}, connected since {since}{doing})",
            f"SELECT pg_terminate_backend({pid});",
        )

    async def limit(
        self, session: Session, *, lock: float | None, total: float | None, local: bool
    ) -> None:
        """``lock_timeout`` and ``statement_timeout``; and where a policy would hide rows, an error instead.

        A backfill that does not see a row would say that none is left. In a transaction the server also looks each second whether its client is still there: what a
        dead deployer had begun can only be rolled back, and until then its locks are in the way. A
        statement outside a transaction (a concurrent build) may go on: the next run finds it done.

        Nothing is set for a session that a pooler may give to others: it would be theirs as well.
        """
        if not local and not cast(PostgresSession, session).is_own:
            return
        check = ", set_config('client_connection_check_interval', $4, true)" if local else ""
        await session.query(
            "SELECT set_config('lock_timeout', $1, $3), set_config('statement_timeout', $2, $3),"
            " set_config('row_security', 'off', $3)" + check,
            _milliseconds(lock),
            _milliseconds(total),
            local,
            *([self._check_interval(session)] if local else []),
        )

    def _check_interval(self, session: Session) -> str:
        """How often the server looks whether its client is still there; on Windows it cannot."""
        return "1s" if cast(PostgresSession, session).on_unix else "0"

    async def become_self(self, session: Session) -> None:
        """Undo SET ROLE and SET SESSION AUTHORIZATION, until the end of the transaction: it is who the
        session was at its start, which may be a role that the URL's options or the server name."""
        await session.execute("; ".join(call.sql for call in _BECOME_SELF))

    async def blockers(self, watcher: Session, session: Session) -> list[str]:
        """The sessions that pg_blocking_pids names, with what they run."""
        rows = await watcher.query(
            "SELECT a.pid, a.application_name, a.usename, a.state,"
            " extract(epoch FROM clock_timestamp() - a.xact_start)::int, left(a.query, 200)"
            " FROM pg_stat_activity a WHERE a.pid = ANY (pg_blocking_pids($1::int))",
            cast(PostgresSession, session).pid,
        )
        return [
            f"session {pid} ({name or 'unnamed'}, role {user}, {state or 'state hidden'}"
            + (f", in a transaction for {age} s" if age is not None else "")
            + f"): {' '.join((query or '').split())}"
            for pid, name, user, state, age, query in rows
        ]

    async def sessions(
        self, session: Session, own: Sequence[Session]
    ) -> tuple[SeenSession, ...] | None:
        """See `clients.sessions`."""
        return await clients.sessions(session, _pids(own))

    async def missing_grants(self, session: Session, home: str, role: str | None) -> list[str]:
        """What `GRANT` statements the application's role lacks."""
        return await catalogue.missing_grants(session, home, role) if role else []

    # -- many statements in one round trip -----------------------------------------------------

    pipelines = True

    async def pipeline(
        self, session: Session, calls: Sequence[Call], done: Callable[[int], None]
    ) -> None:
        """By libpq's pipeline mode; see `PostgresSession.pipeline`."""
        await cast(PostgresSession, session).pipeline(calls, done)

    async def together(
        self, session: Session, calls: Sequence[Call], early: int = -1
    ) -> list[Answer]:
        """By libpq's pipeline mode; see `PostgresSession.together`."""
        return await cast(PostgresSession, session).together(calls, early)

    def opening(
        self, session: Session, *, lock: float | None, total: float | None, durable: bool
    ) -> tuple[Call, ...]:
        """BEGIN and the limits of `limit`; not ``durable``: with synchronous_commit off."""
        limits = (_milliseconds(lock), _milliseconds(total), self._check_interval(session))
        if durable:
            return _BEGIN, Call(_LIMITS, limits, often=True)
        return _BEGIN, Call(_LIMITS_RELAXED, (*limits, "off"), often=True)

    def closing(self, row: Call, *, own: bool = True) -> tuple[Call, ...]:
        """The roles as in `become_self`, the row, COMMIT."""
        return (*_BECOME_SELF, row, _COMMIT) if own else (row, _COMMIT)

    async def alone(self, session: Session, own: Sequence[Session]) -> bool:
        """See `clients.alone`."""
        return await clients.alone(session, _pids(own))

    # -- backfills -----------------------------------------------------------------------------

    async def key(self, session: Session, table: str) -> tuple[str, ...] | None:
        """See `walking.key`."""
        return await walking.key(session, table)

    async def window(
        self, session: Session, walk: Walk, cursor: list[str] | None, rows: int
    ) -> Window | None:
        """See `walking.window`."""
        return await walking.window(session, walk, cursor, rows)

    def ahead(self, walk: Walk, cursor: list[str] | None, rows: int) -> Call:
        """See `walking.bound`."""
        return Call(walking.bound(walk, cursor, rows))

    def read_ahead(
        self, walk: Walk, cursor: list[str] | None, rows: int, answer: Answer
    ) -> Window | None:
        """See `walking.bounded`."""
        return walking.bounded(walk, cursor, rows, answer.rows)

    async def walk(self, session: Session, table: str, qualifier: str) -> Walk | None:
        """See `walking.walk`."""
        return await walking.walk(session, table, qualifier)

    async def last(self, session: Session, walk: Walk) -> list[str] | None:
        """See `walking.last`."""
        return await walking.last(session, walk)

    @asynccontextmanager
    async def batch(
        self, session: Session, *, lock: float | None, total: float | None
    ) -> AsyncIterator[None]:
        """With synchronous_commit off: what a crash undoes is a batch and its cursor together."""
        async with self.bounded(session, lock=lock, total=total):
            await session.query("SELECT set_config('synchronous_commit', 'off', true)")
            yield

    async def estimate(self, session: Session, table: str) -> int | None:
        """See `walking.estimate`."""
        return await walking.estimate(session, table)

    async def total_rows(self, session: Session) -> int:
        """See `walking.total_rows`."""
        return await walking.total_rows(session)

    # -- who suffers ---------------------------------------------------------------------------

    async def others_at_work(self, watcher: Session, own: Sequence[Session]) -> bool | None:
        """See `suffering.others_at_work`."""
        return await suffering.others_at_work(watcher, _pids(own))

    async def standbys_behind(self, watcher: Session, position: str) -> list[str] | None:
        """See `suffering.standbys_behind`."""
        return await suffering.standbys_behind(watcher, position)

    async def longest_wait(self, watcher: Session, own: Sequence[Session]) -> list[Waiting] | None:
        """See `suffering.longest_wait`."""
        return await suffering.longest_wait(watcher, _pids(own))

    async def oldest_transaction(
        self, watcher: Session, own: Sequence[Session]
    ) -> list[Waiting] | None:
        """See `suffering.oldest_transaction`."""
        return await suffering.oldest_transaction(watcher, _pids(own))

    async def vacuum(self, watcher: Session, table: str) -> Vacuum | None:
        """See `suffering.vacuum`."""
        return await suffering.vacuum(watcher, table)

    # -- the catalogue -------------------------------------------------------------------------

    async def survey(self, session: Session, *, exact: bool) -> Catalogue | None:
        """See `survey.survey`."""
        from pilotage.migrate.dialects.postgresql import survey

        return await survey.survey(session, exact=exact)

    async def holds(self, session: Session, effect: Effect) -> bool | None:
        """See `catalogue.holds`."""
        return await catalogue.holds(session, effect)

    async def repair(self, session: Session, effect: Effect) -> bool:
        """Drop an INVALID index: an invalid unique index still enforces, and none can be used."""
        return await catalogue.drop_invalid(session, effect)

    async def has_made(self, session: Session, step: Step, *, by_name: bool) -> bool:
        """See `online.has_made`."""
        return await online.has_made(session, step, by_name=by_name)

    async def offenders(self, session: Session, step: Step, most: int) -> Offenders | None:
        """See `online.offenders`."""
        return await online.offenders(session, step, most)

    async def progress(self, watcher: Session, session: Session) -> Progress | None:
        """pg_stat_progress_create_index; no other statement that a half holds says how far it is."""
        return await online.progress(watcher, cast(PostgresSession, session).pid)

    async def sweep(self, session: Session) -> list[str]:
        """Drop what REINDEX CONCURRENTLY left: an INVALID index named ``…_ccnew`` or ``…_ccold``."""
        return await catalogue.drop_leftovers(session)

    async def dump(self, session: Session) -> str:
        """By pg_dump."""
        version = cast(PostgresSession, session).server_version
        return await dump(self._address, version // 10000, f"*.{TABLE_PREFIX}*")


def _pids(sessions: Sequence[Session]) -> list[int]:
    return [cast(PostgresSession, session).pid for session in sessions]


def _number(key: str) -> int:
    """A lock's name as the signed 64-bit number that advisory locks have."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], signed=True)


def _milliseconds(seconds: float | None) -> str:
    return "0" if seconds is None else str(max(1, round(seconds * 1000)))
