"""One SQLite connection, in a thread of its own, with its errors classified by result code."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

from pilotage.migrate.dialects.base import OWN_PATIENCE, Row, StatementError, Trouble

_T = TypeVar("_T")

_TROUBLES = {
    sqlite3.SQLITE_BUSY: Trouble.LOCK,
    sqlite3.SQLITE_LOCKED: Trouble.LOCK,
    sqlite3.SQLITE_INTERRUPT: Trouble.TIMEOUT,
    sqlite3.SQLITE_PERM: Trouble.DENIED,
    sqlite3.SQLITE_READONLY: Trouble.DENIED,
    sqlite3.SQLITE_AUTH: Trouble.DENIED,
    sqlite3.SQLITE_CANTOPEN: Trouble.DENIED,
    sqlite3.SQLITE_FULL: Trouble.FULL,
}
_DUPLICATE = (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)


def translate(error: sqlite3.Error) -> StatementError:
    """The driver's error as the runner sees it."""
    extended = getattr(error, "sqlite_errorcode", None)
    trouble = Trouble.OTHER
    if extended is not None:
        trouble = _TROUBLES.get(extended & 0xFF, Trouble.OTHER)
        if extended in _DUPLICATE:
            trouble = Trouble.DUPLICATE
    name = getattr(error, "sqlite_errorname", "")
    return StatementError(str(error), trouble=trouble, code=name or "")


class SqliteSession:
    """`pilotage.migrate.dialects.base.Session` on a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pilotage-sqlite")
        self._connection: sqlite3.Connection | None = None
        self._total: float | None = None
        self._lock: int | None = None

    @classmethod
    async def open(cls, path: Path) -> SqliteSession:
        """Open the file, which must exist; raises `StatementError`."""
        session = cls(path)
        try:
            await session._call(session._connect)
        except BaseException:
            await session.close()
            raise
        return session

    def _connect(self) -> None:
        self._connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=OWN_PATIENCE,
            isolation_level=None,
            check_same_thread=False,
        )
        self._connection.execute("PRAGMA foreign_keys = ON")
        self._connection.execute("PRAGMA user_version").fetchone()  # is it a database at all?
        self._total = None

    @property
    def usable(self) -> bool:
        """Whether it is open and idle."""
        return self._connection is not None and not self._connection.in_transaction

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._connection is not None and self._connection.in_transaction

    async def query(self, sql: str, *values: object) -> list[Row]:
        """The rows of a query."""
        return await self._run(lambda c: c.execute(sql, _named(values)).fetchall())

    async def query_some(self, sql: str, most: int) -> list[Row]:
        """The first rows of a query."""
        return await self._run(lambda c: c.execute(sql).fetchmany(most))

    async def execute(self, sql: str, *values: object) -> int:
        """Run a statement; the rows that it changed itself, without those of its triggers."""

        def work(connection: sqlite3.Connection) -> int:
            before = connection.total_changes
            connection.execute(sql, _named(values)).fetchall()
            if connection.total_changes == before:
                return 0
            changed: int = connection.execute("SELECT changes()").fetchone()[0]
            return changed

        return await self._run(work)

    @asynccontextmanager
    async def transaction(self, *, snapshot: bool = False) -> AsyncIterator[None]:
        """BEGIN IMMEDIATE … COMMIT; ``snapshot``: BEGIN, which sees one moment from its first read."""
        if snapshot:
            await self.execute("PRAGMA query_only = ON")
        try:
            await self.execute("BEGIN" if snapshot else "BEGIN IMMEDIATE")
            yield
            await self.execute("COMMIT")  # may find the database busy, and leaves it open then
        except BaseException:
            if self.in_transaction:
                with suppress(StatementError):
                    await self.execute("ROLLBACK")
            raise
        finally:
            if snapshot and self._connection is not None:
                await self.execute("PRAGMA query_only = OFF")

    async def limit(self, *, lock: float | None, total: float | None) -> None:
        """Bound the waits for other writers, and each statement that follows."""
        busy = 0x7FFFFFFF if lock is None else max(1, round(lock * 1000))
        await self.query(f"PRAGMA busy_timeout = {busy}")
        self._total = total

    async def reset(self) -> None:
        """Begin anew with a connection of its own settings; locks on the lock file stay."""

        def work() -> None:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            self._connect()

        await self._call(work)

    # -- the lock file -------------------------------------------------------------------------

    def try_lock(self, path: Path, note: str) -> bool:
        """Take a lock on the file ``path`` that this session holds; ``note`` is left in it."""
        if self._lock is not None:
            return True
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            return False
        os.ftruncate(handle, 0)
        os.pwrite(handle, note.encode(), 0)
        self._lock = handle
        return True

    def unlock(self) -> None:
        """Release it. The file stays: deleting it would let two hold locks on two files."""
        if self._lock is not None:
            os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = None

    # -- the thread ------------------------------------------------------------------------------

    async def _run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        if self._connection is None:
            raise StatementError("the connection is closed", trouble=Trouble.LOST)
        connection = self._connection
        timer = None
        if self._total is not None:
            timer = asyncio.get_running_loop().call_later(self._total, connection.interrupt)
        try:
            return await self._call(lambda: work(connection))
        finally:
            if timer is not None:
                timer.cancel()

    async def _call(self, work: Callable[[], _T]) -> _T:
        future = asyncio.get_running_loop().run_in_executor(self._thread, work)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            # The thread goes on: stop the statement, and leave only once it has stopped.
            if self._connection is not None:
                self._connection.interrupt()
            await asyncio.gather(future, return_exceptions=True)
            raise
        except sqlite3.Error as error:
            raise translate(error) from error

    async def close(self) -> None:
        """Close the connection, end its thread, release the lock."""

        def work() -> None:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

        with suppress(StatementError):
            await self._call(work)
        self._thread.shutdown()
        self.unlock()


def _named(values: tuple[object, ...]) -> dict[str, object]:
    """``$1`` is a name to SQLite."""
    return {str(number): value for number, value in enumerate(values, start=1)}
