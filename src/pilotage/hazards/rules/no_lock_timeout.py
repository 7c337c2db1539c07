"""A half switches off the limit on a wait for a lock."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, POSTGRESQL, Context, Example, HalfContext, Hazard, Rule
from pilotage.hazards.rules.limits import duration
from pilotage.migrate.sql import change as c

_LONG = 60.0  # seconds, in which every query on the table waits


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """`SET lock_timeout = 0`, `TO DEFAULT` and `RESET lock_timeout`, or a longer one than a minute."""
    if not isinstance(change, c.SetVariable) or change.name != "lock_timeout":
        return
    value = change.value
    if value is None or duration(value) > _LONG:
        yield Hazard(
            "nothing bounds a wait for a lock from here on: take the line out, or give the half a "
            "`-- pilotage: lock_timeout=2s`",
        )


def check_half(context: HalfContext) -> Iterator[Hazard]:
    """`-- pilotage: lock_timeout=` of more than a minute."""
    given = context.section.directives
    if given.lock_timeout is not None and given.lock_timeout > _LONG:
        yield Hazard(
            f"{given.lock_timeout:g} s: whoever uses the table waits for as long as this half does",
            line=given.lines.get("lock_timeout"),
        )


RULE = Rule(
    id="no-lock-timeout",
    numbers=(52,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="While a statement waits for its lock, every query that comes after it waits behind it. Pilotage ends the wait early and tries the whole transaction again.",
    on=(c.SetVariable,),
    check=check,
    check_half=check_half,
    dialects=POSTGRESQL,
    bad=(
        Example("»SET lock_timeout = 0;\nALTER TABLE orders ADD COLUMN x int;"),
        Example("»RESET lock_timeout;\nALTER TABLE orders ADD COLUMN x int;"),
        Example(
            "-- expand"
            + chr(10)
            + "»-- pilotage: lock_timeout=10m"
            + chr(10)
            + "ALTER TABLE orders ADD COLUMN x int;"
        ),
    ),
    good=(
        Example("SET LOCAL lock_timeout = '2s';\nALTER TABLE orders ADD COLUMN x int;"),
        Example("ALTER TABLE orders ADD COLUMN x int;", "pilotage sets one itself"),
    ),
)
