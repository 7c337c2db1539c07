"""Old code reads an enum value that it does not know."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import EXPAND, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """ADD VALUE to an enum type that this file did not make."""
    if isinstance(change, c.AddEnumValue) and not context.new_object("type", change.type):
        yield Hazard(f"old code that reads {change.type} may meet the value '{change.value}'")


RULE = Rule(
    id="add-enum-value",
    numbers=(35,),
    class_=Class.OLD_CODE,
    severity=Severity.WARNING,
    halves=EXPAND,
    why="First release code that can read the value, then code that writes it.",
    on=(c.AddEnumValue,),
    check=check,
    bad=(Example("»ALTER TYPE state ADD VALUE 'sent';"),),
    good=(
        Example(
            "CREATE TYPE size AS ENUM ('small');\nALTER TYPE size ADD VALUE 'large';",
            "no old code reads it",
        ),
    ),
)
