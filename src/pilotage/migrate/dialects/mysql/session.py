"""One MySQL or MariaDB session, in a thread of its own, with its errors classified by code."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, TypeVar

import pymysql
from pymysql.constants import SERVER_STATUS
from pymysql.cursors import SSCursor

from pilotage.migrate.dialects.base import OWN_PATIENCE, Row, StatementError, Trouble
from pilotage.migrate.dialects.mysql.address import Address, Line
from pilotage.migrate.dialects.mysql.beside import Beside
from pilotage.migrate.dialects.mysql.waits import Waits, every

_T = TypeVar("_T")

INTERRUPTED = 1317
NO_DATABASE = 1049

_TROUBLES = {
    1205: Trouble.LOCK,  # lock_wait_timeout and innodb_lock_wait_timeout alike
    3572: Trouble.LOCK,  # NOWAIT
    1213: Trouble.DEADLOCK,
    1020: Trouble.DEADLOCK,  # the row was changed since the snapshot (innodb_snapshot_isolation)
    1412: Trouble.DEADLOCK,  # the table was changed since the snapshot
    1969: Trouble.TIMEOUT,  # max_statement_time
    3024: Trouble.TIMEOUT,  # max_execution_time
    1044: Trouble.DENIED,
    1045: Trouble.DENIED,
    1142: Trouble.DENIED,
    1143: Trouble.DENIED,
    1227: Trouble.DENIED,
    1370: Trouble.DENIED,
    1419: Trouble.DENIED,  # a trigger or function, with binary logging and no SUPER
    1698: Trouble.DENIED,
    NO_DATABASE: Trouble.ABSENT,
    1146: Trouble.ABSENT,
    1062: Trouble.DUPLICATE,
    1586: Trouble.DUPLICATE,
    1021: Trouble.FULL,
    1114: Trouble.FULL,
    1451: Trouble.VIOLATED,
    1452: Trouble.VIOLATED,
    3819: Trouble.VIOLATED,
    4025: Trouble.VIOLATED,  # a CHECK on MariaDB
    1053: Trouble.LOST,  # the server shuts down
    1152: Trouble.LOST,
    1158: Trouble.LOST,
    1159: Trouble.LOST,
    1160: Trouble.LOST,
    1161: Trouble.LOST,
    1927: Trouble.LOST,  # the connection was killed
    2003: Trouble.LOST,
    2006: Trouble.LOST,
    2013: Trouble.LOST,
    2055: Trouble.LOST,
    4031: Trouble.LOST,
}

_GRACE = 5.0
"""Seconds until a statement that was told to end is cut off from the server."""

# What the session is brought back to, by `reset`, is the global value; these have none, or change by
# themselves.
_OWN_LIFE = frozenset(
    {
        "timestamp",
        "last_insert_id",
        "insert_id",
        "identity",
        "rand_seed1",
        "rand_seed2",
        "error_count",
    }
    | {
        "warning_count",
        "in_transaction",
        "pseudo_thread_id",
        "last_gtid",
        "proxy_user",
        "external_user",
    }
    | {"gtid_seq_no", "statement_id"}
)

# Migrations are read with backslash escapes and double-quoted strings, so the session has them, too.
_NOT_OURS = frozenset(
    {"ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "ANSI", "ORACLE", "DB2", "MSSQL", "MAXDB", "POSTGRESQL"}
)


def readable(given: str) -> str:
    """An SQL mode without what would change how a file is read."""
    return ",".join(name for name in given.upper().split(",") if name and name not in _NOT_OURS)


def mode(given: str) -> str:
    """The SQL mode of our sessions on a server that has ``given``. It is strict whatever the server's is: a
    value that does not fit is refused, never changed without a word. See decision 103."""
    return ",".join(dict.fromkeys(["STRICT_TRANS_TABLES", *readable(given).split(",")])).rstrip(",")


def translate(error: pymysql.MySQLError) -> StatementError:
    """The driver's error as the runner sees it."""
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    text = str(error.args[1]) if len(error.args) > 1 else str(error) or type(error).__name__
    trouble = _TROUBLES.get(code, Trouble.OTHER)
    if isinstance(error, pymysql.InterfaceError):
        trouble = Trouble.LOST
    return StatementError(text, trouble=trouble, code=str(code or ""))


