"""A table that old code still uses goes."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rewrites import in_contract
from pilotage.hazards.rule import EXPAND, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """DROP TABLE of a table that this file did not make."""
    if not isinstance(change, c.Drop) or change.kind != "table" or context.is_new(change.name):
        return
    yield Hazard(
        f"the table {change.name} is dropped while old code still uses it", in_contract(change.sql)
    )


RULE = Rule(
    id="drop-table",
    numbers=(39,),
    class_=Class.OLD_CODE,
    severity=Severity.ERROR,
    halves=EXPAND,
    why="Every query of older releases that names the table fails, and its rows are gone for good.",
    on=(c.Drop,),
    check=check,
    mechanical=True,
    bad=(Example("»DROP TABLE orders;"),),
    good=(
        Example("-- contract\nDROP TABLE orders;"),
        Example("CREATE TABLE fresh (n int);\nDROP TABLE fresh;", "it is new"),
    ),
)
