"""``LOCK=NONE`` in a statement that changes a table and does not say itself how much that may lock.

Without it the server takes whatever way there is, down to copying the whole table while nobody may write.
With it the server chooses as before among the ways that let everybody read and write, and refuses when
there is none. ``ALGORITHM`` is left to it: an explicit INPLACE would rule out INSTANT on MySQL.
See decisions 102 and 142.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from pilotage.migrate.sql.mysql import alter
from pilotage.migrate.sql.mysql.reader import Reader
from pilotage.migrate.sql.reader import Unreadable
from pilotage.migrate.sql.token import Token

# With these an author has chosen what is locked: COPY stops writers, INSTANT nobody. INPLACE may be either.
_CHOSEN = frozenset({"COPY", "INSTANT"})
_UNSAID = ("", "DEFAULT")


def guarded(statement: str) -> str:
    """The statement, with the clause where it is missing."""
    return _guard(statement)[1]


def altered(statement: str) -> str:
    """The table, as it is written, that `guarded` guards; ``""`` where it leaves the statement as it is."""
    return _guard(statement)[0]


def _guard(statement: str) -> tuple[str, str]:
    try:
        reader = Reader(statement)
        if reader.accept("ALTER"):
            return _table(statement)
        if reader.accept("CREATE"):
            return _index(statement, reader)
        if reader.accept("DROP", "INDEX"):
            return _key(statement, reader)
    except Unreadable:
        pass
    return "", statement


def _table(statement: str) -> tuple[str, str]:
    found = alter.alteration(statement)
    if _chosen(found.algorithm, found.lock) or all(map(_stands_alone, found.actions)):
        return "", statement
    if found.lock:
        return found.written, _with_none(statement)
    # In front: ORDER BY and partitions take nothing behind them, and the latter no comma before them.
    begin = Reader(statement[len(found.head) :]).tokens
    comma = "" if begin[0].named("PARTITION", "REMOVE") else ","
    return found.written, f"{found.head} LOCK=NONE{comma}{statement[len(found.head) :]}"


def _stands_alone(action: Sequence[Token]) -> bool:
    """Whether an action knows no LOCK clause, or takes a lock that nobody could choose."""
    first, second = (token.word for token in (*action, *action)[:2])
    if first == "RENAME":
        return second not in ("COLUMN", "INDEX", "KEY")
    # What makes partitions anew copies them: the rule `copy-table` says so.
    if second == "PARTITION" or action[-1].named("TABLESPACE"):
        return True
    return first in ("DISABLE", "ENABLE") and second == "KEYS"


def _index(statement: str, reader: Reader) -> tuple[str, str]:
    reader.accept("OR", "REPLACE")
    reader.accept_one("UNIQUE", "FULLTEXT", "SPATIAL", "VECTOR")
    if not reader.accept("INDEX"):
        return "", statement
    while not reader.accept("ON"):
        reader.next()
    table = _written(statement, reader)
    reader.group()
    values = [token for token in reader.rest if not token.is_("=")]
    said = {name.word: value.word for name, value in pairwise(values)}
    if _chosen(said.get("ALGORITHM", ""), said.get("LOCK", "")):
        return "", statement
    return table, _with_none(statement) if "LOCK" in said else f"{statement} LOCK=NONE"


def _key(statement: str, reader: Reader) -> tuple[str, str]:
    """``DROP INDEX `PRIMARY` ``, for which alone the table is copied. MariaDB has no clause for a DROP INDEX."""
    reader.exists()
    if reader.name().upper() != "PRIMARY" or not reader.accept("ON"):
        return "", statement
    table = _written(statement, reader)
    if {token.word for token in reader.rest} & {"ALGORITHM", "LOCK"}:
        return "", statement
    return table, f"ALTER TABLE {table} DROP PRIMARY KEY, LOCK=NONE"


def _written(statement: str, reader: Reader) -> str:
    begin = reader.at
    reader.qualified()
    return statement[reader.tokens[begin].start : reader.tokens[reader.at - 1].end]


def _chosen(algorithm: str, lock: str) -> bool:
    return algorithm in _CHOSEN or lock not in _UNSAID


def _with_none(statement: str) -> str:
    """In place of ``LOCK=DEFAULT``. LOCK is a reserved word: nothing else can be called so."""
    words = [token for token in Reader(statement).tokens if not token.is_("=")]
    value = next(value for name, value in pairwise(words) if name.named("LOCK"))
    return f"{statement[: value.start]}NONE{statement[value.end :]}"
