"""``LOCK=NONE`` in a statement that changes a table and says nothing of algorithm or lock.

Without it the server takes whatever way there is, down to copying the whole table while nobody may write.
With it the server chooses as before among the ways that let everybody read and write, and refuses when
there is none. ``ALGORITHM`` is left to it: an explicit INPLACE would rule out INSTANT on MySQL.
See decision 102.
"""

from __future__ import annotations

from pilotage.migrate.sql.mysql import alter
from pilotage.migrate.sql.mysql.reader import Reader
from pilotage.migrate.sql.reader import Unreadable

# Actions that know no LOCK clause, or take no lock that one could choose.
_NOT_ASKED = frozenset(
    {"PARTITION", "PARTITIONS", "PARTITIONING", "TABLESPACE", "VERSIONING", "PERIOD", "KEYS"}
)


def guarded(statement: str) -> str:
    """The statement, with the clause where it is missing."""
    if not altered(statement):
        return statement
    if not Reader(statement).accept("ALTER"):
        return f"{statement} LOCK=NONE"
    head = alter.alteration(statement).head  # ORDER BY takes nothing behind it
    return f"{head} LOCK=NONE,{statement[len(head) :]}"


def altered(statement: str) -> str:
    """The table, as it is written, that an ALTER TABLE or an index statement changes; ``""`` for others,
    and where the statement says itself how to do it or knows no such clause."""
    try:
        return _altered_table(statement) or _indexed_table(statement)
    except Unreadable:
        return ""


def _altered_table(statement: str) -> str:
    if not Reader(statement).accept("ALTER") or "TABLE" not in _words(statement):
        return ""
    found = alter.alteration(statement)
    words = [{token.word for token in action} for action in found.actions]
    if found.algorithm or found.lock or not words or any(_NOT_ASKED & each for each in words):
        return ""
    renames = all(
        action[0].named("RENAME") and not action[1].named("COLUMN", "INDEX", "KEY")
        for action in found.actions
        if len(action) > 1
    )
    return "" if renames else found.written


def _indexed_table(statement: str) -> str:
    reader = Reader(statement)
    if not reader.accept_one("CREATE", "DROP"):
        return ""
    reader.accept("OR", "REPLACE")
    reader.accept_one("UNIQUE", "FULLTEXT", "SPATIAL", "VECTOR")
    if not reader.accept("INDEX"):
        return ""
    while not reader.accept("ON"):
        reader.next()
    begin = reader.at
    reader.qualified()
    written = statement[reader.tokens[begin].start : reader.tokens[reader.at - 1].end]
    if reader.sees("("):
        reader.group()
    said = {token.word for token in reader.rest} & {"ALGORITHM", "LOCK"}
    return "" if said else written


def _words(statement: str) -> list[str]:
    return [token.word for token in Reader(statement).tokens[:4]]