@dataclass(frozen=True, slots=True)
class _Limits:
    """Seconds that a lock is waited for, and that a statement may take."""

    lock: float | None = OWN_PATIENCE
    total: float | None = None

    @property
    def fine(self) -> bool:
        """Whether the wait for a lock has to be counted here, because the servers count whole seconds."""
        return self.lock is not None and self.lock < math.ceil(self.lock)


@dataclass(slots=True)
class _Watch:
    """Over a statement that is running: what may tell it to end, and why it was told, if it was."""

    trouble: Trouble | None = None
    _timers: list[asyncio.TimerHandle] = field(default_factory=list)
    _begun: list[asyncio.Task[None]] = field(default_factory=list)

    def later(self, seconds: float, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """Begin this when the statement has run so long."""

        def begin() -> None:
            self._begun.append(asyncio.create_task(work()))

        self._timers.append(asyncio.get_running_loop().call_later(seconds, begin))

    async def end(self) -> None:
        """Return when nothing tells the statement anything any more."""
        for timer in self._timers:
            timer.cancel()
        for task in self._begun:
            task.cancel()
        await asyncio.gather(*self._begun, return_exceptions=True)


class MysqlSession:
    """`pilotage.migrate.dialects.base.Session` on a `pymysql.Connection` in autocommit mode."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.pid = 0
        self.announced_pid = 0
        self.version = ""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pilotage-mysql")
        self._line: Line | None = None
        self._beside = Beside(address)
        self._limits = _Limits()  # those that the server knows
        self._local = False  # until the end of the transaction
        self._variables: dict[str, str] = {}
        self._temporary: list[str] = []  # tables that an author's statements have made

    @classmethod
    async def open(cls, address: Address, *, database: bool = True) -> MysqlSession:
        """Connect; raises `StatementError`."""
        session = cls(address)
        try:
            await session._call(lambda: session._connect(database=database))
            await session._set_up()
            session._variables = await session._shown()
        except BaseException:
            await session.close()
            raise
        return session

    def _connect(self, *, database: bool) -> None:
        self._line = self.address.connect(database=database)
        self.announced_pid = self._line.connection.thread_id()  # type: ignore[no-untyped-call]

    async def _set_up(self) -> None:
        """What every session of ours has."""
        rows = await self.query(
            "SELECT CONNECTION_ID(), VERSION(), @@GLOBAL.sql_mode,"
            " @@GLOBAL.log_bin AND @@GLOBAL.binlog_format = 'STATEMENT'"
        )
        number, self.version, given, by_statement = rows[0]
        self.pid = int(number)
        own = self.address.sql_mode
        ours = mode(given) if own is None else readable(own)
        await self.execute("SET SESSION sql_mode = $1", ours)
        if not by_statement:  # a statement-based log accepts no other level
            await self.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        await self._set_limits(_Limits())

    @property
    def maria(self) -> bool:
        """Whether the server is MariaDB."""
        return "mariadb" in self.version.lower()

    @property
    def _status(self) -> int:
        line = self._line
        if line is None or not line.connection.open:
            return 0
        status: int = line.connection.server_status  # type: ignore[attr-defined]
        return status

    @property
    def connected(self) -> bool:
        """Whether the connection is open, as far as anybody knows."""
        return self._line is not None and bool(self._line.connection.open)

    @property
    def usable(self) -> bool:
        """Whether it is connected and idle."""
        return self.connected and not self.in_transaction

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return bool(self._status & SERVER_STATUS.SERVER_STATUS_IN_TRANS)

    # -- statements ------------------------------------------------------------------------------

    async def query(self, sql: str, *values: object) -> list[Row]:
        """The rows of a query; an empty list for a statement that returns none."""

        def work(connection: pymysql.Connection[Any]) -> list[Row]:
            with connection.cursor() as cursor:
                cursor.execute(bound(sql, values))
                return list(cursor.fetchall())

        return await self._run(work)

    async def query_some(self, sql: str, most: int) -> list[Row]:
        """The first rows of a query, without holding the others."""

        def work(connection: pymysql.Connection[Any]) -> list[Row]:
            with connection.cursor(SSCursor) as cursor:
                cursor.execute(sql)
                return list(cursor.fetchmany(most))

        return await self._run(work)

    async def execute(self, sql: str, *values: object) -> int:
        """Run a statement; the rows that it changed (not those that it left as they were)."""

        def work(connection: pymysql.Connection[Any]) -> int:
            with connection.cursor() as cursor:
                changed = cursor.execute(bound(sql, values))
                rows = cursor.description is not None
                while cursor.nextset():
                    pass  # a procedure returns several
                return 0 if rows else max(changed, 0)

        if not values:
            self._temporary += temporary(sql)
        return await self._run(work)

    @asynccontextmanager
    async def transaction(self, *, snapshot: bool = False) -> AsyncIterator[None]:
        """A transaction block; ``snapshot``: REPEATABLE READ, READ ONLY, as of its first read."""
        if snapshot:
            await self.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        await self.execute("START TRANSACTION READ ONLY" if snapshot else "START TRANSACTION")
        try:
            yield
        except BaseException:
            with suppress(StatementError):
                await self.execute("ROLLBACK")
                await self._end_local()
            raise
        await self.execute("COMMIT")
        await self._end_local()

    # -- limits ----------------------------------------------------------------------------------

    async def limit(self, *, lock: float | None, total: float | None, local: bool) -> None:
        """Bound the waits for locks and each statement that follows; see `Dialect.limit`."""
        await self._set_limits(_Limits(lock, total))
        self._local = local
        if self._limits.fine and not self._beside.ready:
            with suppress(pymysql.MySQLError):  # then it is tried again when it is needed
                await asyncio.to_thread(self._beside.open)

    async def _end_local(self) -> None:
        if self._local and self.connected:
            self._local = False
            await self._set_limits(_Limits())

    async def _set_limits(self, limits: _Limits) -> None:
        # Both servers count in whole seconds, and InnoDB's wait has no value for "for ever".
        lock = 31_536_000 if limits.lock is None else max(1, math.ceil(limits.lock))
        settings = f"lock_wait_timeout = {lock}, innodb_lock_wait_timeout = {lock}"
        if self.maria:
            # Behind the time limit that is kept here, for a deployer that dies.
            total = 0 if limits.total is None else math.ceil(limits.total) + 5
            settings += f", max_statement_time = {total}"
        self._limits = _Limits()
        await self.execute(f"SET SESSION {settings}")
        self._limits = limits

    async def reset(self) -> None:
        """Undo what an author's statements may have set. Not by COM_RESET_CONNECTION, nor by connecting
        anew: both would give up the migration lock for a moment."""
        self._limits = _Limits()
        if self.in_transaction:
            await self.execute("ROLLBACK")
        self._local = False
        await self.execute("UNLOCK TABLES")
        while self._temporary:
            await self.execute(f"DROP TEMPORARY TABLE IF EXISTS {self._temporary.pop()}")
        await self.execute(f"USE {quoted(self.address.database)}")
        for name, value in (await self._shown()).items():
            if self._variables.get(name, value) != value:
                with suppress(StatementError):  # of those that only the server changes
                    await self.execute(f"SET SESSION {name} = DEFAULT")
        await self.execute("SET NAMES utf8mb4")
        await self.execute("SET SESSION autocommit = 1")
        await self._set_up()

    async def _shown(self) -> dict[str, str]:
        rows = await self.query("SHOW SESSION VARIABLES")
        return {name: value for name, value in rows if name not in _OWN_LIFE}

    # -- the thread ------------------------------------------------------------------------------

    async def _run(self, work: Callable[[pymysql.Connection[Any]], _T]) -> _T:
        line = self._line
        if line is None or not line.connection.open:
            raise StatementError("the connection is closed", trouble=Trouble.LOST)
        watch, limits, began = _Watch(), self._limits, monotonic()
        if limits.total is not None:
            watch.later(limits.total, lambda: self._stop(watch))
        if limits.lock is not None and limits.fine:
            lock = limits.lock
            watch.later(every(lock), lambda: self._look_after(watch, lock, began))
        try:
            return await self._call(lambda: work(line.connection))
        except StatementError as error:
            await watch.end()
            await self._refresh(error)
            if error.code == str(INTERRUPTED) and watch.trouble is not None:
                what = "a lock was not granted in time"
                if watch.trouble is Trouble.TIMEOUT:
                    what = f"stopped after {limits.total:g} s"
                raise StatementError(what, trouble=watch.trouble, code=error.code) from error
            raise
        finally:
            await watch.end()
            if watch.trouble is not None:
                await self._absorb()

    async def _refresh(self, error: StatementError) -> None:
        """Ask whether a transaction is open: an error does not say so, and may have ended it."""
        if error.trouble is not Trouble.LOST and self.connected:
            with suppress(StatementError):
                await self._ping()

    async def _ping(self) -> None:
        line = self._line
        if line is not None:
            await self._call(lambda: line.connection.ping(reconnect=False))

    async def _absorb(self) -> None:
        """Let a KILL QUERY that came too late hit a statement that is nobody's."""
        if self.connected:
            with suppress(StatementError):
                await self._call(
                    lambda: self._line.connection.query("DO 0") if self._line else None
                )
            with suppress(StatementError):
                await self._ping()

    async def _look_after(self, watch: _Watch, lock: float, began: float) -> None:
        """End the statement when it has waited too long for a lock."""

        def ending() -> None:
            watch.trouble = watch.trouble or Trouble.LOCK

        # Where it cannot be looked at, the server ends the wait when its whole seconds are over.
        with suppress(pymysql.MySQLError):
            await Waits(self._beside, self.pid).end_one_of(lock, began, ending)

    async def _stop(self, watch: _Watch) -> None:
        """End the statement, whose time is over."""

        def work(cursor: pymysql.cursors.Cursor) -> None:
            cursor.execute(
                "SELECT STATE FROM information_schema.PROCESSLIST WHERE ID = %s", (self.pid,)
            )
            row = cursor.fetchone()
            if watch.trouble is None:
                waits = row is not None and "metadata lock" in (row[0] or "")
                watch.trouble = Trouble.LOCK if waits else Trouble.TIMEOUT
                cursor.execute(f"KILL QUERY {self.pid}")

        await self._from_outside(work)

    async def _from_outside(self, work: Callable[[pymysql.cursors.Cursor], object]) -> None:
        """Do something about this session from another one."""
        with suppress(pymysql.MySQLError):
            await self._beside.ask_soon(work)

    async def _call(self, work: Callable[[], _T]) -> _T:
        future = asyncio.get_running_loop().run_in_executor(self._thread, work)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await self._terminate(future)
            raise
        except pymysql.MySQLError as error:
            raise translate(error) from _bare(error)

    async def _terminate(self, running: asyncio.Future[Any]) -> None:
        """End the server's side, so that a cancelled statement does not go on holding its locks."""
        if self.pid and not running.done():
            await self._from_outside(lambda cursor: cursor.execute(f"KILL {self.pid}"))
        _, waiting = await asyncio.wait([running], timeout=_GRACE)
        if waiting and self._line is not None:
            self._line.cut()
        await asyncio.gather(running, return_exceptions=True)
        line, self._line = self._line, None
        if line is not None:
            line.close()

    async def close(self) -> None:
        """End the session."""
        line, self._line = self._line, None
        if line is not None:
            with suppress(StatementError):
                await self._call(line.close)
        self._thread.shutdown()
        if self._beside.ready:
            await asyncio.to_thread(self._beside.close)


def bound(sql: str, values: tuple[object, ...]) -> str:
    """One of our own statements with its values in the places ``$1``, ``$2`` …

    The protocol that PyMySQL speaks carries no values beside a statement. An author's statement has none,
    and is sent as it is.
    """
    if not values:
        return sql
    from pilotage.migrate.sql import grammar

    text, at = [], 0
    for token in grammar("mysql").tokens(sql):
        if token.word[:1] == "$" and token.text[1:].isdecimal():
            text += [sql[at : token.start], literal(values[int(token.text[1:]) - 1])]
            at = token.end
    return "".join([*text, sql[at:]])


def literal(value: object) -> str:
    """A value as SQL, for a session whose sql_mode is `mode` and whose connection is in utf8mb4."""
    match value:
        case None:
            return "NULL"
        case bool():
            return "1" if value else "0"
        case int() | float():
            return repr(value)
        case _:
            text = str(value).replace("\\", "\\\\").replace("'", "''")
            return f"'{text}'"


def temporary(sql: str) -> list[str]:
    """The temporary tables that a statement makes, as SQL."""
    if "TEMPORARY" not in sql.upper():
        return []
    from pilotage.migrate.sql import change, grammar

    made = [c for c in grammar("mysql").changes(sql) if isinstance(c, change.CreateTable)]
    return [
        ".".join(quoted(part) for part in (c.table.schema, c.table.name) if part)
        for c in made
        if c.temporary
    ]


def quoted(name: str) -> str:
    """An identifier, quoted."""
    return "`" + name.replace("`", "``") + "`"


def _bare(error: pymysql.MySQLError) -> pymysql.MySQLError:
    """The same error without its traceback, whose frames hold the connection and so the password."""
    return type(error)(*error.args)
