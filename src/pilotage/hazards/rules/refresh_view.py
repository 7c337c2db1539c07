"""A materialized view is filled again under a lock."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, POSTGRESQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """`REFRESH MATERIALIZED VIEW` without `CONCURRENTLY` of one that this file did not make."""
    if not isinstance(change, c.Rewrite) or change.kind != "materialized view":
        return
    if change.concurrently or not change.name:
        return
    if context.new_object("materialized view", change.name):
        return
    yield Hazard(
        f"readers of {change.name} wait until its query has run", context.rewriter.refresh(change)
    )


RULE = Rule(
    id="refresh-view",
    numbers=(58,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="CONCURRENTLY compares old and new rows and changes what differs, while readers go on. It needs a unique "
    "index over columns of the view, without a WHERE.",
    on=(c.Rewrite,),
    check=check,
    mechanical=True,
    dialects=POSTGRESQL,
    bad=(Example("»REFRESH MATERIALIZED VIEW totals;"),),
    good=(
        Example("REFRESH MATERIALIZED VIEW CONCURRENTLY totals;"),
        Example(
            "CREATE MATERIALIZED VIEW totals AS SELECT 1 AS n WITH NO DATA;\n"
            "REFRESH MATERIALIZED VIEW totals;",
            "it is new",
        ),
    ),
)
