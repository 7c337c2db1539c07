"""What PostgreSQL's catalogue says: of indexes left INVALID, of privileges, of what a half made."""

# ruff: noqa: S608  (what is formatted in is our own text; names are values)

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pilotage.migrate.dialects.base import Session

if TYPE_CHECKING:
    from pilotage.migrate.sql import Effect

# What an instance of the application needs to announce itself and to read what is applied.
_NEEDS = {
    "pilotage_instances": ("SELECT", "INSERT", "DELETE"),
    "pilotage_meta": ("SELECT",),
    "pilotage_streams": ("SELECT", "UPDATE"),
    "pilotage_migrations": ("SELECT",),
    "pilotage_intents": ("SELECT",),
}


def quote(name: str) -> str:
    """An identifier, quoted."""
    return '"' + name.replace('"', '""') + '"'


async def missing_grants(session: Session, home: str, role: str) -> list[str]:
    """The GRANT statements that ``role`` lacks; a CREATE ROLE when there is no such role."""
    if not await session.query("SELECT 1 FROM pg_roles WHERE rolname = $1", role):
        return [f"CREATE ROLE {quote(role)} LOGIN PASSWORD '…';"]
    wanted = []
    schema = home.rstrip(".")
    usage = await session.query(
        "SELECT has_schema_privilege($1, oid, 'USAGE') FROM pg_namespace"
        " WHERE quote_ident(nspname) = $2 OR '\"' || nspname || '\"' = $2",
        role,
        schema,
    )
    if not usage[0][0]:
        wanted.append(f"GRANT USAGE ON SCHEMA {schema} TO {quote(role)};")
    for table, privileges in _NEEDS.items():
        held = await session.query(
            "SELECT p, CASE WHEN p = 'UPDATE'"
            " THEN has_any_column_privilege($1, $2, p) ELSE has_table_privilege($1, $2, p) END"
            " FROM unnest($3::text[]) AS p",
            role,
            home + table,
            list(privileges),
        )
        lacking = [privilege for privilege, has in held if not has]
        columns = {"UPDATE": "UPDATE (first_start_at)"}
        if lacking:
            names = ", ".join(columns.get(privilege, privilege) for privilege in lacking)
            wanted.append(f"GRANT {names} ON {home}{table} TO {quote(role)};")
    return wanted


async def drop_invalid(session: Session, effect: Effect) -> bool:
    """Drop the index of ``effect`` when CREATE INDEX CONCURRENTLY left it INVALID; outside a
    transaction. One that another session is building at this moment is INVALID too, and is left."""
    if effect.kind != "index" or not effect.present:
        return False
    return bool(await _drop_invalid(session, _INDEX, *_index_names(effect)))


async def drop_leftovers(session: Session) -> list[str]:
    """Drop what REINDEX CONCURRENTLY left when it broke off; their names. The documentation of
    REINDEX names the two suffixes and says to drop both."""
    return await _drop_invalid(session, "c.relname ~ $1", "_cc(new|old)[0-9]*$")


async def _drop_invalid(session: Session, condition: str, *values: object) -> list[str]:
    found = await session.query(
        "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname)"
        " FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE {condition} AND NOT i.indisvalid AND c.relkind = 'i'"
        " AND n.nspname <> 'pg_toast'"
        " AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p"
        " WHERE p.index_relid = i.indexrelid)",
        *values,
    )
    for (name,) in found:
        await session.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
    return [name for (name,) in found]


async def holds(session: Session, effect: Effect) -> bool | None:
    """Whether the catalogue shows the effect; None where it cannot tell."""
    if effect.kind == "opaque":
        return None
    sql, values = _QUESTIONS[effect.kind](effect)
    rows = await session.query(sql, *values)
    if not effect.present:
        return not rows
    if not rows or rows[0][0] is False:
        return False
    if effect.kind == "column_type":
        return _same_modifier(effect.detail, rows[0][1])
    return True


_Question = tuple[str, list[object]]

_INDEX = (
    "c.relname = $1 AND CASE WHEN $2::text IS NULL THEN c.oid = to_regclass($3)"
    " ELSE i.indrelid = to_regclass($2) END"
)


