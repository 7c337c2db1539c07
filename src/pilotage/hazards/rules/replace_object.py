"""A view or trigger that old code works with is replaced."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import EXPAND, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """CREATE OR REPLACE, or DROP IF EXISTS and CREATE, of a view or trigger."""
    if not isinstance(change, c.Create) or change.kind in ("function", "procedure"):
        return
    dropped = any(
        isinstance(drop, c.Drop)
        and (drop.kind, drop.name.key) == (change.kind, change.name.key)
        and not context.made.has(drop.kind, drop.name, drop.table)
        for drop in context.earlier
    )
    there = not context.known.complete or context.known.has(change.kind, change.name, change.table)
    if (change.replace and there) or dropped:
        yield Hazard(f"the {change.kind} {change.name} may be there already, and old code with it")


RULE = Rule(
    id="replace-object",
    numbers=(46,),
    class_=Class.OLD_CODE,
    severity=Severity.WARNING,
    halves=EXPAND,
    why="Old code gets the new definition the moment it is applied.",
    on=(c.Create,),
    check=check,
    bad=(Example("»CREATE OR REPLACE VIEW recent AS SELECT 1;"),),
    good=(
        Example("CREATE VIEW recent AS SELECT 1;"),
        Example(
            "CREATE OR REPLACE VIEW recent AS SELECT 1;",
            "the database says that there is none",
            complete=True,
        ),
    ),
)
