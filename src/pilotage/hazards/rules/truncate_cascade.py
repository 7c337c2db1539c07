"""TRUNCATE empties tables that it does not name."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, POSTGRESQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """`TRUNCATE … CASCADE`."""
    if not isinstance(change, c.Truncate) or not change.cascade or context.is_new(change.table):
        return
    others = tuple(
        dict.fromkeys(table.name for table, _ in context.known.referencing(change.table))
    )
    if not others and context.known.complete:
        return
    also = ", ".join(map(str, others)) or "every table with a foreign key to it"
    yield Hazard(
        f"TRUNCATE {change.table} CASCADE empties {also} as well",
        context.rewriter.truncate_by_name(change, others) if others else "",
    )


RULE = Rule(
    id="truncate-cascade",
    numbers=(42,),
    class_=Class.DATA_LOSS,
    severity=Severity.WARNING,
    halves=BOTH,
    why="It follows foreign keys to any depth, and a table that references this one next year is emptied "
    "with it. Written out, the list is what was meant.",
    on=(c.Truncate,),
    check=check,
    dialects=POSTGRESQL,
    bad=(
        Example(
            "-- contract\n»TRUNCATE a CASCADE;",
            before="CREATE TABLE a (id bigint PRIMARY KEY);\nCREATE TABLE b (a bigint REFERENCES a);",
        ),
    ),
    good=(
        Example(
            "-- contract\nTRUNCATE a, b;",
            "both are named",
            before="CREATE TABLE a (id bigint PRIMARY KEY);\nCREATE TABLE b (a bigint REFERENCES a);",
        ),
    ),
)
