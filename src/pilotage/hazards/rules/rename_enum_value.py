"""An enum value changes its name under the code that reads and writes it."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import EXPAND, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """RENAME VALUE of a value that this file did not make."""
    if not isinstance(change, c.RenameEnumValue) or context.new_object("type", change.type):
        return
    if context.made.has("enum value", c.Name(None, change.value), change.type):
        return
    yield Hazard(
        f"the value '{change.value}' of {change.type} becomes '{change.to}' while old code uses it",
        context.rewriter.rename_enum_value(change),
    )


RULE = Rule(
    id="rename-enum-value",
    numbers=(34,),
    class_=Class.OLD_CODE,
    severity=Severity.ERROR,
    halves=EXPAND,
    why="Old code writes the old value, which is then an error, and reads a new one it never heard of.",
    on=(c.RenameEnumValue,),
    check=check,
    bad=(Example("»ALTER TYPE state RENAME VALUE 'new' TO 'open';"),),
    good=(
        Example(
            "CREATE TYPE size AS ENUM ('small');\nALTER TYPE size RENAME VALUE 'small' TO 's';"
        ),
    ),
)
