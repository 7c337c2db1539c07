"""What the information schema says: of tables, of privileges, of what a half made."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pilotage.migrate.dialects.base import Session, StatementError, Trouble

if TYPE_CHECKING:
    from pilotage.migrate.sql import Effect

# What an instance of the application must be able to do: announce itself, and read what is applied.
_NEEDS = {
    "pilotage_instances": {
        "SELECT": "SELECT * FROM {}",
        "INSERT": "INSERT INTO {} (stream, instance) VALUES ('', '')",
        "DELETE": "DELETE FROM {} WHERE stream = ''",
    },
    "pilotage_meta": {"SELECT": "SELECT * FROM {}"},
    "pilotage_streams": {
        "SELECT": "SELECT * FROM {}",
        "UPDATE (first_start_at)": "UPDATE {} SET first_start_at = NULL WHERE stream = ''",
    },
    "pilotage_migrations": {"SELECT": "SELECT * FROM {}"},
    "pilotage_intents": {"SELECT": "SELECT * FROM {}"},
}


async def tables(session: Session, database: str) -> list[str]:
    """The tables of a database that are not ours."""
    rows = await session.query(
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = $1"
        " AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')"
        r" AND TABLE_NAME NOT LIKE 'pilotage\\_%' ORDER BY TABLE_NAME",
        database,
    )
    return [name for (name,) in rows]


async def missing_grants(session: Session, home: str) -> list[str]:
    """The GRANT statements that the session's own account lacks: EXPLAIN asks for the same privileges."""
    wanted = []
    account = str((await session.query("SELECT CURRENT_USER()"))[0][0])
    user, _, host = account.rpartition("@")
    for table, privileges in _NEEDS.items():
        lacking = [
            privilege
            for privilege, statement in privileges.items()
            if not await _may(session, statement.format(home + table))
        ]
        if lacking:
            wanted.append(f"GRANT {', '.join(lacking)} ON {home}{table} TO '{user}'@'{host}';")
    return wanted


async def _may(session: Session, statement: str) -> bool:
    try:
        await session.query(f"EXPLAIN {statement}")
    except StatementError as error:
        return error.trouble is not Trouble.DENIED
    return True


async def holds(session: Session, database: str, effect: Effect) -> bool | None:
    """Whether the information schema shows the effect; None where it cannot tell."""
    schema = effect.schema or database
    if effect.kind in _COLUMNS:
        return await _column(session, schema, effect)
    question = _QUESTIONS.get(effect.kind)
    if question is None:
        return None
    sql, values = question(schema, effect)
    return bool(await session.query(sql, *values)) is effect.present


_COLUMNS = ("column", "column_type", "not_null", "default")
_Question = tuple[str, list[object]]


async def _column(session: Session, schema: str, effect: Effect) -> bool | None:
    rows = await session.query(
        "SELECT COLUMN_TYPE, IS_NULLABLE, COLUMN_DEFAULT, EXTRA FROM information_schema.COLUMNS"
        " WHERE TABLE_SCHEMA = $1 AND TABLE_NAME = $2 AND COLUMN_NAME = $3",
        schema,
        effect.table,
        effect.name,
    )
    if not rows:
        return not effect.present
    kind, nullable, default, _ = rows[0]
    match effect.kind:
        case "column":
            return effect.present
        case "not_null":
            return (nullable == "NO") is effect.present
        case "default":
            # MariaDB writes the word NULL where a column that may be NULL has no default.
            return (default is not None and default != "NULL") is effect.present
        case _:
            from pilotage.migrate.sql.mysql.types import plain_type

            wanted, found = plain_type(effect.detail), plain_type(kind)
            return None if wanted is None or found is None else wanted == found


def _table(schema: str, effect: Effect) -> _Question:
    # RENAME TABLE renames views as well.
    return (
        "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = $1 AND TABLE_NAME = $2",
        [schema, effect.name],
    )


def _view(schema: str, effect: Effect) -> _Question:
    return (
        "SELECT 1 FROM information_schema.VIEWS WHERE TABLE_SCHEMA = $1 AND TABLE_NAME = $2",
        [schema, effect.name],
    )


def _index(schema: str, effect: Effect) -> _Question:
    return (
        "SELECT 1 FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = $1"
        " AND ($2 IS NULL OR TABLE_NAME = $2) AND INDEX_NAME = $3 LIMIT 1",
        [schema, effect.table, effect.name],
    )


def _constraint(schema: str, effect: Effect) -> _Question:
    return (
        "SELECT 1 FROM information_schema.TABLE_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = $1"
        " AND TABLE_NAME = $2 AND CONSTRAINT_NAME = $3",
        [schema, effect.table, effect.name],
    )


def _trigger(schema: str, effect: Effect) -> _Question:
    return (
        "SELECT 1 FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = $1 AND TRIGGER_NAME = $2",
        [schema, effect.name],
    )


def _routine(schema: str, effect: Effect) -> _Question:
    return (
        "SELECT 1 FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = $1 AND ROUTINE_NAME = $2",
        [schema, effect.name],
    )


def _sequence(schema: str, effect: Effect) -> _Question:
    return (
        "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = $1 AND TABLE_NAME = $2"
        " AND TABLE_TYPE = 'SEQUENCE'",
        [schema, effect.name],
    )


def _database(_: str, effect: Effect) -> _Question:
    return ("SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = $1", [effect.name])


_QUESTIONS: dict[str, Callable[[str, Effect], _Question]] = {
    "table": _table,
    "view": _view,
    "index": _index,
    "constraint": _constraint,
    "trigger": _trigger,
    "function": _routine,
    "sequence": _sequence,
    "schema": _database,
}
