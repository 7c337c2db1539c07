"""A table moves to another place, and is written there anew."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, POSTGRESQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """`SET TABLESPACE`, `SET LOGGED`, `SET UNLOGGED`, `SET ACCESS METHOD`."""
    if not isinstance(change, c.Rewrite) or not change.what.startswith("SET "):
        return
    if change.name is None or not context.is_idle(change.name):
        yield Hazard(
            f"{change.what} copies {change.name or 'every table of a tablespace'} under a lock that stops "
            "everybody, also readers"
        )


RULE = Rule(
    id="change-storage",
    numbers=(57,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="All rows and indexes are written again, and SET LOGGED writes them to the log too. A new table there, filled "
    "by a backfill and triggers, takes over without that.",
    on=(c.Rewrite,),
    check=check,
    dialects=POSTGRESQL,
    bad=(
        Example("ALTER TABLE orders »SET TABLESPACE fast;"),
        Example("ALTER TABLE orders »SET UNLOGGED;"),
    ),
    good=(Example("ALTER TABLE orders SET UNLOGGED;", "it is empty", rows={"orders": 0}),),
)
