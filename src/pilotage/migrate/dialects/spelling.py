"""How a dialect's transactions and limits are spelled in SQL, for a person to read and to run by hand.

The runner itself speaks to a session (`Dialect.limit`, `Session.transaction`); this is what that means.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil


@dataclass(frozen=True, slots=True)
class Spelling:
    """``begin``; and lines with ``{lock}`` and ``{total}`` in milliseconds, or ``{lock_s}`` and ``{total_s}``
    in whole seconds, in and out of a transaction.

    ``schema`` and ``rows``: what is set before a transaction that changes the one or the other; ``check``:
    what is asked before the former is committed. ``delimiters``: the clients of the database end a statement
    at each ``;`` in it, unless one of these is said to end it.
    """

    begin: str
    inside: tuple[str, ...]
    outside: tuple[str, ...]
    schema: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    check: tuple[str, ...] = ()
    delimiters: tuple[str, ...] = ()

    def limits(self, *, lock: float | None, total: float | None, local: bool) -> list[str]:
        """The statements that bound what follows. Seconds; None: no bound."""
        values = {
            "lock": round((lock or 0) * 1000),
            "total": round((total or 0) * 1000),
            "lock_s": ceil(lock or 31_536_000),
            "total_s": ceil(total or 0),
        }
        return [line.format(**values) for line in (self.inside if local else self.outside)]

    def ended(self, statement: str, *, body: bool) -> str:
        """A statement with what ends it. ``body``: it has ``;`` in it."""
        free = [mark for mark in self.delimiters if mark not in statement]
        if not body or not free:
            return f"{statement};"
        return f"DELIMITER {free[0]}\n{statement}\n{free[0]}\nDELIMITER ;"


_POSTGRESQL = Spelling(
    begin="BEGIN;",
    inside=("SET LOCAL lock_timeout = '{lock}ms';", "SET LOCAL statement_timeout = '{total}ms';"),
    outside=("SET lock_timeout = '{lock}ms';", "SET statement_timeout = '{total}ms';"),
)
# SQLite waits for the one other writer, at BEGIN; the runner interrupts what lasts longer than `total`.
_SQLITE = Spelling(
    begin="BEGIN IMMEDIATE;",
    inside=(),
    outside=("PRAGMA busy_timeout = {lock};",),
    schema=("PRAGMA foreign_keys = OFF; -- a table that is made anew takes no rows with it",),
    rows=("PRAGMA foreign_keys = ON;",),
    check=(
        "PRAGMA foreign_key_check; -- where it shows rows that it did not show before: ROLLBACK",
    ),
)

# The runner ends what lasts longer than `total`, from a second session: only MariaDB has a limit of its own.
_MYSQL = Spelling(
    begin="START TRANSACTION;",
    inside=(),
    outside=("SET SESSION lock_wait_timeout = {lock_s}, innodb_lock_wait_timeout = {lock_s};",),
    delimiters=("//", "$$", ";;"),
)


def spelling(dialect: str) -> Spelling:
    """The spelling of a dialect, by its name."""
    return {"postgresql": _POSTGRESQL, "mysql": _MYSQL, "sqlite": _SQLITE}[dialect]
