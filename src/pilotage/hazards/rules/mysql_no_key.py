"""A table has no key."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, MYSQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """CREATE TABLE without a primary key and without a unique one."""
    if not isinstance(change, c.CreateTable):
        return
    keyed = any(k.kind in ("primary key", "unique") for k in change.constraints)
    if change.columns and not change.temporary and not keyed:
        yield Hazard(f"nothing tells the rows of {change.table} apart: add a primary key")


RULE = Rule(
    id="no-primary-key",
    numbers=(83,),
    class_=Class.RUNTIME_FAILURE,
    severity=Severity.WARNING,
    halves=BOTH,
    why="Neither a backfill nor a tool that copies a table beside its writers can walk over rows that nothing tells apart, and replicas scan the table for each row.",
    on=(c.CreateTable,),
    check=check,
    dialects=MYSQL,
    bad=(Example("»CREATE TABLE log (day date, said text);", dialect="mysql"),),
    good=(
        Example(
            "CREATE TABLE log (id bigint unsigned AUTO_INCREMENT PRIMARY KEY, said text);",
            dialect="mysql",
        ),
        Example("CREATE TEMPORARY TABLE log (said text);", dialect="mysql"),
    ),
)
