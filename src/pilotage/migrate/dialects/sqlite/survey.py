"""What the hazard linter wants to know of an SQLite database: its tables as they are, and how large."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable

from pilotage.hazards.catalogue import Catalogue, Size
from pilotage.migrate.dialects.base import Session
from pilotage.migrate.dialects.sqlite import catalogue
from pilotage.migrate.sql import SqlError, grammar
from pilotage.migrate.sql.change import Name

Estimate = Callable[[Session, str], Awaitable[int | None]]


async def survey(session: Session, estimate: Estimate) -> Catalogue:
    """Every table with its columns, constraints, indexes and the span of its rowids."""
    known = Catalogue(complete=True, server=sqlite3.sqlite_version_info[:2])
    rows = await session.query(
        "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL"
        r" AND tbl_name NOT LIKE 'pilotage\_%' ESCAPE '\'"
        r" AND name NOT LIKE 'sqlite\_%' ESCAPE '\'"
        " ORDER BY type = 'table' DESC, type, name"
    )
    for kind, name, sql in rows:
        try:
            changes = grammar("sqlite").changes(sql)
        except SqlError:
            known.complete = False
            continue
        for change in changes:
            known.apply(change)
        table = known.table(Name(None, name.lower())) if kind == "table" else None
        if table is not None:
            table.size = await _size(session, catalogue.quote(name), estimate)
    return known


async def _size(session: Session, table: str, estimate: Estimate) -> Size | None:
    if not await session.query(f"SELECT 1 FROM {table} LIMIT 1"):  # noqa: S608 (a quoted name)
        return Size(0)
    rows = await estimate(session, table)
    return None if rows is None else Size(max(1, rows))
