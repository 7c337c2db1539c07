"""A new constraint binds old code, whose rows may break it."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import EXPAND, Context, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """Any new constraint that touches a column which this file did not make."""
    if not isinstance(change, c.AddConstraint) or context.is_new(change.table):
        return
    constraint = change.constraint
    if constraint.kind in ("", "not null"):
        return  # SET NOT NULL has a rule of its own
    if constraint.columns and all(context.new_column(change.table, n) for n in constraint.columns):
        return
    yield Hazard(
        f"old code that writes rows of {change.table} which break the new {constraint.kind} "
        "constraint fails, also while it is NOT VALID"
    )


RULE = Rule(
    id="stricter-constraint",
    numbers=(10, 12),
    class_=Class.OLD_CODE,
    severity=Severity.WARNING,
    halves=EXPAND,
    why="NOT VALID spares only the rows that are there, and these only until they are updated.",
    on=(c.AddConstraint,),
    check=check,
)
