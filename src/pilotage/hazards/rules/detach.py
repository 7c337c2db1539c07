"""A partition leaves its table, and its rows with it."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rewrites import in_contract
from pilotage.hazards.rule import EXPAND, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """DETACH PARTITION and NO INHERIT."""
    if isinstance(change, c.Detach) and not context.is_new(change.child):
        yield Hazard(
            f"the rows of {change.child} vanish from {change.table} while old code still reads them",
            context.rewriter.detach(change) if change.partition else in_contract(change.sql),
        )


RULE = Rule(
    id="detach",
    numbers=(55,),
    class_=Class.OLD_CODE,
    severity=Severity.ERROR,
    halves=EXPAND,
    why="For code that reads the parent the rows are gone.",
    on=(c.Detach,),
    check=check,
    mechanical=True,
    bad=(Example("ALTER TABLE log »DETACH PARTITION log_2020;"),),
    good=(
        Example(
            "-- contract\n-- pilotage: transaction=false\nALTER TABLE log DETACH PARTITION log_2020 CONCURRENTLY;"
        ),
    ),
)
