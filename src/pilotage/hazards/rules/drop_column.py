"""A column that old code still reads or writes goes."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rewrites import in_contract
from pilotage.hazards.rule import EXPAND, Context, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """DROP COLUMN of a column that this file did not make."""
    if not isinstance(change, c.DropColumn) or context.new_column(change.table, change.column):
        return
    column = context.column(change.table, change.column)
    note = ""
    if column is None or (column.not_null and column.default is None and not column.generated):
        note = (
            f"Where {change.column} is NOT NULL without a default, code that no longer writes it\n"
            "needs one, or DROP NOT NULL, in an expand half first."
        )
    yield Hazard(
        f"{change.table}.{change.column} is dropped while old code still uses it",
        in_contract(change.sql, note=note),
    )


RULE = Rule(
    id="drop-column",
    numbers=(37, 38),
    class_=Class.OLD_CODE,
    severity=Severity.ERROR,
    halves=EXPAND,
    why="Releases from before the change name the column in their queries until the last of them is "
    "gone, and its data is gone for good.",
    on=(c.DropColumn,),
    check=check,
    mechanical=True,
)
