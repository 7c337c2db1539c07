"""A default that the INSERTs of old code rely on goes."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rewrites import in_contract
from pilotage.hazards.rule import EXPAND, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """DROP DEFAULT, IDENTITY or EXPRESSION of a column that this file did not make."""
    if not isinstance(change, c.DropDefault) or context.is_new(change.table):
        return
    yield Hazard(
        f"{change.table}.{change.column} loses the default that INSERTs of old code may rely on",
        in_contract(change.sql),
    )


RULE = Rule(
    id="drop-default",
    numbers=(20, 45),
    class_=Class.OLD_CODE,
    severity=Severity.ERROR,
    halves=EXPAND,
    why="Old code leaves the column out and counts on the default; also the default of a column that "
    "this very file added must stay until old code is gone.",
    on=(c.DropDefault,),
    check=check,
    mechanical=True,
    bad=(
        Example("ALTER TABLE orders »ALTER state DROP DEFAULT;"),
        Example(
            "ALTER TABLE orders ADD COLUMN n int NOT NULL DEFAULT 0;\n"
            "ALTER TABLE orders »ALTER n DROP DEFAULT;",
            "the default of a new column, too: old code does not write it",
        ),
    ),
    good=(Example("-- contract\nALTER TABLE orders ALTER state DROP DEFAULT;"),),
)
