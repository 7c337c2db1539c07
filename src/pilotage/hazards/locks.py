"""Which locks a change takes on tables, as PostgreSQL documents them, and which of them are strong.

For the rules that look at several statements of one transaction, whose locks are all held to its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from pilotage.hazards.rule import Context
from pilotage.migrate.sql import change as c

ACCESS_EXCLUSIVE = "ACCESS EXCLUSIVE"
SHARE_ROW_EXCLUSIVE = "SHARE ROW EXCLUSIVE"
SHARE = "SHARE"

STRONG = frozenset({ACCESS_EXCLUSIVE, SHARE_ROW_EXCLUSIVE, SHARE, "EXCLUSIVE"})
"""The modes that stop writers, or everybody."""


class Lock(NamedTuple):
    """A lock on a table."""

    table: c.Name
    mode: str


def strong_locks(change: c.Change, context: Context) -> Iterator[Lock]:
    """The locks of a change that stop writers of tables in use."""
    reader = _LOCKS.get(type(change))
    for table, mode in reader(change, context) if reader else ():
        if mode in STRONG and not context.is_idle(table):
            yield Lock(table, mode)


def held(context: Context) -> Iterator[Lock]:
    """The strong locks that the transaction holds when its next statement begins.

    Nothing is held in a half without a transaction.
    """
    if context.section.directives.transaction:
        statement = context.statement
        for other, change in context.pairs[: context.index]:
            if other.start != statement.start:
                yield from strong_locks(change, context)


def _all(change: Any, _context: Context) -> Iterator[tuple[c.Name, str]]:
    yield change.table, ACCESS_EXCLUSIVE


def _add_column(change: c.AddColumn, _context: Context) -> Iterator[tuple[c.Name, str]]:
    yield change.table, ACCESS_EXCLUSIVE
    for constraint in change.constraints:
        if constraint.references:
            yield constraint.references, SHARE_ROW_EXCLUSIVE


def _add_constraint(change: c.AddConstraint, _context: Context) -> Iterator[tuple[c.Name, str]]:
    if change.constraint.references:
        yield change.table, SHARE_ROW_EXCLUSIVE
        yield change.constraint.references, SHARE_ROW_EXCLUSIVE
    else:
        yield change.table, ACCESS_EXCLUSIVE


def _drop_constraint(change: c.DropConstraint, context: Context) -> Iterator[tuple[c.Name, str]]:
    yield change.table, ACCESS_EXCLUSIVE
    known = context.known.constraint(change.table, change.constraint)
    if known and known.references:
        yield known.references, ACCESS_EXCLUSIVE


def _index(change: c.CreateIndex, _context: Context) -> Iterator[tuple[c.Name, str]]:
    if not change.concurrently:
        yield change.table, SHARE


def _create(change: c.Create, _context: Context) -> Iterator[tuple[c.Name, str]]:
    if change.table:
        yield change.table, SHARE_ROW_EXCLUSIVE if change.kind == "trigger" else ACCESS_EXCLUSIVE


def _drop(change: c.Drop, context: Context) -> Iterator[tuple[c.Name, str]]:
    if change.kind == "table":
        yield change.name, ACCESS_EXCLUSIVE
    elif change.kind == "index" and not change.concurrently:
        found = context.known.index(change.name)
        if found:
            yield found[0].name, ACCESS_EXCLUSIVE
    elif change.table:
        yield change.table, ACCESS_EXCLUSIVE


def _rename(change: c.Rename, _context: Context) -> Iterator[tuple[c.Name, str]]:
    if change.kind == "table":
        yield change.name, ACCESS_EXCLUSIVE
    elif change.table:
        yield change.table, ACCESS_EXCLUSIVE


def _detach(change: c.Detach, _context: Context) -> Iterator[tuple[c.Name, str]]:
    if not change.concurrently:
        yield change.table, ACCESS_EXCLUSIVE
    yield change.child, ACCESS_EXCLUSIVE


def _attach(change: c.Attach, _context: Context) -> Iterator[tuple[c.Name, str]]:
    yield change.child, ACCESS_EXCLUSIVE


def _rewrite(change: c.Rewrite, _context: Context) -> Iterator[tuple[c.Name, str]]:
    if change.name and change.kind == "table" and not change.concurrently:
        yield change.name, change.mode or (SHARE if change.what == "REINDEX" else ACCESS_EXCLUSIVE)


def _restrict(change: c.Restrict, _context: Context) -> Iterator[tuple[c.Name, str]]:
    if change.table and not change.what.startswith("REVOKE"):
        yield change.table, ACCESS_EXCLUSIVE


_LOCKS: dict[type[c.Change], Callable[[Any, Context], Iterator[tuple[c.Name, str]]]] = {
    **dict.fromkeys(
        (
            c.AlterType,
            c.DropColumn,
            c.DropDefault,
            c.DropNotNull,
            c.RenameColumn,
            c.SetDefault,
            c.SetNotNull,
            c.Truncate,
        ),
        _all,
    ),
    c.AddColumn: _add_column,
    c.AddConstraint: _add_constraint,
    c.Attach: _attach,
    c.Create: _create,
    c.CreateIndex: _index,
    c.Detach: _detach,
    c.Drop: _drop,
    c.DropConstraint: _drop_constraint,
    c.Rename: _rename,
    c.Restrict: _restrict,
    c.Rewrite: _rewrite,
}
