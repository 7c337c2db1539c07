"""A column that old code does not know must not be NOT NULL without a default."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import EXPAND, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """ADD COLUMN … NOT NULL without a default, on a table that this file did not make."""
    if not isinstance(change, c.AddColumn) or context.is_new(change.table):
        return
    column = change.column
    if not column.must_be_given:
        return
    yield Hazard(
        f"{change.table}.{column.name} is NOT NULL without a default: it fails where the table has "
        "rows, and every INSERT of old code fails",
        context.rewriter.add_column_not_null(change),
    )


RULE = Rule(
    id="add-column-not-null",
    numbers=(19, 79, 90),
    class_=Class.OLD_CODE,
    severity=Severity.ERROR,
    halves=EXPAND,
    why="Old code names the columns that it knows, so the database must have a value for the new one.",
    on=(c.AddColumn,),
    check=check,
    bad=(
        Example("ALTER TABLE orders »ADD COLUMN seen_at timestamptz NOT NULL;"),
        Example("ALTER TABLE orders »ADD n INT NOT NULL;", dialect="sqlite"),
    ),
    good=(
        Example("ALTER TABLE orders ADD COLUMN n int NOT NULL DEFAULT 0;"),
        Example(
            "CREATE TABLE fresh (id bigint);\nALTER TABLE fresh ADD COLUMN n int NOT NULL;",
            "it is new",
        ),
    ),
)
