"""A table is attached as a partition, and all its rows are looked at."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, POSTGRESQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """`ATTACH PARTITION` of a table with rows and without a valid `CHECK` on the partition key."""
    if not isinstance(change, c.Attach) or context.is_idle(change.child):
        return
    child, parent = context.known.table(change.child), context.known.table(change.table)
    key = parent.partitioned if parent else ""
    if child and any(
        x.kind == "check" and x.valid and all(name in key for name in x.columns)
        for x in child.constraints.values()
    ):
        return
    yield Hazard(
        f"{change.child} is read from end to end under a lock that stops everybody, to see that its rows "
        f"belong to the partition of {change.table}",
        context.rewriter.attach(change, key),
    )


RULE = Rule(
    id="attach-partition",
    numbers=(56,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="A valid CHECK that says the same as the bounds proves it without looking. A default partition is read as "
    "well, unless a CHECK there excludes the new rows.",
    on=(c.Attach,),
    check=check,
    dialects=POSTGRESQL,
    bad=(
        Example(
            "ALTER TABLE log »ATTACH PARTITION log_2020 FOR VALUES FROM (2020) TO (2021);",
            before="CREATE TABLE log (year int NOT NULL) PARTITION BY RANGE (year);\n"
            "CREATE TABLE log_2020 (year int NOT NULL);",
        ),
    ),
    good=(
        Example(
            "ALTER TABLE log ATTACH PARTITION log_2020 FOR VALUES FROM (2020) TO (2021);",
            "the CHECK proves it",
            before="CREATE TABLE log (year int NOT NULL) PARTITION BY RANGE (year);\n"
            "CREATE TABLE log_2020 (year int NOT NULL, CHECK (year >= 2020 AND year < 2021));",
        ),
        Example(
            "CREATE TABLE log_2021 (year int NOT NULL);\n"
            "ALTER TABLE log ATTACH PARTITION log_2021 FOR VALUES FROM (2021) TO (2022);",
            "it is new",
            before="CREATE TABLE log (year int NOT NULL) PARTITION BY RANGE (year);",
        ),
    ),
)
