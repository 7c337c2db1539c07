"""SQL that cannot be read: nobody can say here what it does."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import EXPAND, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """DO, CALL, a function whose body replaces another, a SELECT of an unknown function."""
    if isinstance(change, c.Opaque):
        what = change.what
    elif (
        isinstance(change, c.Create)
        and change.replace
        and change.kind in ("function", "procedure")
        and not context.new_object(change.kind, change.name)
        and not any(_fires(later, change) for later in context.later)
    ):
        what = f"CREATE OR REPLACE {change.kind.upper()} {change.name}"
    else:
        return
    yield Hazard(
        f"{what} cannot be read, so nobody can say whether old code survives it",
        f"-- pilotage: allow=opaque because …\n{change.sql};\n",
    )


def _fires(trigger: c.Change, function: c.Create) -> bool:
    """Whether a trigger made in the same half calls the function: then the two are one new thing."""
    return (
        isinstance(trigger, c.Create)
        and trigger.kind == "trigger"
        and trigger.detail.rpartition(".")[2] == function.name.name
    )


RULE = Rule(
    id="opaque",
    numbers=(46,),
    class_=Class.OLD_CODE,
    severity=Severity.ERROR,
    halves=EXPAND,
    why="An expand half must be safe for code that does not know it; what cannot be read needs a "
    "person's word for that.",
    on=(c.Opaque, c.Create),
    check=check,
    bad=(
        Example("»DO $$ BEGIN PERFORM 1; END $$;"),
        Example("»SELECT drop_everything();"),
    ),
    good=(
        Example(
            "-- pilotage: allow=opaque because it only logs\nDO $$ BEGIN RAISE NOTICE 'x'; END $$;"
        ),
        Example("SELECT setval('q', 1);"),
    ),
)
