"""A half locks a table by hand."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.locks import STRONG
from pilotage.hazards.rule import BOTH, POSTGRESQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """`LOCK TABLE` in a mode that stops writers or everybody."""
    if not isinstance(change, c.Rewrite) or change.what != "LOCK" or change.name is None:
        return
    if change.mode in STRONG and not context.is_idle(change.name):
        who = "everybody" if change.mode == "ACCESS EXCLUSIVE" else "writers"
        yield Hazard(
            f"{who} of {change.name} wait from here to the end of the half: leave it out, each statement "
            "takes the lock that it needs"
        )


RULE = Rule(
    id="lock-table",
    numbers=(59,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="A lock taken early is held for longer, and one that is stronger than the work needs stops more.",
    on=(c.Rewrite,),
    check=check,
    dialects=POSTGRESQL,
    bad=(
        Example("»LOCK TABLE orders;\nALTER TABLE orders ADD COLUMN x int;"),
        Example("»LOCK TABLE orders IN SHARE ROW EXCLUSIVE MODE;"),
    ),
    good=(Example("LOCK TABLE orders IN ROW SHARE MODE;", "it stops nobody"),),
)
