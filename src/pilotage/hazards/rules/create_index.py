"""An index is built under a lock that stops writers."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, POSTGRESQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """CREATE INDEX without CONCURRENTLY on a table that this file did not make."""
    if not isinstance(change, c.CreateIndex) or change.concurrently:
        return
    if context.is_idle(change.table):
        return
    table = context.known.table(change.table)
    if table and table.partitioned:
        if change.only:
            return  # an index of no rows, to which those of the partitions are attached
        rewrite = context.rewriter.index_of_partitions(
            change, tuple(x.name for x in context.known.partitions(change.table))
        )
    else:
        rewrite = context.rewriter.index(change)
    yield Hazard(f"writers of {change.table} wait until the index is built", rewrite)


RULE = Rule(
    id="create-index",
    numbers=(1,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="CREATE INDEX takes a SHARE lock for as long as it reads the table.",
    on=(c.CreateIndex,),
    dialects=POSTGRESQL,
    check=check,
    mechanical=True,
    bad=(
        Example("»CREATE INDEX i ON orders (amount);"),
        Example(
            "»CREATE INDEX i ON log (year);",
            "of a partitioned table it is built partition by partition",
            before="CREATE TABLE log (year int) PARTITION BY RANGE (year);\n"
            "CREATE TABLE log_2020 PARTITION OF log FOR VALUES FROM (2020) TO (2021);",
        ),
    ),
    good=(
        Example("-- pilotage: transaction=false\nCREATE INDEX CONCURRENTLY i ON orders (amount);"),
        Example("CREATE TABLE fresh (n int);\nCREATE INDEX i ON fresh (n);", "it is new"),
        Example("CREATE INDEX i ON orders (amount);", "it is empty", rows={"orders": 0}),
    ),
)
