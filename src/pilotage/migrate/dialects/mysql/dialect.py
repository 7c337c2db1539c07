"""MySQL and MariaDB as the runner needs them: connections, locks and the views of who holds them.

Each definition commits by itself and none rolls back, so a half that holds one runs statement by statement
(`Dialect.transactional_ddl`). There are no schemas: a database is one, and ours stand in it by their full
name, whatever a file's ``USE`` says.
"""

# ruff: noqa: S608  (what is formatted in is quoted, or our own text)

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from pilotage.errors import DatabaseError, DatabaseUnavailable, PoolerUnsafe
from pilotage.migrate.dialects.base import (
    APPLICATION_NAME,
    Dialect,
    Session,
    StatementError,
    Trouble,
    Vacuum,
    Waiting,
    Walk,
    Window,
)
from pilotage.migrate.dialects.mysql import catalogue, dump, locks, suffering, walking
from pilotage.migrate.dialects.mysql.address import parse
from pilotage.migrate.dialects.mysql.session import NO_DATABASE, MysqlSession, quoted
from pilotage.migrate.dialects.probing import are_apart
from pilotage.model import Session as SeenSession
from pilotage.secret import Secret

if TYPE_CHECKING:
    from pilotage.hazards.catalogue import Catalogue
    from pilotage.migrate.sql import Effect

# Asked so that no proxy answers it from what it knows itself.
_BACKEND = "SELECT CONNECTION_ID() + 0"


