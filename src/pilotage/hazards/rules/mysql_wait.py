"""A file waits long for its metadata lock."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, MYSQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c
from pilotage.migrate.sql import grammar

_LONG = 10


def _seconds(sql: str) -> int | None:
    """What a SET gives to lock_wait_timeout."""
    tokens = [token.text.lower() for token in grammar("mysql").tokens(sql)]
    for name, mark, value in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if name == "lock_wait_timeout" and mark == "=" and value.isdecimal():
            return int(value)
    return None


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """`SET lock_wait_timeout` of more than ten seconds."""
    if not isinstance(change, c.Other):
        return
    seconds = _seconds(change.sql)
    if seconds is not None and seconds > _LONG:
        yield Hazard(
            f"every query on the table may wait {seconds} s behind this half: leave it to pilotage, or write "
            "`-- pilotage: lock_timeout=2s`"
        )


RULE = Rule(
    id="long-lock-wait",
    numbers=(81,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="While a definition waits for its metadata lock, every query on the table waits behind it. The servers' own limit is a day, or a year; Pilotage sets a short one and tries again.",
    on=(c.Other,),
    check=check,
    dialects=MYSQL,
    bad=(
        Example(
            "»SET SESSION lock_wait_timeout = 3600;\nALTER TABLE orders ADD COLUMN x int, ALGORITHM=INSTANT;",
            dialect="mysql",
        ),
    ),
    good=(
        Example(
            "SET SESSION lock_wait_timeout = 2;\nALTER TABLE orders ADD COLUMN x int, ALGORITHM=INSTANT;",
            dialect="mysql",
        ),
    ),
)
