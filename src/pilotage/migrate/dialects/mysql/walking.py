"""Walking a MySQL or MariaDB table in the order of a key, a window of rows at a time.

InnoDB shows no row addresses, so a table needs a key: its primary key, else a unique one without NULLs.
The cursor holds SQL literals that read back the same in any session.
"""

# ruff: noqa: S608  (what is formatted in is quoted, or as the author wrote it)

from __future__ import annotations

from dataclasses import dataclass

from pilotage.migrate.dialects.base import Session, StatementError, Trouble, Walk, Window
from pilotage.migrate.dialects.mysql.session import quoted

_KEYS = """
SELECT s.INDEX_NAME, s.COLUMN_NAME, s.NULLABLE, s.SUB_PART, c.DATA_TYPE
FROM information_schema.STATISTICS s
LEFT JOIN information_schema.COLUMNS c ON c.TABLE_SCHEMA = s.TABLE_SCHEMA
  AND c.TABLE_NAME = s.TABLE_NAME AND c.COLUMN_NAME = s.COLUMN_NAME
WHERE s.TABLE_SCHEMA = coalesce($1, DATABASE()) AND s.TABLE_NAME = $2 AND s.NON_UNIQUE = 0
ORDER BY s.INDEX_NAME <> 'PRIMARY', s.INDEX_NAME, s.SEQ_IN_INDEX
"""
_COUNT_BELOW = 50_000  # rows by the server's guess: counting them takes far less than a second

_NUMBERS = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "year"})
_REALS = frozenset({"float", "double"})
_TEXTS = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext"})
_BYTES = frozenset({"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"})
_QUOTED = frozenset({"date", "datetime", "timestamp", "time", "uuid", "inet4", "inet6"})
# ENUM and SET are ordered by number and compared as text; others have no order at all.
_WALKABLE = _NUMBERS | _REALS | _TEXTS | _BYTES | _QUOTED


def parts(table: str) -> tuple[str | None, str]:
    """Database and name of a table as an author writes it."""
    from pilotage.migrate.sql import grammar
    from pilotage.migrate.sql.reader import unquoted

    tokens = [token for token in grammar("mysql").tokens(table) if not token.is_(".")]
    names = [unquoted(token) for token in tokens if not token.kind.comment]
    return (names[-2] if len(names) > 1 else None), names[-1]


async def key(session: Session, table: str) -> tuple[str, ...] | None:
    """The primary key, else the narrowest unique key without NULLs, that can be walked by."""
    schema, name = parts(table)
    await session.query(
        f"SELECT 1 FROM {table} LIMIT 0"
    )  # that it is not there is said by the server
    found: dict[str, list[str] | None] = {}
    for index, column, nullable, sub_part, kind in await session.query(_KEYS, schema, name):
        usable = column is not None and not nullable and sub_part is None and kind in _WALKABLE
        columns = found.setdefault(index, [])
        if not usable:
            found[index] = None
        elif columns is not None:
            columns.append(quoted(column))
    keys = [
        (index != "PRIMARY", len(columns), columns) for index, columns in found.items() if columns
    ]
    return tuple(min(keys)[2]) if keys else None


async def walk(session: Session, table: str, qualifier: str) -> Walk | None:
    """How to walk a table, with the types of its key; None where it has no key."""
    columns = await key(session, table)
    if columns is None:
        return None
    return Walk(table, columns, qualifier, await _types(session, table, columns))


async def window(
    session: Session, walk: Walk, cursor: list[str] | None, rows: int
) -> Window | None:
    """The batch after ``cursor``: everything up to the ``rows``-th key beyond it."""
    columns = ", ".join(walk.key)
    if cursor is not None and cursor == walk.end:
        return None
    bounds = [_beyond(walk.key, ">", cursor)] if cursor else []
    if walk.end:
        bounds.append(_beyond(walk.key, "<=", walk.end))
    where = f" WHERE {' AND '.join(bounds)}" if bounds else ""
    writers = await _writers(session, walk)
    last = ", ".join(writer.sql for writer in writers)
    backwards = ", ".join(f"{column} DESC" for column in walk.key)
    bound = await session.query(
        f"SELECT count(*) OVER (), {last} FROM (SELECT {columns} FROM {walk.table}{where}"
        f" ORDER BY {columns} LIMIT {int(rows)}) AS w ORDER BY {backwards} LIMIT 1"
    )
    if not bound:
        return None
    spanned, *values = bound[0]
    literals = [writer.literal(value) for writer, value in zip(writers, values, strict=True)]
    names = tuple(f"{walk.qualifier}.{column}" for column in walk.key)
    ends = [_beyond(names, "<=", literals)]
    if cursor:
        ends.insert(0, _beyond(names, ">", cursor))
    return Window(" AND ".join(ends), literals, int(spanned))


