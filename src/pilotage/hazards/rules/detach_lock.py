"""A partition is detached under a lock on its parent."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import CONTRACT, POSTGRESQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """`DETACH PARTITION` without `CONCURRENTLY`."""
    if not isinstance(change, c.Detach) or not change.partition or change.concurrently:
        return
    if context.is_new(change.child) or context.is_idle(change.table):
        return
    yield Hazard(
        f"detaching {change.child} locks {change.table}, with all its partitions, against everybody",
        ""
        if context.known.server and context.server_before((14, 0))
        else context.rewriter.detach(change),
    )


RULE = Rule(
    id="detach-lock",
    numbers=(55,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=CONTRACT,
    why="CONCURRENTLY (PostgreSQL 14) takes two transactions and stops nobody; it cannot be used where the "
    "parent has a default partition.",
    on=(c.Detach,),
    check=check,
    dialects=POSTGRESQL,
    bad=(Example("-- contract\nALTER TABLE log »DETACH PARTITION log_2020;"),),
    good=(
        Example(
            "-- contract\n-- pilotage: transaction=false\n"
            "ALTER TABLE log DETACH PARTITION log_2020 CONCURRENTLY;"
        ),
        Example("-- contract\nALTER TABLE a NO INHERIT b;", "no partition"),
    ),
)
