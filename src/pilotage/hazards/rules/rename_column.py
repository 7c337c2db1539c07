"""A column changes its name under the code that uses it."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import EXPAND, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """RENAME COLUMN of a column that this file did not make."""
    if not isinstance(change, c.RenameColumn) or context.new_column(change.table, change.column):
        return
    column = context.column(change.table, change.column)
    yield Hazard(
        f"{change.table}.{change.column} is renamed to {change.to} while old code uses the old name",
        context.rewriter.rename_column(change, column.type if column else ""),
    )


RULE = Rule(
    id="rename-column",
    numbers=(31,),
    class_=Class.OLD_CODE,
    severity=Severity.ERROR,
    halves=EXPAND,
    why="Old and new releases run at the same time and need both names, on the same rows.",
    on=(c.RenameColumn,),
    check=check,
    bad=(
        Example("»ALTER TABLE orders RENAME note TO remark;"),
        Example("ALTER TABLE orders »RENAME COLUMN item TO product;", dialect="sqlite"),
    ),
    good=(
        Example(
            "ALTER TABLE orders ADD COLUMN x int;\nALTER TABLE orders RENAME x TO y;", "it is new"
        ),
    ),
)
