"""SQLite as the runner needs it.

One file, one writer: DDL is transactional, the migration lock is a lock on a file beside the database,
and there are neither roles nor a list of sessions.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote

from pilotage.errors import DatabaseUnavailable
from pilotage.migrate.dialects.base import Dialect, Session, StatementError, Walk, Window
from pilotage.migrate.dialects.sqlite import catalogue
from pilotage.migrate.dialects.sqlite.session import SqliteSession
from pilotage.model import Session as SeenSession
from pilotage.secret import Secret

if TYPE_CHECKING:
    from pilotage.hazards.catalogue import Catalogue
    from pilotage.migrate.sql import Effect

_MOST = 2**63 - 1  # that a column takes


class SQLite(Dialect):
    """One SQLite file."""

    name = "sqlite"
    timestamp = "real"
    json = "text"
    now = "((julianday('now') - 2440587.5) * 86400.0)"
    names_blockers = False

    def __init__(self, url: Secret) -> None:
        self._path = _path(url)

    @property
    def where(self) -> str:
        """The file."""
        return str(self._path)

    @property
    def role(self) -> str | None:
        """SQLite has no roles."""
        return None

    # -- connections ---------------------------------------------------------------------------

    async def connect(self) -> SqliteSession:
        """Open the file."""
        if not self._path.exists():
            raise DatabaseUnavailable(
                "there is no such file", where=self.where, next="deploy: a deploy creates it"
            )
        try:
            return await SqliteSession.open(self._path)
        except StatementError as error:
            raise DatabaseUnavailable(
                f"the database cannot be opened: {error}",
                where=self.where,
                state="nothing was changed",
                next="check that the file is a SQLite database which this user may write to",
            ) from error

    async def exists(self) -> bool:
        """Whether the file is there."""
        return self._path.exists()

    async def create(self) -> None:
        """An empty file is an empty database."""
        try:
            self._path.touch()
        except OSError as error:
            raise DatabaseUnavailable(
                f"the database cannot be created: {error.strerror}",
                where=self.where,
                state="nothing was changed",
                next=f"make the directory {self._path.parent} for this user",
            ) from error

    async def server_clock(self) -> float:
        """The clock of this machine is the database's."""
        return time.time()

    async def prove_session(self, session: Session) -> None:
        """There is nothing between us and the file."""

    # -- SQL fragments ---------------------------------------------------------------------------

    def epoch(self, column: str) -> str:
        """Times are stored as Unix seconds."""
        return column

    async def home(self, session: Session) -> str:
        """SQLite has no schemas."""
        return ""

    async def has_table(self, session: Session, home: str, table: str) -> bool:
        """Whether it is in sqlite_master."""
        return bool(
            await session.query(
                "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = $1", table
            )
        )

    async def user_tables(self, session: Session) -> int:
        """Tables that are neither SQLite's nor ours."""
        return len(await self._tables(session))

    async def _tables(self, session: Session) -> list[str]:
        rows = await session.query(
            "SELECT name FROM sqlite_master WHERE type = 'table'"
            r" AND name NOT LIKE 'sqlite\_%' ESCAPE '\' AND name NOT LIKE 'pilotage\_%' ESCAPE '\'"
        )
        return [name for (name,) in rows]

    # -- locks and limits ------------------------------------------------------------------------

    async def try_lock(self, session: Session, key: str) -> bool:
        """One lock for the whole file: SQLite has one writer at a time anyhow."""
        since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        try:
            return cast(SqliteSession, session).try_lock(
                self._lock_file, f"{os.getpid()} since {since}\n"
            )
        except OSError as error:
            raise DatabaseUnavailable(
                f"the lock file cannot be opened: {error.strerror}",
                where=str(self._lock_file),
                state="nothing was changed",
            ) from error

    async def unlock(self, session: Session, key: str) -> None:
        """Release it."""
        cast(SqliteSession, session).unlock()

    async def holder(self, session: Session, key: str) -> tuple[str, str]:
        """The process that its note in the lock file names."""
        try:
            pid, _, since = self._lock_file.read_text().strip().partition(" ")
        except OSError:
            pid = since = ""
        return (f"process {pid} ({since})", f"kill {pid}") if pid else ("", "")

    @property
    def _lock_file(self) -> Path:
        return self._path.with_name(f"{self._path.name}-pilotage-lock")

    async def limit(
        self, session: Session, *, lock: float | None, total: float | None, local: bool
    ) -> None:
        """``busy_timeout``, and a timer that interrupts."""
        await cast(SqliteSession, session).limit(lock=lock, total=total)

    async def become_self(self, session: Session) -> None:
        """SQLite has no roles."""

    async def blockers(self, watcher: Session, session: Session) -> list[str]:
        """SQLite does not say."""
        return []

    async def sessions(
        self, session: Session, own: Sequence[Session]
    ) -> tuple[SeenSession, ...] | None:
        """SQLite does not know who has the file open."""
        return None

    async def missing_grants(self, session: Session, home: str, role: str | None) -> list[str]:
        """SQLite has no privileges."""
        return []

    @asynccontextmanager
    async def bounded(
        self, session: Session, *, lock: float | None, total: float | None
    ) -> AsyncIterator[None]:
        """The wait for the other writer is at BEGIN, so the limit comes before it."""
        await self.limit(session, lock=lock, total=total, local=True)
        async with session.transaction():
            yield

    @asynccontextmanager
    async def change(
        self, session: Session, *, lock: float | None, total: float | None
    ) -> AsyncIterator[None]:
        """A transaction without foreign keys, which are checked as a whole before it is committed.

        A table is changed by making it anew and dropping the old one, which would delete or refuse
        whatever refers to it. See https://www.sqlite.org/lang_altertable.html#otheralter.
        """
        await session.execute("PRAGMA foreign_keys = OFF")
        try:
            async with self.bounded(session, lock=lock, total=total):
                before = set(await session.query("PRAGMA foreign_key_check"))
                yield
                if not session.in_transaction:
                    return
                broken = set(await session.query("PRAGMA foreign_key_check")) - before
                if broken:
                    table, row, parent, _ = min(broken, key=str)
                    raise StatementError(
                        f"it breaks foreign keys: {len(broken)} rows, the first of them row {row} "
                        f"of {table}, which refers to nothing in {parent}"
                    )
        finally:
            if session.usable:
                await session.execute("PRAGMA foreign_keys = ON")

    # -- backfills -------------------------------------------------------------------------------

    async def key(self, session: Session, table: str) -> tuple[str, ...] | None:
        """The rowid; the primary key of a table that was made WITHOUT ROWID."""
        schema, name = catalogue.unquoted(table)
        columns = await session.query(
            "SELECT name, pk FROM pragma_table_xinfo($1, $2)", name, schema
        )
        if not columns:
            raise StatementError(f"there is no table {table}")
        rowid = await catalogue.rowid(session, table)
        if rowid is not None:
            return (rowid,)
        keys = sorted((place, column) for column, place in columns if place)
        return tuple(catalogue.quote(column) for _, column in keys) or None

    async def window(
        self, session: Session, walk: Walk, cursor: list[str] | None, rows: int
    ) -> Window | None:
        """The batch after ``cursor``, whose values are SQL literals."""
        columns = ", ".join(walk.key)
        bounds = [f"({columns}) > ({', '.join(cursor)})"] if cursor else []
        if walk.end:
            bounds.append(f"({columns}) <= ({', '.join(walk.end)})")
        where = f" WHERE {' AND '.join(bounds)}" if bounds else ""
        found = await session.query(
            f"SELECT {_quoted(walk)} FROM {walk.table}{where}"  # noqa: S608
            f" ORDER BY {columns} LIMIT {int(rows)}"
        )
        if not found:
            return None
        last = list(found[-1])
        names = ", ".join(f"{walk.qualifier}.{column}" for column in walk.key)
        predicate = f"({names}) <= ({', '.join(last)})"
        if cursor:
            predicate = f"({names}) > ({', '.join(cursor)}) AND {predicate}"
        return Window(predicate, last, len(found))

    async def last(self, session: Session, walk: Walk) -> list[str] | None:
        """The greatest key, as SQL literals."""
        backwards = ", ".join(f"{column} DESC" for column in walk.key)
        found = await session.query(
            f"SELECT {_quoted(walk)} FROM {walk.table} ORDER BY {backwards} LIMIT 1"  # noqa: S608
        )
        return list(found[0]) if found else None

    async def estimate(self, session: Session, table: str) -> int | None:
        """The span of the rowids, which is found without reading the table."""
        rowid = await catalogue.rowid(session, table)
        if rowid is None:
            return None
        rows = await session.query(
            f"SELECT max({rowid}) - min({rowid}) + 1 FROM {table}"  # noqa: S608
        )
        return min(int(rows[0][0] or 0), _MOST)

    async def total_rows(self, session: Session) -> int:
        """The greatest rowids of all tables."""
        total = 0
        for table in await self._tables(session):
            rows = await self.estimate(session, catalogue.quote(table))
            total += 1_000_000 if rows is None else rows
        return total

    # -- the catalogue ---------------------------------------------------------------------------

    async def dump(self, session: Session) -> str:
        """What the schema table has, tables first."""
        rows = await session.query(
            "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"
            r" AND tbl_name NOT LIKE 'pilotage\_%' ESCAPE '\'"
            r" AND name NOT LIKE 'sqlite\_%' ESCAPE '\'"
            " ORDER BY type = 'table' DESC, type = 'view', type, name"
        )
        return "".join(f"{text};\n\n" for (text,) in rows)

    async def survey(self, session: Session, *, exact: bool) -> Catalogue | None:
        """See `survey.survey`."""
        from pilotage.migrate.dialects.sqlite import survey

        return await survey.survey(session, self.estimate)

    async def holds(self, session: Session, effect: Effect) -> bool | None:
        """See `catalogue.holds`."""
        return await catalogue.holds(session, effect)


def _quoted(walk: Walk) -> str:
    """The columns of the key, each as SQL for its value. Text is written in hex, since quote() ends at a
    NUL; ``|| ''`` keeps the CAST from having an affinity, which would change what it is compared with."""
    return ", ".join(
        f"CASE typeof({column}) WHEN 'text' THEN"
        f" '(CAST(x''' || hex({column}) || ''' AS TEXT) || '''')' ELSE quote({column}) END"
        for column in walk.key
    )


def _path(url: Secret) -> Path:
    """The file of ``sqlite:///relative.db``, ``sqlite:////absolute.db`` or ``sqlite3:relative.db``."""
    rest = url.reveal().strip().partition(":")[2].partition("?")[0]
    if rest.startswith("//"):
        host, _, rest = rest[2:].partition("/")
        if host:
            raise DatabaseUnavailable(
                "a SQLite URL names no host",
                next="write sqlite:///relative/path.db or sqlite:////absolute/path.db",
            )
    if not rest or rest == ":memory:":
        raise DatabaseUnavailable(
            "the SQLite URL names no file; a database in memory is gone when a process ends",
            next="write sqlite:///relative/path.db or sqlite:////absolute/path.db",
        )
    return Path(unquote(rest))
