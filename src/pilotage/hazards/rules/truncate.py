"""All rows of a table that old code uses go."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rewrites import in_contract
from pilotage.hazards.rule import EXPAND, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """TRUNCATE of a table that this file did not make."""
    if isinstance(change, c.Truncate) and not context.is_idle(change.table):
        yield Hazard(
            f"all rows of {change.table} go while old code still uses them", in_contract(change.sql)
        )


RULE = Rule(
    id="truncate",
    numbers=(42,),
    class_=Class.DATA_LOSS,
    severity=Severity.ERROR,
    halves=EXPAND,
    why="The rows are gone for good, also those that running code wrote a moment ago, and the lock "
    "stops everybody.",
    on=(c.Truncate,),
    check=check,
    mechanical=True,
    bad=(Example("»TRUNCATE orders;"),),
    good=(
        Example("-- contract\nTRUNCATE orders;"),
        Example("TRUNCATE orders;", "it is empty already", rows={"orders": 0}),
    ),
)
