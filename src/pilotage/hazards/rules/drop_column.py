"""A column that old code still reads or writes goes."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rewrites import in_contract
from pilotage.hazards.rule import EXPAND, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """DROP COLUMN of a column that this file did not make."""
    if not isinstance(change, c.DropColumn) or context.new_column(change.table, change.column):
        return
    column = context.column(change.table, change.column)
    rewrite = ""
    if column and column.must_be_given:
        rewrite = context.rewriter.drop_required_column(change)
    if not rewrite:
        note = (
            f"Where {change.column} is NOT NULL without a default, code that no longer writes it\n"
            "needs one, or DROP NOT NULL, in an expand half first."
        )
        rewrite = in_contract(change.sql, note="" if column else note)
    yield Hazard(f"{change.table}.{change.column} is dropped while old code still uses it", rewrite)


RULE = Rule(
    id="drop-column",
    numbers=(37,),
    class_=Class.OLD_CODE,
    severity=Severity.ERROR,
    halves=EXPAND,
    why="Releases from before the change name the column in their queries until the last of them is "
    "gone, and its data is gone for good.",
    on=(c.DropColumn,),
    check=check,
    mechanical=True,
    bad=(
        Example("ALTER TABLE orders\n  ADD COLUMN x int,\n  »DROP COLUMN note;"),
        Example(
            "ALTER TABLE orders »DROP COLUMN item;",
            "NOT NULL goes first, and the column in contract",
        ),
    ),
    good=(
        Example("-- contract\nALTER TABLE orders DROP COLUMN note;"),
        Example(
            "ALTER TABLE orders ADD COLUMN x int;\nALTER TABLE orders DROP COLUMN x;", "it is new"
        ),
    ),
)
