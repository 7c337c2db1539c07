"""The database that a clone is made of: its schema, what is applied to it, its roles, some rows. Only read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from pilotage.errors import DatabaseError, DatabaseUnavailable, MigrationFileError, UsageError
from pilotage.migrate import dump as dumps
from pilotage.migrate import history
from pilotage.migrate.dialects.base import StatementError, Trouble
from pilotage.migrate.dialects.postgresql import PostgreSQL
from pilotage.migrate.dialects.postgresql.catalogue import quote
from pilotage.migrate.dialects.postgresql.session import PostgresSession
from pilotage.migrate.runner import SqlSchema
from pilotage.model import HalfRef
from pilotage.secret import Secret
from pilotage.trace.sample import sample, tables_of

_LONGEST = 60.0
"""Seconds of one statement in the source, at most."""


@dataclass(frozen=True, slots=True)
class Schema:
    """``text``: SQL, with the halves that it holds. ``applied``: None where nobody has recorded any.

    ``rows``: about how many each table has, by schema and name."""

    text: str
    applied: frozenset[HalfRef] | None
    roles: tuple[str, ...]
    rows: dict[tuple[str, str], int]


def dumped(path: Path) -> Schema:
    """The schema in a dump; pilotage's own say which halves they hold.

    Raises
    ------
    UsageError
        It cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
        plain = dumps.loadable(dumps.normalise(text, "postgresql"), "postgresql")
    except (OSError, UnicodeDecodeError, MigrationFileError) as error:
        raise UsageError(f"the schema cannot be read: {error}", where=str(path)) from error
    rows = list(history.applied_lines(text))
    held = history.applied_marks(text)
    return Schema(plain + held, frozenset(row.ref for row in rows) if rows else None, (), {})


class Source:
    """A PostgreSQL database, looked at through its stream's eyes."""

    def __init__(self, url: Secret, stream: str) -> None:
        self._url = url
        self._stream = stream
        self._dialect = PostgreSQL(url)

    @property
    def where(self) -> str:
        """Its place, without a password."""
        return self._dialect.where

    async def major(self) -> int:
        """The server's major version."""
        async with self._reading() as session:
            return session.server_version // 10000

    async def schema(self) -> Schema:
        """What a clone needs.

        Raises
        ------
        DatabaseError
            It cannot be dumped, or reading is not permitted.
        """
        async with SqlSchema(url=self._url, stream=self._stream, service=self._stream) as runner:
            view = await runner.view()
            text = await runner.dump()
        async with self._reading() as session:
            roles = await session.query(
                r"SELECT rolname FROM pg_roles WHERE rolname NOT LIKE 'pg\_%' ORDER BY 1"
            )
            tables = await tables_of(session)
        applied = frozenset(row.ref for row in view.rows if row.finished_at is not None)
        return Schema(
            text,
            applied if view.exists else None,
            tuple(name for (name,) in roles),
            {(table.schema, table.name): table.rows for table in tables},
        )

    async def sample(self, clone: PostgreSQL, *, rows: int) -> int:
        """Copy rows of every table; how many there are then. See `pilotage.trace.sample`."""
        async with self._reading() as session, clone.session() as target:
            try:
                return await sample(session, cast(PostgresSession, target), rows=rows)
            except StatementError as error:
                denied = error.trouble is Trouble.DENIED
                raise DatabaseError(
                    f"rows cannot be copied into the clone: {error}",
                    where=self.where,
                    state="nothing was changed in the source",
                    next="grant it (in the source: GRANT pg_read_all_data; on the server of the "
                    "trace: GRANT SET ON PARAMETER session_replication_role); or trace without rows"
                    if denied
                    else "trace without rows",
                ) from error

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[PostgresSession]:
        """A session in one read-only transaction, with a limit on each statement."""
        try:
            async with self._dialect.session() as session, session.transaction(snapshot=True):
                await self._dialect.limit(session, lock=5.0, total=_LONGEST, local=True)
                await session.execute("SET LOCAL row_security = on")  # what it may see is enough
                yield cast(PostgresSession, session)
        except StatementError as error:
            raise DatabaseUnavailable(
                f"the source cannot be read: {error}",
                where=self.where,
                state="nothing was changed",
            ) from error


async def make_roles(clone: PostgreSQL, roles: Iterable[str]) -> None:
    """The roles that statements may name, without a right or a way in."""
    async with clone.session() as session:
        there = {name for (name,) in await session.query("SELECT rolname FROM pg_roles")}
        for role in sorted(roles):
            if role not in there:
                await session.execute(f"CREATE ROLE {quote(role)} NOLOGIN")
