"""Walking a PostgreSQL table in the order of a key, a window of rows at a time.

The cursor holds the key's values as text and lives in the database between batches, so it must read
back the same in any session: `to_jsonb` writes times, numbers and enums the same way everywhere.
"""

# ruff: noqa: S608  (what is formatted in is quoted by the server, or as the author wrote it)

from __future__ import annotations

from pilotage.migrate.dialects.base import Session, Walk, Window

ADDRESS = "ctid"
_COUNT_BELOW = 64 * 1024 * 1024  # bytes: a table this small is counted in well under a second

_KEYS = """
SELECT array_agg(quote_ident(a.attname) ORDER BY k.place)
FROM pg_index i
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indrelid = $1::regclass AND i.indisunique AND i.indisvalid AND i.indisready
  AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indimmediate AND k.place <= i.indnkeyatts
GROUP BY i.indexrelid, i.indisprimary, i.indnkeyatts
HAVING bool_and(a.attnotnull)
ORDER BY i.indisprimary DESC, i.indnkeyatts, i.indexrelid
LIMIT 1
"""


async def key(session: Session, table: str) -> tuple[str, ...] | None:
    """The primary key, else the narrowest unique key without NULLs, else the row's address.

    A partitioned table has no row addresses: None when it has no key either.
    """
    rows = await session.query(_KEYS, table)
    if rows and rows[0][0]:
        return tuple(rows[0][0])
    kind = await session.query("SELECT relkind::text FROM pg_class WHERE oid = $1::regclass", table)
    return (ADDRESS,) if kind[0][0] == "r" else None


async def window(
    session: Session, walk: Walk, cursor: list[str] | None, rows: int
) -> Window | None:
    """The batch after ``cursor``: everything up to the ``rows``-th key beyond it."""
    if walk.key == (ADDRESS,):
        return await _pages(session, walk, cursor, rows)
    types = await _types(session, walk)
    columns = ", ".join(walk.key)
    where = f" WHERE {_compare(walk.key, types, '>', cursor)}" if cursor else ""
    texts = ", ".join(f"to_jsonb({column}) #>> '{{}}'" for column in walk.key)
    bound = await session.query(
        f"SELECT count(*) OVER (), {texts} FROM (SELECT {columns} FROM {walk.table}{where}"
        f" ORDER BY {columns} LIMIT {int(rows)}) AS w"
        f" ORDER BY {', '.join(f'{column} DESC' for column in walk.key)} LIMIT 1"
    )
    if not bound:
        return None
    spanned, *last = bound[0]
    names = tuple(f"{walk.qualifier}.{column}" for column in walk.key)
    ends = [_compare(names, types, "<=", last)]
    if cursor:
        ends.insert(0, _compare(names, types, ">", cursor))
    return Window(" AND ".join(ends), last, spanned)


async def _pages(
    session: Session, walk: Walk, cursor: list[str] | None, rows: int
) -> Window | None:
    # A TID range scan reads in physical order from the cursor on, without a sort.
    after = f"ctid > '{cursor[0] if cursor else '(0,0)'}'::tid"
    bound = await session.query(
        f"SELECT max(ctid)::text, count(*) FROM"
        f" (SELECT ctid FROM {walk.table} WHERE {after} LIMIT {int(rows)}) AS w"
    )
    last, spanned = bound[0]
    if last is None:
        return None
    name = walk.qualifier
    return Window(f"{name}.{after} AND {name}.ctid <= '{last}'::tid", [last], spanned)


async def _types(session: Session, walk: Walk) -> list[str]:
    rows = await session.query(
        "SELECT quote_ident(attname), format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped",
        walk.table,
    )
    found: dict[str, str] = dict(rows)
    return [found[column] for column in walk.key]


def _compare(key: tuple[str, ...], types: list[str], operator: str, values: list[str]) -> str:
    literals = [f"{_literal(value)}::{name}" for value, name in zip(values, types, strict=True)]
    if len(key) == 1:
        return f"{key[0]} {operator} {literals[0]}"
    return f"({', '.join(key)}) {operator} ({', '.join(literals)})"


def _literal(text: str) -> str:
    quoted = text.replace("'", "''")
    if "\\" in quoted:
        escaped = quoted.replace("\\", "\\\\")
        return f"E'{escaped}'"
    return f"'{quoted}'"


async def estimate(session: Session, table: str) -> int | None:
    """The planner's figure; a small table that was never analysed is counted."""
    rows = await session.query(
        "SELECT sum(greatest(reltuples, 0))::bigint, sum(greatest(relpages, 0))::bigint,"
        " sum(pg_table_size(oid))::bigint FROM pg_class WHERE oid = $1::regclass"
        " OR oid IN (SELECT relid FROM pg_partition_tree($1::regclass))",
        table,
    )
    tuples, pages, size = rows[0]
    if tuples > 0 and pages > 0:
        # Scaled by how the table grew since it was analysed, as the planner does it.
        return round(float(tuples) / float(pages) * max(float(size) / 8192, 1.0))
    if size <= _COUNT_BELOW:
        return int((await session.query(f"SELECT count(*) FROM {table}"))[0][0])
    return None


async def total_rows(session: Session) -> int:
    """The planner's figures of all tables; pages stand in for rows where nothing was analysed."""
    rows = await session.query(
        "SELECT coalesce(sum(CASE WHEN c.reltuples > 0 THEN c.reltuples"
        " ELSE pg_relation_size(c.oid) / 32 END), 0)::bigint FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'm')"
        " AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
    )
    return int(rows[0][0])
