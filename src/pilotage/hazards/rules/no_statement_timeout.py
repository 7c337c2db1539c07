"""A half switches off the limit on a statement."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, POSTGRESQL, Context, Example, Hazard, Rule
from pilotage.hazards.rules.limits import duration
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """`SET statement_timeout = 0`, `TO DEFAULT` and `RESET statement_timeout`."""
    if not isinstance(change, c.SetVariable) or change.name != "statement_timeout":
        return
    value = change.value
    if value is None or duration(value) == inf:
        yield Hazard(
            "nothing bounds a statement from here on: take the line out, or give the half a "
            "`-- pilotage: timeout=1h`",
        )


RULE = Rule(
    id="no-statement-timeout",
    numbers=(53,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="A statement that nobody expected to take an hour holds its locks for that hour. Pilotage bounds every half with `timeout`.",
    on=(c.SetVariable,),
    check=check,
    dialects=POSTGRESQL,
    bad=(
        Example("»SET statement_timeout = 0;\nALTER TABLE orders ADD COLUMN x int;"),
        Example("»RESET statement_timeout;\nALTER TABLE orders ADD COLUMN x int;"),
    ),
    good=(
        Example("SET LOCAL statement_timeout = '2s';\nALTER TABLE orders ADD COLUMN x int;"),
        Example("ALTER TABLE orders ADD COLUMN x int;", "pilotage sets one itself"),
    ),
)
