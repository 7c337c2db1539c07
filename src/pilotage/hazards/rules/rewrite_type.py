"""A contract half that changes a type writes the whole table anew under a lock."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import CONTRACT, Context, Example, Hazard, Rule
from pilotage.hazards.rules import change_type
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """What `change-type` refuses in an expand half."""
    hazard = change_type.rewrites(change, context)
    if hazard and isinstance(change, c.AlterType) and not context.is_idle(change.table):
        yield Hazard(f"{hazard.message}, while new code serves", hazard.rewrite)


RULE = Rule(
    id="rewrite-type",
    numbers=(26,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=CONTRACT,
    why="Nothing older is left, but the release that serves waits until all rows, indexes and checks "
    "are done.",
    on=(c.AlterType,),
    check=check,
    bad=(Example("-- contract\nALTER TABLE orders »ALTER amount TYPE bigint;"),),
    good=(
        Example("-- contract\nALTER TABLE orders ALTER item TYPE text;", "a widening"),
        Example(
            "-- contract\nALTER TABLE orders ALTER amount TYPE bigint;",
            "it is empty",
            rows={"orders": 0},
        ),
    ),
)
