"""Values of an ENUM or SET go, or change their places."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, MYSQL, Context, Example, Hazard, Rule
from pilotage.hazards.rules import mysql_types as types
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """MODIFY of an ENUM or SET that does more than add values at the end, or that needs more bytes."""
    if not isinstance(change, c.AlterType):
        return
    before = types.values(context.type_of(change.table, change.column))
    after = types.values(change.type)
    if before is None or after is None or before[0] != after[0] or context.is_idle(change.table):
        return
    gone = [value for value in before[1] if value not in after[1]]
    where = f"{change.table}.{change.column}"
    if gone:
        yield Hazard(
            f"{where} no longer knows {', '.join(gone)}: rows that have it are refused or emptied"
        )
    elif after[1][: len(before[1])] != before[1]:
        yield Hazard(
            f"the values of {where} change their places, so the table is copied: add at the end"
        )
    elif types.size(before) != types.size(after):
        yield Hazard(f"{where} needs more bytes for so many values, so the table is copied")


RULE = Rule(
    id="enum-values",
    numbers=(72,),
    class_=Class.DATA_LOSS,
    severity=Severity.ERROR,
    halves=BOTH,
    why="Rows hold the number of a value: a value that is taken out is lost, and any other order means a copy of the table, as more than 255 values of an ENUM or more than 8, 16, 24 or 32 of a SET do.",
    on=(c.AlterType,),
    check=check,
    dialects=MYSQL,
    bad=(
        Example("ALTER TABLE orders »MODIFY state enum('new');", dialect="mysql"),
        Example("ALTER TABLE orders »MODIFY state enum('paid', 'new');", dialect="mysql"),
        Example("ALTER TABLE orders »MODIFY state enum('new', 'open', 'paid');", dialect="mysql"),
    ),
    good=(
        Example("ALTER TABLE orders MODIFY state enum('new', 'paid', 'sent');", dialect="mysql"),
    ),
)
