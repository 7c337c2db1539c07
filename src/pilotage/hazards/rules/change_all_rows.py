"""One UPDATE or DELETE of a whole table."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rewrites import in_contract
from pilotage.hazards.rule import EXPAND, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """UPDATE or DELETE without WHERE on a table that this file did not make."""
    if not isinstance(change, c.ChangeRows) or not change.whole or context.is_new(change.table):
        return
    if change.verb == "UPDATE":
        rewrite = context.rewriter.update_in_batches(change)
    else:
        rewrite = in_contract(change.sql)
    yield Hazard(
        f"one {change.verb} changes every row of {change.table} in one transaction",
        rewrite,
    )


RULE = Rule(
    id="change-all-rows",
    numbers=(49,),
    class_=Class.AVAILABILITY,
    severity=Severity.ERROR,
    halves=EXPAND,
    why="It locks every row until it ends, and rows that old code writes afterwards are missed: a "
    "backfill runs in batches, and again before contract.",
    on=(c.ChangeRows,),
    check=check,
    mechanical=True,
    bad=(
        Example("»UPDATE orders SET amount = 0;"),
        Example("»DELETE FROM orders;", dialect="sqlite"),
    ),
    good=(
        Example("CREATE TABLE fresh (n int);\nUPDATE fresh SET n = 0;", "it is new"),
        Example(
            "-- expand\nSELECT 1;\n-- backfill\nUPDATE orders SET amount = 0 WHERE amount IS NULL;"
        ),
    ),
)
