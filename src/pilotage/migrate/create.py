"""Making ready: the database, pilotage's own tables, and what a new, empty database is loaded with."""

from __future__ import annotations

import asyncio
from pathlib import Path

from pilotage.errors import HalfFailed, UsageError
from pilotage.migrate import history, sql
from pilotage.migrate.dialects.base import Dialect, Session, StatementError
from pilotage.migrate.lock import lock_key, migration_lock
from pilotage.migrate.settings import RunnerSettings
from pilotage.migrate.state import State
from pilotage.migrate.tables import FORMAT, create_tables, table_format

_TABLES_KEY = "pilotage tables"


async def tables(dialect: Dialect, state: State, session: Session, *, wait: float) -> None:
    """Make pilotage's tables and the stream's row, once, also when two deployers do it at once.

    Whether the database was empty is seen here, before anything is made in it.
    """
    home = await dialect.home(session)
    if await table_format(dialect, session, home) == FORMAT and await state.has_stream(session):
        return
    async with migration_lock(dialect, session, _TABLES_KEY, wait=wait), session.transaction():
        empty = not await dialect.user_tables(session)
        present = await table_format(dialect, session, home)
        if present < FORMAT:
            await create_tables(dialect, session, home, present)
        await state.add_stream(session, born_empty=empty)


async def load(
    dialect: Dialect, state: State, session: Session, settings: RunnerSettings, stream: str
) -> None:
    """Load the schema file, then the seed file, into a database that has nothing at all.

    The halves that the schema file says it holds (`pilotage.migrate.history.applied_lines`) are
    recorded as adopted with it, in the same transaction.

    Raises
    ------
    HalfFailed
        A statement of a file failed; nothing of the two is applied.
    """
    if settings.schema_file is None and settings.seed_file is None:
        return
    if not await _is_untouched(dialect, state, session):
        return
    async with migration_lock(dialect, session, lock_key(stream), wait=settings.lock_wait):
        if not await _is_untouched(dialect, state, session):
            return
        try:
            async with dialect.change(session, lock=None, total=None):
                for path in (settings.schema_file, settings.seed_file):
                    if path is not None:
                        await _run_file(dialect, state, session, path)
        finally:
            if session.usable:
                await session.reset()


async def _is_untouched(dialect: Dialect, state: State, session: Session) -> bool:
    return (
        not await dialect.user_tables(session)
        and not await state.halves(session)
        and await state.is_fresh(session)
    )


async def _run_file(dialect: Dialect, state: State, session: Session, path: Path) -> None:
    try:
        text = await asyncio.to_thread(path.read_text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=str(path)) from error
    with sql.located(path, 1):
        statements = sql.split(text, dialect.name)
    for statement in statements:
        try:
            await session.execute(statement.text)
        except StatementError as error:
            line = statement.line + statement.text.count("\n", 0, error.position or 0)
            raise HalfFailed(
                f"the file failed: {error}",
                where=f"{path}:{line}",
                state="the database is as empty as it was",
                next="correct the file, then run the same command again",
            ) from error
    await dialect.become_self(session)
    for row in history.applied_lines(text):
        await state.put_half(
            session,
            row.ref,
            name=row.name,
            checksum=row.checksum,
            release=None,
            finished=True,
            how="adopted",
        )
