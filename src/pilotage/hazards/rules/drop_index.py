"""An index goes under a lock, and perhaps under a query that needs it."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, POSTGRESQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """DROP INDEX without CONCURRENTLY of an index that this file did not make."""
    if not isinstance(change, c.Drop) or change.kind != "index" or change.concurrently:
        return
    found = context.known.index(change.name)
    if context.new_object("index", change.name) or (found and context.is_idle(found[0].name)):
        return
    table = found[0].name if found else "its whole table"
    yield Hazard(
        f"dropping {change.name} locks {table} against everybody", context.rewriter.index(change)
    )


RULE = Rule(
    id="drop-index",
    numbers=(4,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="It takes ACCESS EXCLUSIVE, and queues behind and before every query.",
    on=(c.Drop,),
    dialects=POSTGRESQL,
    check=check,
    mechanical=True,
    bad=(Example("»DROP INDEX orders_item_idx;"),),
    good=(
        Example("-- pilotage: transaction=false\nDROP INDEX CONCURRENTLY orders_item_idx;"),
        Example("DROP INDEX orders_item_idx;", "its table is empty", rows={"orders": 0}),
    ),
)
