"""What PostgreSQL's catalogue says: of indexes left INVALID, of privileges, of what a half made."""

from __future__ import annotations

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
    """Drop what CREATE INDEX CONCURRENTLY or REINDEX CONCURRENTLY left INVALID."""
    raise NotImplementedError


async def holds(session: Session, effect: Effect) -> bool | None:
    """Whether the catalogue shows the effect."""
    raise NotImplementedError