class MySQL(Dialect):
    """One MySQL or MariaDB database.

    ``url`` is the application's; ``migration_url``, when there is one, is what everything here connects
    with. From ``url`` only what its user may do is then asked.
    """

    name = "mysql"
    timestamp = "datetime(6)"
    json = "longtext"
    text = "longtext"
    short = "varchar(191) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
    now = "UTC_TIMESTAMP(6)"
    names_blockers = True
    transactional_ddl = False

    def __init__(self, url: Secret, migration_url: Secret | None = None) -> None:
        self._app = parse(url).named(APPLICATION_NAME)
        self._address = parse(migration_url).named(APPLICATION_NAME) if migration_url else self._app

    @property
    def where(self) -> str:
        """``mysql://user@host:port/database``."""
        return str(self._address)

    @property
    def role(self) -> str | None:
        """The application's user, where it is not the migrator's."""
        return self._app.user if self._app.user != self._address.user else None

    # -- connections ---------------------------------------------------------------------------

    async def connect(self) -> MysqlSession:
        """A new session."""
        try:
            return await MysqlSession.open(self._address)
        except StatementError as error:
            raise self._no_login(error) from error

    def _no_login(self, error: StatementError) -> DatabaseUnavailable:
        address = self._address
        place = address.unix or f"{address.host} port {address.port}"
        if error.code == str(NO_DATABASE):
            what = f"there is no database {address.database}"
            then = f"CREATE DATABASE {quoted(address.database)}, or deploy: a deploy creates it"
        elif error.code == "1044":
            what = f"the user {address.user} may not use the database {address.database}: {error}"
            then = f"GRANT ALL ON {quoted(address.database)}.* TO …, as the server's administrator"
        elif error.trouble is Trouble.DENIED:
            what = f"the server refuses the login: {error}"
            then = f"check user, password and host of the account: mariadb -u {address.user} -p"
        elif error.trouble is Trouble.LOST:
            what = f"no MySQL server answers at {place}: {error}"
            then = "start the server, or correct host and port in the database URL"
        else:
            what, then = f"the database cannot be connected to: {error}", ""
        return DatabaseUnavailable(what, where=self.where, state="nothing was changed", next=then)

    async def exists(self) -> bool:
        """Whether the server knows the database."""
        try:
            session = await MysqlSession.open(self._address)
        except StatementError as error:
            if error.code == str(NO_DATABASE):
                return False
            raise self._no_login(error) from error
        await session.close()
        return True

    async def create(self) -> None:
        """CREATE DATABASE, in utf8mb4."""
        name = quoted(self._address.database)
        statement = f"CREATE DATABASE IF NOT EXISTS {name} CHARACTER SET utf8mb4"
        session = await self._server()
        try:
            await session.execute(statement)
        except StatementError as error:
            raise DatabaseUnavailable(
                f"the database {self._address.database} is missing and could not be created: {error}",
                where=self.where,
                next=f"as a user that may: {statement};",
            ) from error
        finally:
            await session.close()

    async def _server(self) -> MysqlSession:
        """A session in no database."""
        try:
            return await MysqlSession.open(self._address, database=False)
        except StatementError as error:
            raise self._no_login(error) from error

    async def server_clock(self) -> float:
        """The server's clock."""
        session = await self._server()
        try:
            return float((await session.query(f"SELECT {self.epoch(self.now)}"))[0][0])
        finally:
            await session.close()

    async def prove_session(self, session: Session) -> None:
        """Compare the server's own connections behind two of ours, a few times (ProxySQL, MaxScale)."""
        first = cast(MysqlSession, session)
        try:
            second = await MysqlSession.open(self._address)
        except StatementError as error:
            if first.announced_pid == first.pid:
                return  # the server itself named this connection: nothing is in between
            raise PoolerUnsafe(
                "a proxy stands before the server, and whether it keeps a session together cannot be "
                "seen: a second connection was refused",
                where=self.where,
                next="set migration_url to the server itself",
            ) from error
        try:
            apart = await are_apart(first, second, _BACKEND)
        except StatementError as error:
            raise DatabaseUnavailable(str(error), where=self.where) from error
        finally:
            await second.close()
        if not apart:
            raise PoolerUnsafe(
                "the connection goes through a proxy that shares sessions: consecutive statements "
                "reach different ones, so the migration lock would guard nothing",
                where=self.where,
                state="nothing was changed",
                next="set migration_url to the server itself (not the proxy's port)",
            )

    # -- SQL fragments -------------------------------------------------------------------------

    def epoch(self, column: str) -> str:
        """Seconds, as a double; our times are stored in UTC."""
        return f"(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', {column}) / 1e6)"

    def upsert(
        self,
        table: str,
        values: Mapping[str, str],
        *,
        key: Sequence[str],
        keep: Sequence[str] = (),
        replace: bool = True,
    ) -> str:
        """INSERT … ON DUPLICATE KEY UPDATE; not ``replace``: INSERT IGNORE."""
        names = ", ".join(self.quote(column) for column in values)
        verb = "INSERT" if replace else "INSERT IGNORE"
        insert = f"{verb} INTO {table} ({names}) VALUES ({', '.join(values.values())})"
        if not replace:
            return insert
        new = []
        for column in values:
            name = self.quote(column)
            if column in keep:
                new.append(f"{name} = coalesce({name}, VALUES({name}))")
            elif column not in key:
                new.append(f"{name} = VALUES({name})")
        return f"{insert} ON DUPLICATE KEY UPDATE {', '.join(new)}"

    async def home(self, session: Session) -> str:
        """The database's name."""
        return f"{quoted(self._address.database)}."

    async def has_table(self, session: Session, home: str, table: str) -> bool:
        """Whether the catalogue has it."""
        return bool(
            await session.query(
                "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = $1 AND TABLE_NAME = $2",
                self._address.database,
                table,
            )
        )

    async def user_tables(self, session: Session) -> int:
        """Tables of the database that are not ours."""
        return len(await catalogue.tables(session, self._address.database))

    # -- locks and limits ----------------------------------------------------------------------

    async def try_lock(self, session: Session, key: str) -> bool:
        """GET_LOCK without a wait; also notes if the session was exchanged."""
        rows = await session.query("SELECT GET_LOCK($1, 0), CONNECTION_ID() + 0", self._lock(key))
        granted, pid = rows[0]
        if int(pid) != cast(MysqlSession, session).pid:
            raise PoolerUnsafe(
                "the server's session behind the connection changed: a proxy is in between",
                where=self.where,
                next="set migration_url to the server itself",
            )
        return bool(granted == 1)

    async def unlock(self, session: Session, key: str) -> None:
        """Release it."""
        await session.query("SELECT RELEASE_LOCK($1)", self._lock(key))

    def _lock(self, key: str) -> str:
        """Locks are the whole server's, and their names have 64 characters."""
        digest = hashlib.sha256(f"{self._address.database}\0{key}".encode()).hexdigest()
        return f"pilotage:{digest[:48]}"

    async def holder(self, session: Session, key: str) -> tuple[str, str]:
        """The session that holds the lock: its id, account, age and what it is doing."""
        rows = await session.query(
            "SELECT ID, USER, HOST, COMMAND, TIME FROM information_schema.PROCESSLIST"
            " WHERE ID = IS_USED_LOCK($1)",
            self._lock(key),
        )
        if not rows:
            found = await session.query("SELECT IS_USED_LOCK($1)", self._lock(key))
            number = found[0][0]
            return (f"session {number}", f"KILL {number};") if number else ("", "")
        number, user, host, command, age = rows[0]
        doing = "sleeping" if command == "Sleep" else command.lower()
        return f"session {number} ({user} from {host}, {doing} for {age} s)", f"KILL {number};"

    async def limit(
        self, session: Session, *, lock: float | None, total: float | None, local: bool
    ) -> None:
        """``lock_wait_timeout``, ``innodb_lock_wait_timeout``, and a KILL QUERY from a second session.

        Neither server counts waits in less than seconds, so those are rounded up.
        """
        await cast(MysqlSession, session).limit(lock=lock, total=total, local=local)

    async def become_self(self, session: Session) -> None:
        """Take back SET ROLE; who the session is cannot be changed."""

    async def blockers(self, watcher: Session, session: Session) -> list[str]:
        """See `locks.blockers`."""
        return await locks.blockers(watcher, cast(MysqlSession, session).pid)

    async def sessions(
        self, session: Session, own: Sequence[Session]
    ) -> tuple[SeenSession, ...] | None:
        """By the ``program_name`` that clients give of themselves, where the performance schema keeps it."""
        pids = [cast(MysqlSession, mine).pid for mine in own]
        return await locks.sessions(session, self._address.database, pids)

    async def missing_grants(self, session: Session, home: str, role: str | None) -> list[str]:
        """What the application's own user may not do, found out by asking as that user."""
        if role is None:
            return []
        try:
            asked = await MysqlSession.open(self._app)
        except StatementError:
            return []  # it logs in from elsewhere, or with another secret: nobody can tell from here
        try:
            return await catalogue.missing_grants(asked, home)
        finally:
            await asked.close()

    async def to_run(self, session: Session, statement: str) -> str:
        """With ``LOCK=NONE`` where it would change a table that has rows, and says nothing of locks."""
        from pilotage.migrate.sql.mysql.online import altered, guarded

        table = altered(statement)
        if not table:
            return statement
        try:
            if not await session.query(f"SELECT 1 FROM {table} LIMIT 1"):
                return statement
        except StatementError:
            return statement  # it is not there, or is no table: the server says so better
        return guarded(statement)

    # -- backfills -----------------------------------------------------------------------------

    async def key(self, session: Session, table: str) -> tuple[str, ...] | None:
        """See `walking.key`."""
        return await walking.key(session, table)

    async def walk(self, session: Session, table: str, qualifier: str) -> Walk | None:
        """See `walking.walk`."""
        return await walking.walk(session, table, qualifier)

    async def window(
        self, session: Session, walk: Walk, cursor: list[str] | None, rows: int
    ) -> Window | None:
        """See `walking.window`."""
        return await walking.window(session, walk, cursor, rows)

    async def last(self, session: Session, walk: Walk) -> list[str] | None:
        """See `walking.last`."""
        return await walking.last(session, walk)

    async def estimate(self, session: Session, table: str) -> int | None:
        """See `walking.estimate`."""
        return await walking.estimate(session, table)

    async def total_rows(self, session: Session) -> int:
        """See `walking.total_rows`."""
        return await walking.total_rows(session, self._address.database)

    # -- who suffers ---------------------------------------------------------------------------

    async def others_at_work(self, watcher: Session, own: Sequence[Session]) -> bool | None:
        """See `suffering.others_at_work`."""
        return await suffering.others_at_work(watcher, _pids(own))

    async def standbys_behind(self, watcher: Session, position: str) -> list[str] | None:
        """See `suffering.standbys_behind`."""
        return await suffering.standbys_behind(watcher)

    async def longest_wait(self, watcher: Session, own: Sequence[Session]) -> list[Waiting] | None:
        """See `suffering.longest_wait`."""
        maria = cast(MysqlSession, watcher).maria
        return await suffering.longest_wait(watcher, _pids(own), milliseconds=maria)

    async def oldest_transaction(
        self, watcher: Session, own: Sequence[Session]
    ) -> list[Waiting] | None:
        """See `suffering.oldest_transaction`."""
        return await suffering.oldest_transaction(watcher, _pids(own))

    async def vacuum(self, watcher: Session, table: str) -> Vacuum | None:
        """See `suffering.purge`."""
        return await suffering.purge(watcher)

    # -- the catalogue -------------------------------------------------------------------------

    async def holds(self, session: Session, effect: Effect) -> bool | None:
        """See `catalogue.holds`."""
        return await catalogue.holds(session, self._address.database, effect)

    async def dump(self, session: Session) -> str:
        """By SHOW CREATE, of tables, views, triggers, routines and events."""
        return await dump.dump(session, self._address.database)

    async def survey(self, session: Session, *, exact: bool) -> Catalogue | None:
        """See `survey.survey`."""
        from pilotage.migrate.dialects.mysql import survey

        return await survey.survey(session, self._address.database, exact=exact)

    # -- replicas ------------------------------------------------------------------------------

    async def position(self, session: Session) -> str:
        """The GTIDs that are in the binary log."""
        column = (
            "@@GLOBAL.gtid_binlog_pos"
            if cast(MysqlSession, session).maria
            else ("@@GLOBAL.gtid_executed")
        )
        found = str((await session.query(f"SELECT {column}"))[0][0] or "")
        if not found:
            raise DatabaseError(
                "the server writes no binary log with GTIDs, so nobody can tell what its replicas have",
                where=self.where,
                next="switch GTIDs on, or take `replicas` out of the configuration",
            )
        return found

    async def has_replayed(self, session: Session, position: str) -> bool | None:
        """Whether the replica has all these GTIDs; None where it follows nobody."""
        if cast(MysqlSession, session).maria:
            if not await session.query("SHOW ALL SLAVES STATUS"):
                return None
            rows = await session.query("SELECT MASTER_GTID_WAIT($1, 0)", position)
            return rows[0][0] is not None and int(rows[0][0]) >= 0
        if not await session.query("SHOW REPLICA STATUS"):
            return None
        rows = await session.query("SELECT GTID_SUBSET($1, @@GLOBAL.gtid_executed)", position)
        return bool(rows[0][0])


def _pids(sessions: Sequence[Session]) -> list[int]:
    return [cast(MysqlSession, session).pid for session in sessions]
