"""A table is altered under a lock that stops writers, or everybody."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, MYSQL, Context, Example, Hazard, Rule
from pilotage.hazards.rules.mysql_alters import ALTERING, altered, is_first
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """`LOCK=SHARED` and `LOCK=EXCLUSIVE`."""
    table = altered(change)
    if change.lock not in ("SHARED", "EXCLUSIVE") or table is None or not is_first(context):
        return
    if not context.is_idle(table):
        who = "writers" if change.lock == "SHARED" else "everybody"
        yield Hazard(f"{who} of {table} wait until the statement is done")


RULE = Rule(
    id="alter-locks",
    numbers=(69,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="LOCK=SHARED stops writers and LOCK=EXCLUSIVE readers as well, for as long as the statement runs.",
    on=ALTERING,
    check=check,
    dialects=MYSQL,
    bad=(
        Example("ALTER TABLE orders »ADD INDEX i (amount), LOCK=SHARED;", dialect="mysql"),
        Example("»CREATE INDEX i ON orders (amount) LOCK=EXCLUSIVE;", dialect="mysql"),
    ),
    good=(Example("ALTER TABLE orders ADD INDEX i (amount), LOCK=NONE;", dialect="mysql"),),
)
