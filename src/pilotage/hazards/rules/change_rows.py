"""Rows change in the transaction that changes the schema."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rewrites import section
from pilotage.hazards.rule import EXPAND, Context, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """UPDATE or DELETE with a WHERE in an expand half."""
    if not isinstance(change, c.ChangeRows) or change.whole or context.is_new(change.table):
        return
    yield Hazard(
        f"{change.verb} of {change.table} runs once, beside schema changes: rows that old code writes "
        "later are missed",
        section("backfill", change.sql),
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
    mechanical=True,
)