async def last(session: Session, walk: Walk) -> list[str] | None:
    """The greatest key now, as SQL literals; None where the table is empty."""
    writers = await _writers(session, walk)
    backwards = ", ".join(f"{column} DESC" for column in walk.key)
    found = await session.query(
        f"SELECT {', '.join(writer.sql for writer in writers)} FROM {walk.table}"
        f" ORDER BY {backwards} LIMIT 1"
    )
    if not found:
        return None
    return [writer.literal(value) for writer, value in zip(writers, found[0], strict=True)]


def _beyond(key: tuple[str, ...], operator: str, values: list[str]) -> str:
    """A comparison of the whole key, as ORs and ANDs: neither server finds its way into an index by
    ``(a, b) > (1, 2)``. The bound on the first column alone is what it begins at."""
    if len(key) == 1:
        return f"{key[0]} {operator} {values[0]}"
    strict = operator[0]
    steps = []
    for depth in range(len(key)):
        equal = [f"{key[i]} = {values[i]}" for i in range(depth)]
        this = operator if depth == len(key) - 1 else strict
        steps.append(" AND ".join([*equal, f"{key[depth]} {this} {values[depth]}"]))
    return f"({key[0]} {strict}= {values[0]} AND ({' OR '.join(f'({step})' for step in steps)}))"


@dataclass(frozen=True, slots=True)
class _Writer:
    """How a column's value is fetched, and what stands before and behind it in a literal."""

    sql: str
    before: str = ""
    behind: str = ""

    def literal(self, value: object) -> str:
        return f"{self.before}{value}{self.behind}"


async def _types(session: Session, table: str, key: tuple[str, ...]) -> tuple[str, ...]:
    """Of each column its type, and the character set of its text."""
    schema, name = parts(table)
    rows = await session.query(
        "SELECT COLUMN_NAME, concat_ws(' ', DATA_TYPE, CHARACTER_SET_NAME)"
        " FROM information_schema.COLUMNS"
        " WHERE TABLE_SCHEMA = coalesce($1, DATABASE()) AND TABLE_NAME = $2",
        schema,
        name,
    )
    found = {quoted(column).lower(): kind for column, kind in rows}
    return tuple(found[column.lower()] for column in key)


async def _writers(session: Session, walk: Walk) -> list[_Writer]:
    types = walk.types or await _types(session, walk.table, walk.key)
    return [_writer(column, kind) for column, kind in zip(walk.key, types, strict=True)]


def _writer(column: str, type_: str) -> _Writer:
    kind, _, charset = type_.partition(" ")
    if kind in _NUMBERS:
        return _Writer(f"CAST({column} AS char)")
    if kind in _REALS:
        # As a double a float is exact, and its text reads back as the same double.
        return _Writer(f"CAST(CAST({column} AS double) AS char)", behind="e0")
    if kind in _TEXTS:
        return _Writer(f"HEX({column})", f"_{charset} x'", "'")
    if kind in _BYTES:
        return _Writer(f"HEX({column})", "x'", "'")
    if kind in _QUOTED:
        return _Writer(f"CAST({column} AS char)", "'", "'")
    raise StatementError(f"the column {column} cannot be walked by", trouble=Trouble.OTHER)


async def estimate(session: Session, table: str) -> int | None:
    """The server's guess; a small table is counted."""
    schema, name = parts(table)
    rows = await session.query(
        "SELECT TABLE_ROWS FROM information_schema.TABLES"
        " WHERE TABLE_SCHEMA = coalesce($1, DATABASE()) AND TABLE_NAME = $2",
        schema,
        name,
    )
    guess = rows[0][0] if rows else None
    if guess is not None and int(guess) <= _COUNT_BELOW:
        # Rows that came in since the guess was made must not make this a long query.
        counted = await session.query(
            f"SELECT count(*) FROM (SELECT 1 FROM {table} LIMIT {2 * _COUNT_BELOW}) AS w"
        )
        return int(counted[0][0])
    return None if guess is None else int(guess)


async def total_rows(session: Session, database: str) -> int:
    """The server's guesses of all tables, and what their pages could hold where it made none."""
    rows = await session.query(
        "SELECT coalesce(sum(greatest(coalesce(TABLE_ROWS, 0), coalesce(DATA_LENGTH, 0) / 64)), 0)"
        " FROM information_schema.TABLES WHERE TABLE_SCHEMA = $1 AND TABLE_TYPE = 'BASE TABLE'",
        database,
    )
    return int(rows[0][0])
