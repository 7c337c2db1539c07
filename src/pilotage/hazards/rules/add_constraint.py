"""A constraint is checked, or its index built, under a lock."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, Context, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """A validated CHECK or FOREIGN KEY, or UNIQUE, PRIMARY KEY or EXCLUDE without an index."""
    if not isinstance(change, c.AddConstraint) or context.is_new(change.table):
        return
    constraint = change.constraint
    if constraint.kind in ("", "not null") or constraint.using_index:
        return
    if constraint.kind in ("check", "foreign key"):
        if not constraint.valid:
            return
        does = "reads every row"
    else:
        does = "builds an index"
    yield Hazard(
        f"the {constraint.kind} constraint on {change.table} {does} under a lock that stops writers",
        context.rewriter.add_constraint(change),
    )


RULE = Rule(
    id="add-constraint",
    numbers=(9, 10, 11, 12, 13),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="Everybody who writes the table waits until all of it was read.",
    on=(c.AddConstraint,),
    check=check,
    mechanical=True,
)
