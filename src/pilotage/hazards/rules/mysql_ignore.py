"""Rows that are alike vanish."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, MYSQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """`ALTER IGNORE TABLE` with a unique key, and INSERT IGNORE of one table into another."""
    if not isinstance(change, (c.AddConstraint, c.InsertRows)):
        return
    words = context.statement.text.upper().split()[:3]
    if "IGNORE" not in words:
        return
    if isinstance(change, c.AddConstraint) and change.constraint.kind in ("unique", "primary key"):
        yield Hazard(f"of rows of {change.table} that are alike one stays: find them first")
    elif isinstance(change, c.InsertRows) and change.query:
        yield Hazard(
            f"rows that {change.table} has already, or cannot hold, are left out without a word"
        )


RULE = Rule(
    id="duplicates-vanish",
    numbers=(84,),
    class_=Class.DATA_LOSS,
    severity=Severity.WARNING,
    halves=BOTH,
    why="IGNORE keeps one row of those that are alike and drops the others without a word, as a copy of the table behind a unique key does.",
    on=(c.AddConstraint, c.InsertRows),
    check=check,
    dialects=MYSQL,
    bad=(
        Example("ALTER IGNORE TABLE orders »ADD UNIQUE (item);", dialect="mysql"),
        Example("»INSERT IGNORE INTO orders SELECT * FROM orders_old;", dialect="mysql"),
    ),
    good=(Example("ALTER TABLE orders ADD UNIQUE (item), LOCK=NONE;", dialect="mysql"),),
)
