"""One UPDATE or DELETE of a whole table in a contract half."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import CONTRACT, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c

_SMALL = 10_000  # rows, which are changed in well under a second


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """`UPDATE` or `DELETE` without `WHERE`, while new code serves."""
    if not isinstance(change, c.ChangeRows) or not change.whole or context.is_idle(change.table):
        return
    table = context.known.table(change.table)
    if table and table.size and table.size.rows <= _SMALL:
        return
    if change.verb == "DELETE" and any(_goes(later, change.table) for later in context.later):
        rewrite = ""
    else:
        rewrite = context.rewriter.update_in_batches(change)
    yield Hazard(
        f"one {change.verb} locks every row of {change.table} until it ends, while new code serves",
        rewrite,
    )


def _goes(later: c.Change, table: c.Name) -> bool:
    return isinstance(later, c.Drop) and later.kind == "table" and later.name.key == table.key


RULE = Rule(
    id="change-rows-at-once",
    numbers=(49,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=CONTRACT,
    why="The rows stay locked to the end of the transaction, and replicas receive them all at once. A backfill "
    "runs in batches, and again before contract.",
    on=(c.ChangeRows,),
    check=check,
    bad=(
        Example("-- contract\n»UPDATE orders SET amount = 0;"),
        Example("-- contract\n»DELETE FROM orders;", dialect="sqlite"),
    ),
    good=(
        Example("-- contract\nUPDATE orders SET amount = 0;", "it is small", rows={"orders": 900}),
        Example("-- contract\nDELETE FROM orders WHERE id = 7;"),
    ),
)
