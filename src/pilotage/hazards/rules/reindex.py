"""An index is rebuilt under a lock."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, POSTGRESQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """`REINDEX` without `CONCURRENTLY`."""
    if not isinstance(change, c.Rewrite) or change.what != "REINDEX" or change.concurrently:
        return
    found = context.known.index(change.name) if change.kind == "index" and change.name else None
    table = found[0].name if found else change.name if change.kind == "table" else None
    if table and context.is_idle(table):
        return
    yield Hazard(
        f"writers of {table or 'the tables'} wait until the {change.kind} {change.name or ''} is "
        "reindexed, and readers who plan with the index wait as well".replace("  ", " "),
        context.rewriter.reindex(change),
    )


RULE = Rule(
    id="reindex",
    numbers=(6,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="REINDEX takes SHARE on the table and ACCESS EXCLUSIVE on the index; planning any query of the table "
    "needs a lock on each of its indexes.",
    on=(c.Rewrite,),
    check=check,
    mechanical=True,
    dialects=POSTGRESQL,
    bad=(
        Example("»REINDEX INDEX orders_item_idx;"),
        Example("»REINDEX TABLE orders;"),
    ),
    good=(
        Example("-- pilotage: transaction=false\nREINDEX INDEX CONCURRENTLY orders_item_idx;"),
        Example("REINDEX TABLE orders;", "it is empty", rows={"orders": 0}),
    ),
)
