"""An index goes under a lock, and perhaps under a query that needs it."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, Context, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """DROP INDEX without CONCURRENTLY of an index that this file did not make."""
    if not isinstance(change, c.Drop) or change.kind != "index" or change.concurrently:
        return
    rewrite = context.rewriter.index(change)
    if rewrite and not context.new_object("index", change.name):
        yield Hazard(f"dropping {change.name} locks its whole table against everybody", rewrite)


RULE = Rule(
    id="drop-index",
    numbers=(4, 5),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="It takes ACCESS EXCLUSIVE, and queues behind and before every query.",
    on=(c.Drop,),
    check=check,
    mechanical=True,
)
