"""A foreign key beside a column, which MySQL reads and forgets."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, MYSQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """`REFERENCES` beside a column."""
    if not isinstance(change, (c.AddColumn, c.CreateTable)):
        return
    columns = change.columns if isinstance(change, c.CreateTable) else (change.column,)
    for column in columns:
        if "REFERENCES" in column.marks:
            yield Hazard(
                f"MySQL makes no foreign key of {change.table}.{column.name}: write FOREIGN KEY "
                f"({column.name}) REFERENCES …"
            )


RULE = Rule(
    id="inline-references",
    numbers=(80,),
    class_=Class.DATA_LOSS,
    severity=Severity.WARNING,
    halves=BOTH,
    why="MySQL accepts it and makes no foreign key; MariaDB does from 10.5 on. Written as a constraint of the table it is one everywhere.",
    on=(c.AddColumn, c.CreateTable),
    check=check,
    dialects=MYSQL,
    bad=(
        Example(
            "»CREATE TABLE lines (id bigint PRIMARY KEY, order_id bigint REFERENCES orders (id));",
            dialect="mysql",
        ),
    ),
    good=(
        Example(
            "CREATE TABLE lines (id bigint PRIMARY KEY, order_id bigint, FOREIGN KEY (order_id) REFERENCES orders (id));",
            dialect="mysql",
        ),
    ),
)
