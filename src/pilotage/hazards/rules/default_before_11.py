"""A constant default was written into every row before PostgreSQL 11."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, POSTGRESQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """`ADD COLUMN … DEFAULT` on a server that is known to be older than 11."""
    if not isinstance(change, c.AddColumn) or context.is_idle(change.table):
        return
    if change.column.default is not None and context.server_before((11, 0)):
        yield Hazard(
            f"before PostgreSQL 11 {change.table} is rewritten under a lock that stops everybody, to give "
            f"every row its {change.column.name}",
            context.rewriter.add_column_in_steps(change),
        )


RULE = Rule(
    id="default-before-11",
    numbers=(22,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="PostgreSQL 11 and later keep the default of the rows that are there in the catalogue.",
    on=(c.AddColumn,),
    check=check,
    mechanical=True,
    dialects=POSTGRESQL,
    bad=(Example("ALTER TABLE orders »ADD COLUMN n int DEFAULT 0;", server=(10, 23)),),
    good=(
        Example("ALTER TABLE orders ADD COLUMN n int DEFAULT 0;", server=(11, 0)),
        Example("ALTER TABLE orders ADD COLUMN n int DEFAULT 0;", "no such server is maintained"),
        Example(
            "ALTER TABLE orders ADD COLUMN n int DEFAULT 0;",
            "it is empty",
            rows={"orders": 0},
            server=(10, 23),
        ),
    ),
)
