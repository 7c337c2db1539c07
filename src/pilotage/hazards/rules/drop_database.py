"""A whole database goes."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """`DROP DATABASE`."""
    if isinstance(change, c.Drop) and change.kind == "database":
        yield Hazard(f"the database {change.name} goes with all that is in it")


RULE = Rule(
    id="drop-database",
    numbers=(41,),
    class_=Class.DATA_LOSS,
    severity=Severity.ERROR,
    halves=BOTH,
    why="No migration of a service that runs needs it, and only a backup brings it back. What a person really "
    "wants gone, a person drops by hand.",
    on=(c.Drop,),
    check=check,
    bad=(Example("-- pilotage: transaction=false\n»DROP DATABASE shop;"),),
    good=(Example("-- contract\nDROP TABLE orders;"),),
)
