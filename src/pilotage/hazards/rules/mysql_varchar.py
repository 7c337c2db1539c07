"""A VARCHAR grows over the size that its length fits into one byte."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, MYSQL, Context, Example, Hazard, Rule
from pilotage.hazards.rules import mysql_types as types
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """MODIFY of a VARCHAR from 255 bytes or fewer to more."""
    if not isinstance(change, c.AlterType):
        return
    before = types.varchar_bytes(context.type_of(change.table, change.column))
    after = types.varchar_bytes(change.type)
    if before and after and before <= 255 < after and not context.is_idle(change.table):
        yield Hazard(
            f"{change.table}.{change.column} needs two bytes for its length from here on: go to 63 characters "
            "at most, or use a second column",
            context.rewriter.change_type(change, ""),
        )


RULE = Rule(
    id="varchar-length-byte",
    numbers=(73,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="Up to 255 bytes (63 characters of utf8mb4) the length is one byte, beyond it is two: InnoDB then copies the table on MySQL, and rewrites rows as they change on MariaDB.",
    on=(c.AlterType,),
    check=check,
    dialects=MYSQL,
    bad=(Example("ALTER TABLE orders »MODIFY item varchar(64) NOT NULL;", dialect="mysql"),),
    good=(
        Example("ALTER TABLE orders MODIFY item varchar(63) NOT NULL;", dialect="mysql"),
        Example(
            "ALTER TABLE orders MODIFY note varchar(400);",
            why="it was longer before",
            dialect="mysql",
        ),
    ),
)