def _relation(effect: Effect, name: str | None) -> str | None:
    if name is None:
        return None
    return f"{quote(effect.schema)}.{quote(name)}" if effect.schema else quote(name)


def _index_names(effect: Effect) -> list[object]:
    return [effect.name, _relation(effect, effect.table), _relation(effect, effect.name)]


def _index(effect: Effect) -> _Question:
    # One that DROP INDEX CONCURRENTLY did not finish with is INVALID, and is not gone.
    return (
        "SELECT i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        f" WHERE {_INDEX}",
        _index_names(effect),
    )


def _class(kinds: str) -> Callable[[Effect], _Question]:
    def question(effect: Effect) -> _Question:
        return (
            f"SELECT true FROM pg_class WHERE oid = to_regclass($1) AND relkind IN ({kinds})",
            [_relation(effect, effect.name)],
        )

    return question


def _column(condition: str, columns: str = "true") -> Callable[[Effect], _Question]:
    def question(effect: Effect) -> _Question:
        values: list[object] = [_relation(effect, effect.table), effect.name]
        if "$3" in columns:
            values.append(effect.detail)
        return (
            f"SELECT {columns} FROM pg_attribute a WHERE a.attrelid = to_regclass($1)"
            f" AND a.attname = $2 AND a.attnum > 0 AND NOT a.attisdropped{condition}",
            values,
        )

    return question


def _constraint(effect: Effect) -> _Question:
    valid = " AND convalidated" if effect.present and effect.detail == "valid" else ""
    return (
        f"SELECT true FROM pg_constraint WHERE conrelid = to_regclass($1) AND conname = $2{valid}",
        [_relation(effect, effect.table), effect.name],
    )


def _trigger(effect: Effect) -> _Question:
    return (
        "SELECT true FROM pg_trigger WHERE tgrelid = to_regclass($1) AND tgname = $2",
        [_relation(effect, effect.table), effect.name],
    )


def _type(effect: Effect) -> _Question:
    return (
        "SELECT true FROM pg_type WHERE oid = to_regtype($1)",
        [_relation(effect, effect.name)],
    )


def _enum_value(effect: Effect) -> _Question:
    return (
        "SELECT true FROM pg_enum WHERE enumtypid = to_regtype($1) AND enumlabel = $2",
        [_relation(effect, effect.table), effect.name],
    )


def _function(effect: Effect) -> _Question:
    name = _relation(effect, effect.name)
    if effect.detail:
        return (
            "SELECT true FROM pg_proc WHERE oid = to_regprocedure($1)",
            [f"{name}({effect.detail})"],
        )
    schema = "n.nspname = $2" if effect.schema else "pg_function_is_visible(p.oid)"
    return (
        "SELECT true FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
        f" WHERE p.proname = $1 AND {schema}",
        [effect.name, *([effect.schema] if effect.schema else [])],
    )


def _named(table: str, column: str) -> Callable[[Effect], _Question]:
    def question(effect: Effect) -> _Question:
        return f"SELECT true FROM {table} WHERE {column} = $1", [effect.name]

    return question


_QUESTIONS: dict[str, Callable[[Effect], _Question]] = {
    "table": _class("'r', 'p', 'f'"),
    "view": _class("'v', 'm'"),
    "sequence": _class("'S'"),
    "index": _index,
    "column": _column(""),
    "not_null": _column(" AND a.attnotnull"),
    "default": _column(" AND a.atthasdef"),
    "column_type": _column("", "a.atttypid = to_regtype($3), format_type(a.atttypid, a.atttypmod)"),
    "constraint": _constraint,
    "trigger": _trigger,
    "type": _type,
    "enum_value": _enum_value,
    "function": _function,
    "extension": _named("pg_extension", "extname"),
    "schema": _named("pg_namespace", "nspname"),
}


def _same_modifier(wanted: str, found: str) -> bool:
    """Whether ``varchar(20)`` is what the catalogue calls ``character varying(20)``; the types
    themselves were compared by the server."""
    if "(" not in wanted or "(" not in found:
        return True
    return _modifier(wanted) == _modifier(found)


def _modifier(name: str) -> str:
    inner = "".join(name[name.index("(") + 1 : name.index(")")].split())
    return inner.removesuffix(",0")
