"""What PostgreSQL's catalogue says of the steps of `pilotage.migrate.sql.online`: done, how far, why not."""

# ruff: noqa: S608  (what is formatted in is quoted, or as the author wrote it)

from __future__ import annotations

from typing import TYPE_CHECKING

from pilotage.migrate.dialects.base import Offenders, Progress, Session, StatementError
from pilotage.migrate.dialects.postgresql.catalogue import quote

if TYPE_CHECKING:
    from pilotage.migrate.sql.online import Step

_SEARCH_SECONDS = 15.0
"""How long the rows that stand in the way are looked for: it is a bonus to an error message."""


async def has_made(session: Session, step: Step, *, by_name: bool) -> bool:
    """Whether what the step makes is there; an index that is INVALID is not."""
    if step.table is None:
        return False
    if step.column is not None and await _is_not_null(session, step):
        return step.kind != "not null" or not await _left_its_check(session, step)
    match step.kind:
        case "index":
            return await _has_index(session, step, by_name=by_name)
        case "constraint":
            return await _has_constraint(session, step, by_name=by_name)
        case "validate":
            found = await _constraint(session, step)
            return bool(found and found[1])
        case _:
            return False


async def _is_not_null(session: Session, step: Step) -> bool:
    rows = await session.query(
        "SELECT attnotnull FROM pg_attribute WHERE attrelid = to_regclass($1) AND attname = $2"
        " AND attnum > 0 AND NOT attisdropped",
        _table(step),
        step.column,
    )
    return bool(rows and rows[0][0])


async def _left_its_check(session: Session, step: Step) -> bool:
    """Whether the CHECK is there that a SET NOT NULL needs no more. One that says more is somebody's own."""
    from pilotage.migrate.sql.postgresql.online import says_present

    found = await _constraint(session, step)
    return found is not None and says_present(step, found[0])


async def _has_index(session: Session, step: Step, *, by_name: bool) -> bool:
    from pilotage.migrate.sql.postgresql.online import plain_index, same_index

    rows = await session.query(
        "SELECT i.indisvalid, pg_get_indexdef(i.indexrelid) FROM pg_index i"
        " JOIN pg_class c ON c.oid = i.indexrelid"
        " WHERE i.indrelid = to_regclass($1) AND c.relname = $2",
        _table(step),
        step.name,
    )
    if not rows or not rows[0][0]:
        return False
    definition = rows[0][1]
    if by_name or same_index(step, definition):
        return True
    ours = await _as_the_server_writes(session, step)
    return bool(ours) and plain_index(ours) == plain_index(definition)


async def _has_constraint(session: Session, step: Step, *, by_name: bool) -> bool:
    from pilotage.migrate.sql.postgresql.online import same_constraint

    found = await _constraint(session, step)
    if found is None:
        return False
    definition, _, index = found
    if by_name or same_constraint(step, definition, index):
        return True
    ours = await _as_the_server_writes(session, step)
    return bool(ours) and _validated(ours) == _validated(definition)


def _validated(definition: str) -> str:
    return definition.removesuffix(" NOT VALID")


_COPY = "pilotage_copy"
_WRITTEN = {
    "index": "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = $1::regclass",
    "constraint": "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE conrelid = $1::regclass AND contype = 'c'",
}


async def _as_the_server_writes(session: Session, step: Step) -> str:
    """The definition of what the step makes, as the catalogue would have it; ``""`` where that is not seen.

    The server writes an expression in its own way (``= ANY (ARRAY[…])`` for IN), so it is asked to: by
    making the same on an empty table of these columns, which is gone with the transaction.
    """
    from pilotage.migrate.sql.postgresql.online import on_copy

    statement = on_copy(step, _COPY)
    if not statement:
        return ""
    try:
        async with session.transaction():
            await session.execute(
                f"CREATE TEMPORARY TABLE {_COPY} (LIKE {_table(step)}) ON COMMIT DROP"
            )
            await session.execute(statement)
            rows = await session.query(_WRITTEN[step.kind], f"pg_temp.{_COPY}")
            return str(rows[0][0])
    except StatementError:
        return ""


async def _constraint(session: Session, step: Step) -> tuple[str, bool, str] | None:
    """A constraint's definition, whether it is valid, and the name of its index."""
    rows = await session.query(
        "SELECT pg_get_constraintdef(k.oid), k.convalidated, coalesce(c.relname, '')"
        " FROM pg_constraint k LEFT JOIN pg_class c ON c.oid = k.conindid"
        " WHERE k.conrelid = to_regclass($1) AND k.conname = $2",
        _table(step),
        step.name,
    )
    if not rows:
        return None
    definition, valid, index = rows[0]
    return definition, valid, index


