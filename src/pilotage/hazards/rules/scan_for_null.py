"""A contract half that makes a column NOT NULL reads the whole table under a lock."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import CONTRACT, Context, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """SET NOT NULL without a CHECK on the table that was validated just before."""
    if not isinstance(change, c.SetNotNull) or context.is_new(change.table):
        return
    if any(
        isinstance(earlier, c.ValidateConstraint) and earlier.table.key == change.table.key
        for earlier in context.earlier
    ):
        return
    column = context.column(change.table, change.column)
    yield Hazard(
        f"{change.table} is read from end to end under a lock that stops everybody, to see that "
        f"{change.column} is never NULL",
        context.rewriter.set_not_null(change.table, change.column, column.type if column else ""),
    )


RULE = Rule(
    id="scan-for-null",
    numbers=(17,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=CONTRACT,
    why="SET NOT NULL believes a validated CHECK (… IS NOT NULL), and reads nothing then; validating it "
    "stops nobody.",
    on=(c.SetNotNull,),
    check=check,
)
