"""Making ready: the database, pilotage's own tables, and what a new, empty database is loaded with."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from pilotage.errors import HalfFailed, UsageError
from pilotage.migrate import history, sql
from pilotage.migrate.dialects.base import Dialect, Session, StatementError
from pilotage.migrate.lock import lock_key, migration_lock
from pilotage.migrate.settings import RunnerSettings
from pilotage.migrate.sql.change import Create, CreateTable
from pilotage.migrate.state import State
from pilotage.migrate.tables import FORMAT, create_tables, table_format

_MARK = "pilotage_loading"
"""A table that is there while files are loaded into a database that cannot roll their definitions back."""

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
    recorded as adopted with it, in the same transaction. Where a definition cannot be rolled back, what
    the files made is dropped again when they fail.

    Raises
    ------
    HalfFailed
        A statement of a file failed; nothing of the two is applied.
    """
    if settings.schema_file is None and settings.seed_file is None:
        return
    await _refuse_rest(dialect, session)
    if not await _is_untouched(dialect, state, session):
        return
    async with migration_lock(dialect, session, lock_key(stream), wait=settings.lock_wait):
        if not await _is_untouched(dialect, state, session):
            return
        files = [path for path in (settings.schema_file, settings.seed_file) if path is not None]
        try:
            if dialect.transactional_ddl:
                async with dialect.change(session, lock=None, total=None):
                    for path in files:
                        await _run_file(dialect, state, session, path)
            else:
                await _run_marked(dialect, state, session, files)
        finally:
            if session.usable:
                await session.reset()


async def _is_untouched(dialect: Dialect, state: State, session: Session) -> bool:
    return (
        not await dialect.user_tables(session)
        and not await state.halves(session)
        and await state.is_fresh(session)
    )


async def _refuse_rest(dialect: Dialect, session: Session) -> None:
    """Refuse a database in which a load broke off: it is neither empty nor loaded."""
    if dialect.transactional_ddl:
        return
    home = await dialect.home(session)
    if await dialect.has_table(session, home, _MARK):
        raise HalfFailed(
            "the loading of the schema file broke off, and this database cannot roll that back",
            where=dialect.where,
            state=f"a part of the file is loaded; the table {_MARK} says so",
            next="nothing but that is in it: drop the database, then run the same command again",
        )


async def _run_marked(
    dialect: Dialect, state: State, session: Session, files: Sequence[Path]
) -> None:
    """Run the files where definitions commit by themselves; when they fail, drop what they made."""
    mark = await dialect.home(session) + _MARK
    await session.execute(f"CREATE TABLE {mark} (path {dialect.short})")
    done: list[str] = []
    try:
        for path in files:
            await _run_file(dialect, state, session, path, done=done)
    except (HalfFailed, UsageError):
        if session.usable:
            await session.reset()
            for row in await state.halves(session):
                await state.delete_half(session, row.ref)
            for made in reversed(sql.changes(";\n".join(done), dialect.name)):
                if statement := _taken_back(dialect, made):
                    await session.execute(statement)
            await session.execute(f"DROP TABLE {mark}")
        raise
    await session.execute(f"DROP TABLE {mark}")


def _taken_back(dialect: Dialect, made: sql.Change) -> str:
    """What drops a thing that a statement made; ``""`` for what goes with something else."""
    match made:
        case CreateTable(temporary=False):
            kind, name = "TABLE", made.table
        case Create() if made.kind != "trigger":
            kind, name = made.kind.upper(), made.name
        case _:
            return ""
    parts = [dialect.quote(part) for part in (name.schema, name.name) if part]
    return f"DROP {kind} IF EXISTS {'.'.join(parts)}"


async def _run_file(
    dialect: Dialect, state: State, session: Session, path: Path, *, done: list[str] | None = None
) -> None:
    """``done`` is given the text of each statement that has run."""
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
        if done is not None:
            done.append(statement.text)
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
