"""A table is copied because the statement asks for it."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, MYSQL, Context, Example, Hazard, Rule
from pilotage.hazards.rules.mysql_alters import ALTERING, altered, is_first
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """`ALGORITHM=COPY`."""
    table = altered(change)
    if change.algorithm == "COPY" and table and is_first(context) and not context.is_idle(table):
        yield Hazard(
            f"{table} is copied row by row, and whoever writes to it waits until that is done"
        )


RULE = Rule(
    id="copy-table",
    numbers=(68,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="A copy writes every row anew while nobody may write (MariaDB from 11.2 on alone lets them), and needs the table's room a second time.",
    on=ALTERING,
    check=check,
    dialects=MYSQL,
    bad=(Example("ALTER TABLE orders »ENGINE=InnoDB, ALGORITHM=COPY;", dialect="mysql"),),
    good=(
        Example("ALTER TABLE orders ADD COLUMN x int, ALGORITHM=INSTANT;", dialect="mysql"),
        Example(
            "ALTER TABLE orders ENGINE=InnoDB, ALGORITHM=COPY;",
            why="it is empty",
            rows={"orders": 0},
            dialect="mysql",
        ),
    ),
)
