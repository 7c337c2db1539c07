"""Walking a PostgreSQL table in the order of a key, a window of rows at a time.

The cursor holds the key's values as text and lives in the database between batches, so it must read
back the same in any session: `to_jsonb` writes times, numbers and enums the same way everywhere.
"""

# ruff: noqa: S608  (what is formatted in is quoted by the server, or as the author wrote it)

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pilotage.migrate.dialects.base import Row, Session, Walk, Window

ADDRESS = "ctid"
_COUNT_BELOW = 64 * 1024 * 1024  # bytes: a table this small is counted in well under a second

_KEYS = """
SELECT array_agg(quote_ident(a.attname) ORDER BY k.place)
FROM pg_index i
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
JOIN pg_type t ON t.oid = a.atttypid
WHERE i.indrelid = $1::regclass AND i.indisunique AND i.indisvalid AND i.indisready
  AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indimmediate AND k.place <= i.indnkeyatts
GROUP BY i.indexrelid, i.indisprimary, i.indnkeyatts
HAVING bool_and(a.attnotnull AND t.typcategory NOT IN ('A', 'C')
  AND coalesce(nullif(t.typbasetype, 0), t.oid) <> 'jsonb'::regtype)
ORDER BY i.indisprimary DESC, i.indnkeyatts, i.indexrelid
LIMIT 1
"""


async def key(session: Session, table: str) -> tuple[str, ...] | None:
    """The primary key, else the narrowest unique key without NULLs, else the row's address.

    What `to_jsonb` takes apart (arrays, rows, JSON) is no key: its text would not read back. A partitioned
    table has no row addresses: None when it has no key either.
    """
    rows = await session.query(_KEYS, table)
    if rows and rows[0][0]:
        return tuple(rows[0][0])
    kind = await session.query("SELECT relkind::text FROM pg_class WHERE oid = $1::regclass", table)
    return (ADDRESS,) if kind[0][0] == "r" else None


async def walk(session: Session, table: str, qualifier: str) -> Walk | None:
    """How to walk a table, with the types of its key; None where it has no key."""
    columns = await key(session, table)
    if columns is None:
        return None
    types = () if columns == (ADDRESS,) else await _types(session, table, columns)
    return Walk(table, columns, qualifier, types)


async def last(session: Session, walk: Walk) -> list[str] | None:
    """The last key of the table now, or how many pages it has; None where it is empty."""
    if walk.key == (ADDRESS,):
        # A table that others inherit from is walked together with them, page by page.
        rows = await session.query(
            "WITH RECURSIVE tree (oid) AS (SELECT $1::regclass::oid"
            " UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree t ON i.inhparent = t.oid)"
            " SELECT max(pg_relation_size(oid)) / current_setting('block_size')::bigint FROM tree",
            walk.table,
        )
        return [str(rows[0][0])] if rows[0][0] else None
    backwards = ", ".join(f"{column} DESC" for column in walk.key)
    found = await session.query(
        f"SELECT {_texts(walk)} FROM {walk.table} ORDER BY {backwards} LIMIT 1"
    )
    return list(found[0]) if found else None


async def window(
    session: Session, walk: Walk, cursor: list[str] | None, rows: int
) -> Window | None:
    """The batch after ``cursor``: everything up to the ``rows``-th key beyond it."""
    if cursor is not None and cursor == walk.end:
        return None
    if walk.key != (ADDRESS,) and not walk.types:
        walk = replace(walk, types=await _types(session, walk.table, walk.key))
    found = bounded(walk, cursor, rows, await session.query(bound(walk, cursor, rows)))
    if found is not None or walk.key == (ADDRESS,):
        return found
    columns = ", ".join(walk.key)  # fewer are left
    rest = await session.query(
        f"SELECT count(*) OVER (), {_texts(walk)} FROM (SELECT {columns} FROM {walk.table}"
        f"{_beyond(walk, cursor)}) AS w ORDER BY {columns} DESC LIMIT 1"
    )
    if not rest:
        return None
    spanned, *until = rest[0]
    return _between(walk, cursor, until, spanned)


def bound(walk: Walk, cursor: list[str] | None, rows: int) -> str:
    """The query for the end of a batch of ``rows`` rows after ``cursor``; `bounded` reads its answer.

    A walk in the order of a key has its types. The key is written as text for that one row alone, so it
    stands outside: PostgreSQL computes the columns of the rows that OFFSET passes over as well.
    """
    if walk.key == (ADDRESS,):
        return _pages(walk, cursor, rows)
    columns = ", ".join(walk.key)
    return (
        f"SELECT {_texts(walk)} FROM (SELECT {columns} FROM {walk.table}{_beyond(walk, cursor)}"
        f" ORDER BY {columns} OFFSET {int(rows) - 1} LIMIT 1) AS w"
    )


def bounded(walk: Walk, cursor: list[str] | None, rows: int, found: Sequence[Row]) -> Window | None:
    """The batch that the answer to `bound` stands for; None where fewer rows than that are left."""
    if walk.key != (ADDRESS,):
        return _between(walk, cursor, list(found[0]), rows) if found else None
    until, spanned = found[0]
    if until is None:
        return None
    following = _page([until]) + 1
    name = walk.qualifier
    return Window(
        f"{name}.ctid >= '({_page(cursor)},0)'::tid AND {name}.ctid < '({following},0)'::tid",
        [str(following)],
        int(spanned),
    )


def _beyond(walk: Walk, cursor: list[str] | None) -> str:
    """The WHERE of what is left of a pass."""
    ends = [(">", cursor), ("<=", walk.end)]
    bounds = [
        _compare(walk.key, walk.types, operator, values) for operator, values in ends if values
    ]
    return f" WHERE {' AND '.join(bounds)}" if bounds else ""


def _between(walk: Walk, cursor: list[str] | None, until: list[str], rows: int) -> Window:
    names = tuple(f"{walk.qualifier}.{column}" for column in walk.key)
    inside = [_compare(names, walk.types, "<=", until)]
    if cursor:
        inside.insert(0, _compare(names, walk.types, ">", cursor))
    return Window(" AND ".join(inside), until, rows)


def _pages(walk: Walk, cursor: list[str] | None, rows: int) -> str:
    """Whole pages, up to the one in which the table ended when the pass began.

    An UPDATE writes a row anew: in the same page, in another with room, or at the end. In the same
    page, a batch that ended in the middle of it would meet the row again; at the end, the pass would
    run after its own rows for ever. (A TID range scan reads in physical order, without a sort.)
    """
    inside = f"ctid >= '({_page(cursor)},0)'::tid"
    if walk.end:
        inside += f" AND ctid < '({walk.end[0]},0)'::tid"
    return (
        f"SELECT max(ctid)::text, count(*) FROM"
        f" (SELECT ctid FROM {walk.table} WHERE {inside} LIMIT {int(rows)}) AS w"
    )


def _page(cursor: list[str] | None) -> int:
    """The page that a cursor stands at; versions before 0.2 wrote the row's whole address."""
    return int(cursor[0].lstrip("(").partition(",")[0]) if cursor else 0


def _texts(walk: Walk) -> str:
    return ", ".join(f"to_jsonb({column}) #>> '{{}}'" for column in walk.key)


async def _types(session: Session, table: str, columns: tuple[str, ...]) -> tuple[str, ...]:
    rows = await session.query(
        "SELECT quote_ident(attname), format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped",
        table,
    )
    found: dict[str, str] = dict(rows)
    return tuple(found[column] for column in columns)


def _compare(key: tuple[str, ...], types: tuple[str, ...], operator: str, values: list[str]) -> str:
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
