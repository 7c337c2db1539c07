"""Values are overwritten or deleted, and nothing says how to bring them back."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import EXPAND, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """`UPDATE` or `DELETE` of data of old code in a file without `-- down`."""
    if not isinstance(change, c.ChangeRows) or context.is_idle(change.table):
        return
    if change.whole or context.migration.down is not None:
        return  # of whole tables see `change-all-rows`
    if change.columns and all(context.new_column(change.table, name) for name in change.columns):
        return  # what was there is still there
    what = (
        f"the old values of {change.table}.{', '.join(change.columns)} are"
        if change.columns
        else f"the rows of {change.table} are"
    )
    yield Hazard(
        f"{what} gone, and no `-- down` brings them back: keep them in a new column or table until "
        "contract, or write the section",
    )


RULE = Rule(
    id="irreversible-data",
    numbers=(93,),
    class_=Class.RUNTIME_FAILURE,
    severity=Severity.WARNING,
    halves=EXPAND,
    why="After a rollback old code reads what new code made of its data. An expand half may be followed by a rollback "
    "at any time; only the contract half is the point of no return.",
    on=(c.ChangeRows,),
    check=check,
    bad=(
        Example("»UPDATE orders SET note = upper(note) WHERE amount > 5;"),
        Example("»DELETE FROM orders WHERE amount = 0;", dialect="sqlite"),
    ),
    good=(
        Example(
            "ALTER TABLE orders ADD COLUMN label text;\n"
            "UPDATE orders SET label = upper(note) WHERE amount > 5;",
            "a new column: what was there is still there",
        ),
        Example(
            "-- expand\nUPDATE orders SET amount = amount * 100 WHERE amount > 0;\n"
            "-- down\nUPDATE orders SET amount = amount / 100 WHERE amount > 0;"
        ),
        Example("-- contract\nDELETE FROM orders WHERE amount = 0;", "the point of no return"),
    ),
)
