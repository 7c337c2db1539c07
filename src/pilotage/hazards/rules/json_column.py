"""A json column breaks queries that compare whole rows."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import EXPAND, POSTGRESQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """A column of type `json` on a table of old code."""
    if isinstance(change, c.AddColumn) and change.column.type in ("json", "json[]"):
        column = change.column.name
    elif isinstance(change, c.AlterType) and change.type in ("json", "json[]"):
        column = change.column
    else:
        return
    if not context.is_new(change.table):
        yield Hazard(
            f"{change.table}.{column} is json, which has no equality: SELECT DISTINCT, UNION and GROUP BY "
            "over the rows of old code fail",
            context.rewriter.jsonb(change.sql),
        )


RULE = Rule(
    id="json-column",
    numbers=(30,),
    class_=Class.OLD_CODE,
    severity=Severity.WARNING,
    halves=EXPAND,
    why="jsonb can be compared, indexed and searched; json only keeps the text as it was written.",
    on=(c.AddColumn, c.AlterType),
    check=check,
    mechanical=True,
    dialects=POSTGRESQL,
    bad=(Example("ALTER TABLE orders »ADD COLUMN extra json;"),),
    good=(
        Example("ALTER TABLE orders ADD COLUMN extra jsonb;"),
        Example("CREATE TABLE fresh (extra json);", "no old code selects from it"),
    ),
)
