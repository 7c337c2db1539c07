"""Some rows of every table of a PostgreSQL database, copied into a clone of its schema.

The source is only read, in one read-only transaction with a limit on each statement. Foreign keys hold in the
clone: rows that sampled ones refer to are fetched as well, and those whose referred rows are gone in the
meantime are left out.
"""

# ruff: noqa: S608  (names are quoted, and so are the values of keys)

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pilotage.migrate.dialects.base import Session
from pilotage.migrate.dialects.postgresql.catalogue import quote
from pilotage.migrate.dialects.postgresql.session import PostgresSession

_ROUNDS = 50
_KEYS = 5000  # of one fetch

_TABLES = r"""
SELECT c.oid, n.nspname, c.relname, greatest(c.reltuples, 0)::bigint, c.relkind,
       array(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0
             AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND c.relname NOT LIKE 'pilotage\_%'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\_%'
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                  AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY n.nspname, c.relname
"""
_KEYS_OF = """
SELECT k.conrelid, k.confrelid,
       array(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY x(n, o)
             JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = x.n ORDER BY x.o),
       array(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY x(n, o)
             JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = x.n ORDER BY x.o),
       array(SELECT format_type(a.atttypid, a.atttypmod) FROM unnest(k.confkey) WITH ORDINALITY x(n, o)
             JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = x.n ORDER BY x.o)
FROM pg_constraint k WHERE k.contype = 'f' AND k.conparentid = 0
"""
_SEQUENCES = """
SELECT schemaname, sequencename, last_value FROM pg_sequences WHERE last_value IS NOT NULL
"""
_VIEWS = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'm' AND c.relispopulated ORDER BY c.oid
"""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the source. ``rows``: about how many it has."""

    oid: int
    schema: str
    name: str
    rows: int
    partitioned: bool
    columns: tuple[str, ...]

    def __str__(self) -> str:
        return f"{quote(self.schema)}.{quote(self.name)}"

    @property
    def listed(self) -> str:
        """Its columns; generated ones are computed again."""
        return ", ".join(map(quote, self.columns))


@dataclass(frozen=True, slots=True)
class _Key:
    child: Table
    parent: Table
    columns: tuple[str, ...]
    refers: tuple[str, ...]
    types: tuple[str, ...]


async def tables_of(source: Session) -> list[Table]:
    """The tables of a database, but for pilotage's own and those of extensions."""
    return [
        Table(oid, schema, name, rows, kind == "p", tuple(columns))
        for oid, schema, name, rows, kind, columns in await source.query(_TABLES)
    ]


async def sample(source: PostgresSession, clone: PostgresSession, *, rows: int) -> int:
    """Copy about ``rows`` rows of every table; how many there are in the clone then.

    ``source`` is in a transaction. The clone has the schema and no rows.

    Raises
    ------
    StatementError
        A table of the source may not be read, or the clone's role may not leave out triggers.
    """
    tables = await tables_of(source)
    await clone.execute("SET session_replication_role = replica")  # no triggers, no foreign keys
    try:
        for table in tables:
            if not table.partitioned and table.columns:
                await _copy(source, clone, table, _some(table, rows))
        by_oid = {table.oid: table for table in tables}
        keys = [
            _Key(by_oid[child], by_oid[parent], tuple(columns), tuple(refers), tuple(types))
            for child, parent, columns, refers, types in await source.query(_KEYS_OF)
            if child in by_oid and parent in by_oid
        ]
        await _complete(source, clone, keys)
        await _prune(clone, keys)
    finally:
        await clone.execute("RESET session_replication_role")
    for schema, name, value in await source.query(_SEQUENCES):
        await clone.query(
            "SELECT setval(to_regclass($1), $2::bigint) WHERE to_regclass($1) IS NOT NULL",
            f"{quote(schema)}.{quote(name)}",
            value,
        )
    for schema, name in await source.query(_VIEWS):
        await clone.execute(f"REFRESH MATERIALIZED VIEW {quote(schema)}.{quote(name)}")
    await clone.execute("ANALYZE")
    return sum(
        [
            (await clone.query(f"SELECT count(*) FROM {t}"))[0][0]
            for t in tables
            if not t.partitioned
        ]
    )


def _some(table: Table, rows: int) -> str:
    """A query for about so many rows, spread over the table where it is large."""
    spread = ""
    if table.rows > 4 * rows:
        spread = f" TABLESAMPLE SYSTEM ({min(100.0, 200.0 * rows / table.rows):.6f})"
    return f"SELECT {table.listed} FROM ONLY {table}{spread} LIMIT {rows}"


async def _copy(source: PostgresSession, clone: PostgresSession, table: Table, query: str) -> int:
    return await clone.copy_in(
        f"COPY {table} ({table.listed}) FROM STDIN", source.copy_out(f"COPY ({query}) TO STDOUT")
    )


async def _complete(source: PostgresSession, clone: PostgresSession, keys: Sequence[_Key]) -> None:
    """Fetch the rows that others refer to, and those that these refer to."""
    for _ in range(_ROUNDS):
        fetched = 0
        for key in keys:
            missing = await clone.query(
                f"SELECT DISTINCT {_cast('c', key.columns)} {_orphans(key)} LIMIT {_KEYS}"
            )
            if missing:
                fetched += await _copy(source, clone, key.parent, _referred(key, missing))
        if not fetched:
            return


def _orphans(key: _Key) -> str:
    there = " AND ".join(f"c.{quote(name)} IS NOT NULL" for name in key.columns)
    return (
        f"FROM ONLY {key.child} c WHERE {there} AND NOT EXISTS (SELECT FROM {key.parent} p"
        f" WHERE {_alike(key)})"
        if not key.child.partitioned
        else f"FROM {key.child} c WHERE {there} AND NOT EXISTS (SELECT FROM {key.parent} p"
        f" WHERE {_alike(key)})"
    )


def _alike(key: _Key) -> str:
    pairs = zip(key.columns, key.refers, strict=True)
    return " AND ".join(f"p.{quote(refers)} = c.{quote(column)}" for column, refers in pairs)


def _cast(alias: str, columns: Sequence[str]) -> str:
    return ", ".join(f"{alias}.{quote(column)}::text" for column in columns)


def _referred(key: _Key, missing: Sequence[tuple[str, ...]]) -> str:
    values = ", ".join(
        "(" + ", ".join(f"{_literal(v)}::{t}" for v, t in zip(row, key.types, strict=True)) + ")"
        for row in missing
    )
    columns = ", ".join(f"p.{quote(name)}" for name in key.parent.columns)
    refers = ", ".join(f"p.{quote(name)}" for name in key.refers)
    return f"SELECT {columns} FROM {key.parent} p WHERE ({refers}) IN (VALUES {values})"


def _literal(value: str) -> str:
    """A string, whatever ``standard_conforming_strings`` is."""
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'"


async def _prune(clone: PostgresSession, keys: Sequence[_Key]) -> None:
    """Delete what still refers to nothing: its row is new in the source, or the role may not see it."""
    for _ in range(_ROUNDS):
        deleted = 0
        for key in keys:
            select = _orphans(key).replace("FROM ", "", 1)
            deleted += await clone.execute(f"DELETE FROM {select}")
        if not deleted:
            return
