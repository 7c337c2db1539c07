"""An extension is upgraded under the code that uses it."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import EXPAND, POSTGRESQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """`ALTER EXTENSION … UPDATE`."""
    if not isinstance(change, c.UpgradeExtension):
        return
    if not context.new_object("extension", c.Name(None, change.name)):
        yield Hazard(
            f"old code gets the new version of {change.name} at once: its functions and types may answer "
            "otherwise, and there is no way back"
        )


RULE = Rule(
    id="upgrade-extension",
    numbers=(66,),
    class_=Class.OLD_CODE,
    severity=Severity.WARNING,
    halves=EXPAND,
    why="The script of an upgrade replaces functions, and may drop some. Try old code with the new version first, and "
    "make it a release of its own.",
    on=(c.UpgradeExtension,),
    check=check,
    dialects=POSTGRESQL,
    bad=(Example("»ALTER EXTENSION postgis UPDATE TO '3.5';"),),
    good=(Example("CREATE EXTENSION postgis;\nALTER EXTENSION postgis UPDATE;"),),
)
