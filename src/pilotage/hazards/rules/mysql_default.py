"""A column is added with an expression as its default."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, MYSQL, Context, Example, Hazard, Rule
from pilotage.hazards.rules import mysql_types as types
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """ADD COLUMN with a DEFAULT that is worked out for each row."""
    if not isinstance(change, c.AddColumn):
        return
    default = (change.column.default or "").strip()
    if not types.worked_out(default) or context.is_idle(change.table):
        return
    yield Hazard(
        f"{change.table} is rewritten to give each row its own {change.column.name}",
        context.rewriter.add_column_in_steps(change),
    )


RULE = Rule(
    id="expression-default",
    numbers=(76,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="A constant is kept once for all rows. An expression has to be worked out for each, so the table is copied, and a statement-based binary log cannot hold it.",
    on=(c.AddColumn,),
    check=check,
    dialects=MYSQL,
    bad=(
        Example("ALTER TABLE orders »ADD COLUMN token char(36) DEFAULT (uuid());", dialect="mysql"),
    ),
    good=(
        Example("ALTER TABLE orders ADD COLUMN n int DEFAULT 5;", dialect="mysql"),
        Example(
            "ALTER TABLE orders ADD COLUMN made datetime DEFAULT CURRENT_TIMESTAMP;",
            dialect="mysql",
        ),
    ),
)
