"""A column accepts NULL no longer while old code may still write it."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import EXPAND, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """SET NOT NULL on a column that this file did not make."""
    if isinstance(change, c.SetNotNull):
        table, column = change.table, change.column
    elif isinstance(change, c.AddConstraint) and change.constraint.kind == "not null":
        table, column = change.table, change.constraint.columns[0]
    else:
        return
    if context.new_column(table, column) or context.new_object("domain", table):
        return
    known = context.column(table, column)
    if known and known.not_null:
        return
    yield Hazard(
        f"{table}.{column} becomes NOT NULL while old code may still write NULL",
        context.rewriter.set_not_null(table, column, known.type if known else ""),
    )


RULE = Rule(
    id="set-not-null",
    numbers=(17,),
    class_=Class.OLD_CODE,
    severity=Severity.ERROR,
    halves=EXPAND,
    why="Old code that writes NULL fails, and without a validated CHECK the table is read under a lock "
    "that stops everybody.",
    on=(c.SetNotNull, c.AddConstraint),
    check=check,
    bad=(
        Example("ALTER TABLE orders »ALTER amount SET NOT NULL;"),
        Example("ALTER TABLE orders »ADD CONSTRAINT n NOT NULL amount;"),
    ),
    good=(
        Example(
            "ALTER TABLE orders ADD COLUMN x int DEFAULT 0;\nALTER TABLE orders ALTER x SET NOT NULL;",
            "it is new, and old code gets its default",
        ),
        Example("ALTER TABLE orders ALTER item SET NOT NULL;", "it is NOT NULL already"),
    ),
)
