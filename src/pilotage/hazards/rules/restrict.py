"""Rights are taken away, or rows hidden, while old code needs them."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rewrites import in_contract
from pilotage.hazards.rule import EXPAND, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """REVOKE and row-level security."""
    if not isinstance(change, c.Restrict):
        return
    if change.table is None or not context.is_new(change.table):
        yield Hazard(
            f"{change.what} takes from old code what it may still use", in_contract(change.sql)
        )


RULE = Rule(
    id="restrict",
    numbers=(48,),
    class_=Class.OLD_CODE,
    severity=Severity.ERROR,
    halves=EXPAND,
    why="A query that worked fails, or finds fewer rows.",
    on=(c.Restrict,),
    check=check,
    mechanical=True,
    bad=(
        Example("»REVOKE SELECT ON orders FROM app;"),
        Example("ALTER TABLE orders »ENABLE ROW LEVEL SECURITY;"),
    ),
    good=(
        Example("-- contract\nREVOKE SELECT ON orders FROM app;"),
        Example("CREATE TABLE fresh (n int);\nALTER TABLE fresh ENABLE ROW LEVEL SECURITY;"),
    ),
)
