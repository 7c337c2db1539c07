"""What the hazard linter wants to know of a PostgreSQL database: its tables as they are, and how large.

Five queries of the catalogue, in the caller's snapshot. What they return is read by the same grammar as
migration files, so that a column's type is spelled the same wherever it comes from.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pilotage.hazards.catalogue import Catalogue, Size
from pilotage.migrate.dialects.base import Session
from pilotage.migrate.sql import SqlError, grammar
from pilotage.migrate.sql.change import Name

_OURS = r"n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relname !~ '^pilotage_'"

# A table without a block has no row. pg_relation_size waits for whoever has locked the table against
# everybody; the estimates of the last VACUUM or ANALYZE do not.
_TABLES = f"""
SELECT c.oid::bigint, CASE WHEN n.nspname = current_schema() THEN '' ELSE quote_ident(n.nspname) || '.' END,
       quote_ident(c.relname), c.reltuples::float8,
       CASE WHEN $1 AND c.relkind = 'r' THEN pg_relation_size(c.oid)
            ELSE c.relpages::bigint * current_setting('block_size')::bigint END,
       i.inhparent::bigint,
       CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) ELSE '' END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_inherits i ON i.inhrelid = c.oid AND i.inhseqno = 1
WHERE c.relkind IN ('r', 'p') AND {_OURS}
ORDER BY c.oid
"""  # noqa: S608
_COLUMNS = f"""
SELECT a.attrelid::bigint, quote_ident(a.attname), format_type(a.atttypid, a.atttypmod), a.attnotnull,
       pg_get_expr(d.adbin, d.adrelid), a.attidentity::text, a.attgenerated::text
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p') AND {_OURS}
ORDER BY a.attrelid, a.attnum
"""  # noqa: S608
_CONSTRAINTS = f"""
SELECT x.conrelid::bigint, quote_ident(x.conname), pg_get_constraintdef(x.oid)
FROM pg_constraint x JOIN pg_class c ON c.oid = x.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE x.contype IN ('p', 'u', 'f', 'c', 'x') AND {_OURS}
ORDER BY x.oid
"""  # noqa: S608
_INDEXES = f"""
SELECT i.indrelid::bigint, pg_get_indexdef(i.indexrelid), i.indisvalid
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT EXISTS (SELECT FROM pg_constraint x WHERE x.conindid = i.indexrelid) AND {_OURS}
ORDER BY i.indexrelid
"""  # noqa: S608
_OTHERS = r"""
SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' ELSE 'sequence' END,
       CASE WHEN n.nspname = current_schema() THEN NULL ELSE n.nspname END, c.relname, '{}'::text[], false
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('v', 'm', 'S') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
UNION ALL
SELECT CASE t.typtype WHEN 'e' THEN 'type' ELSE 'domain' END,
       CASE WHEN n.nspname = current_schema() THEN NULL ELSE n.nspname END, t.typname,
       ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder),
       t.typnotnull OR EXISTS (SELECT FROM pg_constraint x WHERE x.contypid = t.oid)
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE t.typtype IN ('e', 'd') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
"""
_GENERATED = {"s": "STORED", "v": "VIRTUAL"}


async def survey(session: Session, *, exact: bool) -> Catalogue:
    """Every table with its columns, constraints, indexes and size. ``exact``: so that it knows which
    tables are empty; it then waits for whoever holds one of them locked."""
    known = Catalogue(complete=True)
    (version,) = (await session.query("SELECT current_setting('server_version_num')::int"))[0]
    known.server = (version // 10000, version % 10000)
    tables = await session.query(_TABLES, exact)
    columns: dict[int, list[str]] = {}
    for table, *column in await session.query(_COLUMNS):
        columns.setdefault(table, []).append(_column(column))
    names: dict[int, str] = {oid: schema + name for oid, schema, name, *_ in tables}
    found: dict[int, Name] = {}
    for oid, *_rest in tables:
        name = _apply(known, f"CREATE TABLE {names[oid]} ({', '.join(columns.get(oid, []))})")
        if name is not None:
            found[oid] = name
    for table, name, definition in await session.query(_CONSTRAINTS):
        if table in names:
            _apply(known, f"ALTER TABLE {names[table]} ADD CONSTRAINT {name} {definition}")
    for table, definition, valid in await session.query(_INDEXES):
        _index(known, found.get(table), definition, valid)
    for kind, schema, name, labels, checked in await session.query(_OTHERS):
        own = Name(schema, name)
        known.objects.add((kind, own.key, None))
        if kind == "type":
            known.enums[own.key] = tuple(labels)
        elif kind == "domain":
            known.domains[own.key] = checked
    _sizes(known, tables, found, exact=exact)
    return known


def _column(row: list[Any]) -> str:
    """A column as CREATE TABLE has it."""
    name, kind, required, default, identity, made = row
    words: list[str] = [name, kind]
    if identity:
        words.append(f"GENERATED {'ALWAYS' if identity == 'a' else 'BY DEFAULT'} AS IDENTITY")
    elif made:
        words.append(f"GENERATED ALWAYS AS ({default}) {_GENERATED.get(made, 'STORED')}")
    elif default is not None:
        words.append(f"DEFAULT {default}")
    if required:
        words.append("NOT NULL")
    return " ".join(words)


def _apply(known: Catalogue, sql: str) -> Name | None:
    """Take a statement in; the table that it is about. What this grammar cannot read is left out."""
    try:
        changes = grammar("postgresql").changes(sql)
    except SqlError:  # a newer server may say what an older grammar does not know
        known.complete = False
        return None
    for change in changes:
        known.apply(change)
    table: Name | None = getattr(changes[0], "table", None)
    return table


def _index(known: Catalogue, table: Name | None, definition: str, valid: bool) -> None:
    if table is None:
        return
    before = known.table(table)
    names = set(before.indexes) if before else set()
    # pg_get_indexdef writes the schema out, also where the search path would find the table.
    try:
        changes = grammar("postgresql").changes(definition)
    except SqlError:
        known.complete = False
        return
    for change in changes:
        known.apply(change.but(table=table))
    if before and not valid:
        for name in set(before.indexes) - names:
            before.indexes[name] = replace(before.indexes[name], valid=False)


def _sizes(
    known: Catalogue, rows: list[tuple[Any, ...]], found: dict[int, Name], *, exact: bool
) -> None:
    """How large each table is; a partitioned one is as large as its partitions together."""
    children: dict[int, list[int]] = {}
    own: dict[int, Size | None] = {}
    for oid, _schema, _name, tuples, size, parent, key in rows:
        if parent is not None:
            children.setdefault(parent, []).append(oid)
        own[oid] = Size(0) if key else _size(tuples, size, exact=exact)
        table = known.table(found[oid]) if oid in found else None
        if table is not None:
            table.partitioned = key
            table.parent = found.get(parent) if parent is not None else None

    def total(oid: int) -> Size | None:
        sizes = [own[oid], *(total(child) for child in children.get(oid, ()))]
        known_sizes = [size for size in sizes if size is not None]
        if len(known_sizes) < len(sizes):
            return None
        return Size(sum(s.rows for s in known_sizes), sum(s.bytes for s in known_sizes))

    for oid, name in found.items():
        table = known.table(name)
        if table is not None:
            table.size = total(oid)


def _size(tuples: float, size: int, *, exact: bool) -> Size | None:
    if size == 0:
        # Without a block there is no row; but an estimate of no blocks may just be an old one.
        return Size(0) if exact else None
    if tuples > 0:
        return Size(max(1, round(tuples)), size)
    # Never analysed: rows of about a hundred bytes.
    return Size(max(1, size // 100), size)
