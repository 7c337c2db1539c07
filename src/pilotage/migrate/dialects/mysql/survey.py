"""What the hazard linter wants to know of a MySQL or MariaDB database: its tables as they are, and how large."""

from __future__ import annotations

import re

from pilotage.hazards.catalogue import Catalogue, Size
from pilotage.migrate.dialects.base import Session, StatementError, Trouble
from pilotage.migrate.dialects.mysql import dump
from pilotage.migrate.dialects.mysql.session import quoted
from pilotage.migrate.sql import SqlError, grammar
from pilotage.migrate.sql.change import Name


async def survey(session: Session, database: str, *, exact: bool) -> Catalogue:
    """Every table with its columns, constraints, indexes and size; every view by its name.

    The definitions are those that SHOW CREATE gives, read as a file's would be. It takes the metadata
    lock of each table for a moment, so without ``exact`` a table that is locked is left out, and the
    catalogue is not complete.
    """
    known = Catalogue(complete=True, server=await _version(session))
    rows = await session.query(
        "SELECT TABLE_NAME, TABLE_TYPE, TABLE_ROWS, DATA_LENGTH + INDEX_LENGTH"
        " FROM information_schema.TABLES WHERE TABLE_SCHEMA = $1"
        r" AND TABLE_NAME NOT LIKE 'pilotage\\_%' ORDER BY TABLE_NAME",
        database,
    )
    for name, kind, estimate, size in rows:
        if kind == "VIEW":
            known.objects.add(("view", Name(None, name).key, None))
            continue
        try:
            await _table(session, database, name, known)
            found = known.table(Name(None, name))
            if found is not None:
                empty = exact and await _is_empty(session, name)
                found.size = Size(0 if empty else max(1, int(estimate or 0)), int(size or 0))
        except (StatementError, SqlError) as error:
            passes = isinstance(error, SqlError) or (not exact and error.trouble is Trouble.LOCK)
            if not passes:
                raise
            known.complete = False
    return known


async def _version(session: Session) -> tuple[int, int] | None:
    ((text,),) = await session.query("SELECT VERSION()")
    numbers = re.match(r"(\d+)\.(\d+)", str(text))
    return (int(numbers[1]), int(numbers[2])) if numbers else None


async def _table(session: Session, database: str, name: str, known: Catalogue) -> None:
    rows = await session.query(f"SHOW CREATE TABLE {quoted(database)}.{quoted(name)}")
    for change in grammar("mysql").changes(dump.plain(rows[0][1], database)):
        known.apply(change)


async def _is_empty(session: Session, name: str) -> bool:
    return not await session.query(f"SELECT 1 FROM {quoted(name)} LIMIT 1")  # noqa: S608 (quoted)
