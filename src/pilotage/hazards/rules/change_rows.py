"""Rows change in the transaction that changes the schema."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import EXPAND, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """UPDATE or DELETE with a WHERE in an expand half."""
    if not isinstance(change, c.ChangeRows) or change.whole or context.is_idle(change.table):
        return
    yield Hazard(
        f"{change.verb} of {change.table} runs once, beside schema changes: rows that old code writes "
        "later are missed",
        context.rewriter.update_in_batches(change),
    )


RULE = Rule(
    id="change-rows",
    numbers=(50,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=EXPAND,
    why="The locks of the schema change are held while rows change; a backfill runs in batches, and "
    "again before contract.",
    on=(c.ChangeRows,),
    check=check,
    bad=(
        Example("ALTER TABLE orders ADD COLUMN x int;\n»UPDATE orders SET x = 1 WHERE amount > 5;"),
    ),
    good=(
        Example(
            "-- expand\nALTER TABLE orders ADD COLUMN x int;\n-- backfill\nUPDATE orders SET x = 1 WHERE x IS NULL;"
        ),
        Example(
            "UPDATE orders SET amount = 1 WHERE amount > 5;", "it is empty", rows={"orders": 0}
        ),
    ),
)