# ----------------------------------------------------------------------------------------------
# How far
# ----------------------------------------------------------------------------------------------


async def progress(watcher: Session, pid: int) -> Progress | None:
    """The phase of an index build, and how much of the phase is done."""
    rows = await watcher.query(
        "SELECT phase, lockers_total, lockers_done, blocks_total, blocks_done, tuples_total,"
        " tuples_done FROM pg_stat_progress_create_index WHERE pid = $1::int",
        pid,
    )
    if not rows:
        return None
    phase, *pairs = rows[0]
    counters = list(zip(pairs[::2], pairs[1::2], strict=True))
    which = 0 if phase.startswith("waiting") else 2 if "tuples" in phase else 1
    total, done = counters[which]
    return Progress(phase, min(done / total, 1.0) if total else None)


# ----------------------------------------------------------------------------------------------
# Why not
# ----------------------------------------------------------------------------------------------


async def offenders(session: Session, step: Step, most: int) -> Offenders | None:
    """Rows by their primary key, else by their address: nothing else of a row is told.

    Of rows that are alike, two of each such group.
    """
    if step.table is None:
        return None
    try:
        rows = step.offenders or await _orphans(session, step)
        if not rows:
            return None
        key = await _key(session, step)
    except StatementError:
        return None
    value = "t.ctid" if key is None else _row([f"t.{column}" for column in key])
    if step.grouped:
        text = (
            f"SELECT array_to_string((array_agg({value}::text))[1:2], ' and ') {rows}"
            f" GROUP BY {step.grouped} HAVING count(*) > 1"
        )
    else:
        text = f"SELECT {value}::text {rows}"
    try:
        async with session.transaction():
            limit = str(round(_SEARCH_SECONDS * 1000))
            await session.query(
                "SELECT set_config('statement_timeout', $1, true),"
                " set_config('lock_timeout', $1, true)",
                limit,
            )
            found = await session.query(f"{text} LIMIT {int(most)}")
    except StatementError:
        found = []
    shown = "ctid" if key is None else ", ".join(key)
    return Offenders(shown, tuple(str(row[0]) for row in found), f"{text} LIMIT 100")


def _row(columns: list[str]) -> str:
    return columns[0] if len(columns) == 1 else f"({', '.join(columns)})"


async def _key(session: Session, step: Step) -> list[str] | None:
    rows = await session.query(
        "SELECT array_agg(quote_ident(a.attname) ORDER BY k.place) FROM pg_index i"
        " CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)"
        " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum"
        " WHERE i.indrelid = to_regclass($1) AND i.indisprimary AND k.place <= i.indnkeyatts",
        _table(step),
    )
    key: list[str] | None = rows[0][0] if rows else None
    return key


_COLUMNS = (
    "(SELECT array_agg(quote_ident(a.attname) ORDER BY k.place) FROM unnest({0})"
    " WITH ORDINALITY AS k (attnum, place)"
    " JOIN pg_attribute a ON a.attrelid = {1} AND a.attnum = k.attnum)"
)


async def _orphans(session: Session, step: Step) -> str:
    """Where rows are whose foreign key refers to nothing; ``""`` when it is not one."""
    rows = await session.query(
        f"SELECT c.confrelid::regclass::text, {_COLUMNS.format('c.conkey', 'c.conrelid')},"
        f" {_COLUMNS.format('c.confkey', 'c.confrelid')} FROM pg_constraint c"
        " WHERE c.conrelid = to_regclass($1) AND c.conname = $2 AND c.contype = 'f'",
        _table(step),
        step.name,
    )
    if not rows:
        return ""
    table, ours, theirs = rows[0]
    there = " AND ".join(f"r.{b} = t.{a}" for a, b in zip(ours, theirs, strict=True))
    given = " AND ".join(f"t.{column} IS NOT NULL" for column in ours)
    return (
        f"FROM {_table(step)} t WHERE {given} AND NOT EXISTS (SELECT FROM {table} r WHERE {there})"
    )


def _table(step: Step) -> str:
    assert step.table is not None
    name = quote(step.table.name)
    return f"{quote(step.table.schema)}.{name}" if step.table.schema else name
