"""A default changes under code that may have cached it."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import EXPAND, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """SET DEFAULT where the column is known to have another one."""
    if not isinstance(change, c.SetDefault) or context.new_column(change.table, change.column):
        return
    column = context.column(change.table, change.column)
    if column and column.default is not None and column.default != change.default:
        yield Hazard(
            f"{change.table}.{change.column} changes its default from {column.default} to "
            f"{change.default} for old code as well"
        )


RULE = Rule(
    id="change-default",
    numbers=(44,),
    class_=Class.OLD_CODE,
    severity=Severity.WARNING,
    halves=EXPAND,
    why="Rows that old code inserts get the new value, and an ORM may have cached the old one.",
    on=(c.SetDefault,),
    check=check,
    bad=(Example("ALTER TABLE orders »ALTER state SET DEFAULT 'paid';"),),
    good=(Example("ALTER TABLE orders ALTER note SET DEFAULT '';", "it had none"),),
)
