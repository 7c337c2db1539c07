"""An index is built under a lock that stops writers."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, Context, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """CREATE INDEX without CONCURRENTLY on a table that this file did not make."""
    if not isinstance(change, c.CreateIndex) or change.concurrently:
        return
    rewrite = context.rewriter.index(change)
    if rewrite and not context.is_new(change.table):
        yield Hazard(f"writers of {change.table} wait until the index is built", rewrite)


RULE = Rule(
    id="create-index",
    numbers=(1,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="CREATE INDEX takes a SHARE lock for as long as it reads the table.",
    on=(c.CreateIndex,),
    check=check,
    mechanical=True,
)
