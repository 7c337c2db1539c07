"""A column of MySQL gets another type."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, MYSQL, Context, Example, Hazard, Rule
from pilotage.hazards.rules import mysql_types as types
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """MODIFY and CHANGE to another type, but for those that leave what is stored as it is."""
    if not isinstance(change, c.AlterType):
        return
    if context.new_column(change.table, change.column) or context.is_idle(change.table):
        return
    before = context.type_of(change.table, change.column)
    if before and types.stays(before, change.type):
        return
    was = f" from {before}" if before else ""
    yield Hazard(
        f"{change.table}.{change.column} changes its type{was} to {change.type}: the table is copied",
        context.rewriter.change_type(change, before),
    )


RULE = Rule(
    id="modify-type",
    numbers=(71,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="The server can change a type only by copying the table (LOCK=NONE is refused with error 1846), and running code meets values that it does not know.",
    on=(c.AlterType,),
    check=check,
    dialects=MYSQL,
    bad=(
        Example("ALTER TABLE orders »MODIFY amount bigint;", dialect="mysql"),
        Example("ALTER TABLE orders »CHANGE amount amount decimal(10, 2);", dialect="mysql"),
    ),
    good=(
        Example(
            "ALTER TABLE orders MODIFY item varchar(30) NOT NULL;",
            why="a longer varchar is stored alike",
            dialect="mysql",
        ),
        Example(
            "ALTER TABLE orders MODIFY amount int NOT NULL;", why="its type stays", dialect="mysql"
        ),
        Example(
            "ALTER TABLE orders MODIFY state enum('new', 'paid', 'sent');",
            why="a value at the end",
            dialect="mysql",
        ),
    ),
)
