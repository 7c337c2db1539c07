"""An enum value goes to the end of an order that something relies on."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import EXPAND, POSTGRESQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """`ADD VALUE` without `BEFORE` or `AFTER` for a type whose columns are indexed, or not known."""
    if not isinstance(change, c.AddEnumValue) or change.neighbour:
        return
    values = context.known.enums.get(change.type.key, ())
    if context.new_object("type", change.type) or not values or not _ordered(change.type, context):
        return
    yield Hazard(
        f"'{change.value}' sorts after '{values[-1]}', the last value of {change.type}, and its place "
        "cannot be changed later",
        context.rewriter.place_enum_value(change, values[-1]),
    )


def _ordered(type: c.Name, context: Context) -> bool:
    """Whether a column of the type may be compared: it is in an index, or in a CHECK."""
    return any(
        table.indexed(column.name) or any(table.constrained(column.name, "check"))
        for table in context.known.tables.values()
        for column in table.columns.values()
        if column.type in (str(type), type.name)
    )


RULE = Rule(
    id="enum-value-order",
    numbers=(36,),
    class_=Class.RUNTIME_FAILURE,
    severity=Severity.WARNING,
    halves=EXPAND,
    why="Comparisons, ORDER BY and indexes follow the order of the values. Say where the new one belongs, if "
    "only with the place that it has anyway.",
    on=(c.AddEnumValue,),
    check=check,
    mechanical=True,
    dialects=POSTGRESQL,
    bad=(
        Example(
            "»ALTER TYPE size ADD VALUE 'medium';",
            before="CREATE TYPE size AS ENUM ('small', 'large');\n"
            "CREATE TABLE shirts (size size);\nCREATE INDEX shirts_size ON shirts (size);",
        ),
    ),
    good=(
        Example(
            "ALTER TYPE size ADD VALUE 'medium' AFTER 'small';",
            before="CREATE TYPE size AS ENUM ('small', 'large');\n"
            "CREATE TABLE shirts (size size);\nCREATE INDEX shirts_size ON shirts (size);",
        ),
        Example("ALTER TYPE state ADD VALUE 'sent';", "nothing compares its values"),
    ),
)
