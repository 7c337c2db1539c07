"""A column that must be written stays NOT NULL until the contract half drops it."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import CONTRACT, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """`DROP COLUMN` in contract of a column that is `NOT NULL` without a default to that day."""
    if not isinstance(change, c.DropColumn) or context.new_column(change.table, change.column):
        return
    column = context.column(change.table, change.column)
    if column is None or not column.must_be_given:
        return
    if any(kind == "trigger" and of == change.table.key for kind, _, of in context.known.objects):
        return  # it may be what fills the column for new code
    if any(
        isinstance(x, c.Drop)
        and x.kind == "trigger"
        and x.table
        and x.table.key == change.table.key
        for x in context.earlier
    ):
        return
    yield Hazard(
        f"new code, which no longer writes {change.table}.{change.column}, fails at every INSERT from the "
        "switch until this half: the column is NOT NULL without a default",
        context.rewriter.drop_required_column(change),
    )


RULE = Rule(
    id="drop-required-column",
    numbers=(38,),
    class_=Class.NEW_CODE,
    severity=Severity.WARNING,
    halves=CONTRACT,
    why="Between the switch and the contract half the release that does not know the column runs on a schema "
    "that still has it.",
    on=(c.DropColumn,),
    check=check,
    bad=(Example("-- contract\nALTER TABLE orders »DROP COLUMN item;"),),
    good=(
        Example(
            "-- expand\nALTER TABLE orders ALTER item DROP NOT NULL;\n"
            "-- contract\nALTER TABLE orders DROP COLUMN item;"
        ),
        Example("-- contract\nALTER TABLE orders DROP COLUMN note;", "it may be NULL"),
    ),
)
