"""A table is written anew to give its space back."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, POSTGRESQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """`VACUUM FULL` and `CLUSTER`."""
    if not isinstance(change, c.Rewrite) or change.what not in ("VACUUM FULL", "CLUSTER"):
        return
    if change.name is None or not context.is_idle(change.name):
        yield Hazard(
            f"{change.what} writes {change.name or 'every table of the database'} anew under a lock that "
            "stops everybody, also readers",
            context.rewriter.vacuum(change),
        )


RULE = Rule(
    id="vacuum-full",
    numbers=(54,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="A plain VACUUM gives the space back to the table, which is what a table that lives needs. To shrink "
    "one under traffic takes a tool such as pg_repack.",
    on=(c.Rewrite,),
    check=check,
    dialects=POSTGRESQL,
    bad=(
        Example("-- pilotage: transaction=false\n»VACUUM FULL orders;"),
        Example("»CLUSTER orders USING orders_item_idx;"),
    ),
    good=(
        Example("-- pilotage: transaction=false\nVACUUM (ANALYZE) orders;"),
        Example("CLUSTER orders USING orders_item_idx;", "it is empty", rows={"orders": 0}),
    ),
)
