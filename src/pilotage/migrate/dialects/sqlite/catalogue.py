"""What SQLite's schema table says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilotage.migrate.dialects.base import Session, StatementError

if TYPE_CHECKING:
    from pilotage.migrate.sql import Effect


def quote(name: str) -> str:
    """An identifier, quoted."""
    return '"' + name.replace('"', '""') + '"'


def unquoted(table: str) -> tuple[str, str]:
    """Schema and name of a table as an author writes it."""
    from pilotage.migrate.sql import grammar

    words = [token.text for token in grammar("sqlite").tokens(table) if token.text != "."]
    names = [_bare(word) for word in words if not word.isspace()]
    return (names[-2] if len(names) > 1 else "main"), names[-1]


def _bare(word: str) -> str:
    closing = {'"': '"', "`": "`", "[": "]", "'": "'"}.get(word[0])
    if closing is None:
        return word
    return word[1:-1].replace(closing * 2, closing)


async def rowid(session: Session, table: str) -> str | None:
    """What the rowid of a table is called: that of its names which no column has. None where it has none:
    WITHOUT ROWID, a view."""
    schema, name = unquoted(table)
    columns = await session.query(
        "SELECT lower(name) FROM pragma_table_xinfo($1, $2)", name, schema
    )
    free = [word for word in ("rowid", "oid", "_rowid_") if (word,) not in columns]
    views = await session.query(
        f"SELECT 1 FROM {quote(schema)}.sqlite_master"  # noqa: S608
        " WHERE type = 'view' AND name = $1 COLLATE NOCASE",
        name,
    )
    if views or not free:  # some builds show a rowid of a view, which is NULL
        return None
    try:
        await session.query(f"SELECT {free[0]} FROM {table} LIMIT 0")  # noqa: S608
    except StatementError:
        return None
    return free[0]


async def holds(session: Session, effect: Effect) -> bool | None:
    """Whether the schema shows the effect; None where it cannot tell."""
    match effect.kind:
        case "table" | "index" | "trigger" | "view":
            found = await session.query(
                "SELECT 1 FROM sqlite_master WHERE type = $1 AND name = $2 COLLATE NOCASE",
                effect.kind,
                effect.name,
            )
            return bool(found) is effect.present
        case "column" | "not_null" | "default" | "column_type":
            return await _column(session, effect)
        case "constraint":
            return await _constraint(session, effect)
        case _:
            return None


async def _column(session: Session, effect: Effect) -> bool:
    rows = await session.query(
        'SELECT type, "notnull" OR pk, dflt_value FROM pragma_table_xinfo($1)'
        " WHERE name = $2 COLLATE NOCASE",
        effect.table,
        effect.name,
    )
    if not rows:
        return not effect.present
    written, not_null, default = rows[0]
    there = {
        "column": True,
        "not_null": bool(not_null),
        "default": default is not None,
        "column_type": written.casefold().split() == effect.detail.casefold().split(),
    }[effect.kind]
    return there is effect.present


async def _constraint(session: Session, effect: Effect) -> bool | None:
    """A constraint has its name only in the text of its table."""
    from pilotage.migrate import sql
    from pilotage.migrate.sql.change import CreateTable

    rows = await session.query(
        "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = $1 COLLATE NOCASE",
        effect.table,
    )
    if not rows:
        return not effect.present
    names = {
        constraint.name
        for change in sql.changes(rows[0][0], "sqlite")
        if isinstance(change, CreateTable)
        for constraint in change.constraints
    }
    return (effect.name in names) is effect.present
