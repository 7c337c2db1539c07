"""A contract half adds a NOT NULL column without a default to a table with rows."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import CONTRACT, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """What `add-column-not-null` refuses in an expand half."""
    if not isinstance(change, c.AddColumn) or context.is_idle(change.table):
        return
    column = change.column
    if column.must_be_given:
        yield Hazard(
            f"{change.table}.{column.name} is NOT NULL without a default: it fails where the table "
            "has rows",
            context.rewriter.add_column_not_null(change),
        )


RULE = Rule(
    id="add-column-fails",
    numbers=(19, 79, 90),
    class_=Class.RUNTIME_FAILURE,
    severity=Severity.WARNING,
    halves=CONTRACT,
    why="The database has no value for the rows that are there.",
    on=(c.AddColumn,),
    check=check,
    bad=(Example("-- contract\nALTER TABLE orders »ADD COLUMN n timestamptz NOT NULL;"),),
    good=(
        Example("-- contract\nALTER TABLE orders ADD COLUMN n int NOT NULL DEFAULT 0;"),
        Example(
            "-- contract\nALTER TABLE orders ADD COLUMN n int NOT NULL;",
            "it is empty",
            rows={"orders": 0},
        ),
    ),
)
