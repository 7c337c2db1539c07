"""A type grows in place: cheap for the table, but not for statements that are already prepared."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import EXPAND, Context, Example, Hazard, Rule
from pilotage.hazards.rules.change_type import widens
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """ALTER COLUMN TYPE that is known to be a widening."""
    if not isinstance(change, c.AlterType) or context.new_column(change.table, change.column):
        return
    column = context.column(change.table, change.column)
    if column and column.type and not change.using and widens(column.type, change.type):
        yield Hazard(
            f"statements that are prepared and return {change.table}.{change.column} fail with "
            "'cached plan must not change result type' until their session prepares them again"
        )


RULE = Rule(
    id="widen-type",
    numbers=(65,),
    class_=Class.OLD_CODE,
    severity=Severity.WARNING,
    halves=EXPAND,
    why="A driver that prepares statements keeps them for as long as its session lives, which behind a "
    "pooler is longer than the application does.",
    on=(c.AlterType,),
    check=check,
    bad=(Example("ALTER TABLE orders »ALTER item TYPE text;"),),
    good=(Example("-- contract\nALTER TABLE orders ALTER item TYPE text;"),),
)
