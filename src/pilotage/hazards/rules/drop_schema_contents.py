"""A schema goes with all the tables in it."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import CONTRACT, POSTGRESQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """`DROP SCHEMA … CASCADE` in contract."""
    if not isinstance(change, c.Drop) or change.kind != "schema" or not change.cascade:
        return
    if context.new_object("schema", change.name):
        return
    inside = [t for key, t in context.known.tables.items() if key[0] == change.name.name]
    if context.known.complete and not inside:
        return
    names = ", ".join(str(table.name) for table in inside[:5]) + (", …" if len(inside) > 5 else "")
    yield Hazard(
        f"everything in the schema {change.name} goes{f', also {names}' if inside else ''}, and whatever "
        "elsewhere depends on it",
        context.rewriter.drop_schema_in_steps(change, tuple(table.name for table in inside)),
    )


RULE = Rule(
    id="drop-schema-contents",
    numbers=(41,),
    class_=Class.DATA_LOSS,
    severity=Severity.WARNING,
    halves=CONTRACT,
    why="CASCADE asks nobody. Dropped by name, what is gone is what was meant.",
    on=(c.Drop,),
    check=check,
    dialects=POSTGRESQL,
    bad=(
        Example(
            "-- contract\n»DROP SCHEMA old CASCADE;",
            before="CREATE SCHEMA old;\nCREATE TABLE old.orders (id bigint PRIMARY KEY);",
        ),
    ),
    good=(Example("-- contract\nDROP SCHEMA old;", "it fails where the schema is not empty"),),
)
