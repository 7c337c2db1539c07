"""IF NOT EXISTS is content with an index that is INVALID."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, POSTGRESQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """`CREATE INDEX CONCURRENTLY IF NOT EXISTS`, unless it is known what is there."""
    if not isinstance(change, c.CreateIndex) or not (change.concurrently and change.if_not_exists):
        return
    if change.name is None or context.is_new(change.table):
        return
    found = context.known.index(c.Name(change.table.schema, change.name))
    if context.known.complete and (found is None or found[1].valid):
        return
    there = "is there and INVALID" if found and not found[1].valid else "may be there, INVALID"
    yield Hazard(
        f"{change.name} {there} after a build that broke off: this statement succeeds, and no query "
        "uses the index",
        context.rewriter.build_index_anew(change),
    )


RULE = Rule(
    id="index-if-not-exists",
    numbers=(7,),
    class_=Class.RUNTIME_FAILURE,
    severity=Severity.WARNING,
    halves=BOTH,
    why="A concurrent build that fails leaves an index behind that is written but never read. Its name is "
    "taken, so IF NOT EXISTS skips the build. Pilotage itself drops what a build of its own left behind.",
    on=(c.CreateIndex,),
    check=check,
    mechanical=True,
    dialects=POSTGRESQL,
    bad=(
        Example(
            "-- pilotage: transaction=false\n"
            "»CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON orders (amount);"
        ),
    ),
    good=(
        Example(
            "-- pilotage: transaction=false\n"
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON orders (amount);",
            "the database says that no such index is there",
            complete=True,
        ),
        Example("-- pilotage: transaction=false\nCREATE INDEX CONCURRENTLY i ON orders (amount);"),
    ),
)
