"""A trigger or rule fires for old code as well."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import EXPAND, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """CREATE TRIGGER or RULE on a table that this file did not make."""
    if not isinstance(change, c.Create) or change.kind not in ("trigger", "rule"):
        return
    if change.table is not None and not context.is_new(change.table):
        yield Hazard(
            f"the {change.kind} {change.name} fires for the writes of old code to {change.table}, too"
        )


RULE = Rule(
    id="create-trigger",
    numbers=(47,),
    class_=Class.OLD_CODE,
    severity=Severity.WARNING,
    halves=EXPAND,
    why="That is the point of a trigger that keeps two columns equal; it must not raise. Creating it "
    "takes a lock that waits for writers and stops them.",
    on=(c.Create,),
    check=check,
    bad=(Example("»CREATE TRIGGER g BEFORE INSERT ON orders EXECUTE FUNCTION f();"),),
    good=(
        Example(
            "CREATE TABLE fresh (n int);\nCREATE TRIGGER g BEFORE INSERT ON fresh EXECUTE FUNCTION f();"
        ),
    ),
)
