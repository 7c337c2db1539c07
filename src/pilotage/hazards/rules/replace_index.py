"""An index is dropped before the one that takes its place is there."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, POSTGRESQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """`DROP INDEX` and later `CREATE INDEX` of the same name, or of a column that the old one has."""
    if not isinstance(change, c.Drop) or change.kind != "index":
        return
    found = context.known.index(change.name)
    if context.new_object("index", change.name) or (found and context.is_idle(found[0].name)):
        return
    if found is None and change.if_exists:
        return  # what a build that broke off may have left
    columns = set(found[1].columns) - {""} if found else set()
    for later in context.later:
        if not isinstance(later, c.CreateIndex) or context.is_idle(later.table):
            continue
        same_table = found is None or found[0].name.key == later.table.key
        if later.name == change.name.name or (same_table and columns & set(later.columns)):
            yield Hazard(
                f"from here until its successor is built, queries of {later.table} have no "
                f"{change.name.name}",
                context.rewriter.replace_index(change, later),
            )
            return


RULE = Rule(
    id="replace-index",
    numbers=(5,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="Queries that were fast read the whole table in between. Built first, under another name, the new "
    "index takes over without a gap.",
    on=(c.Drop,),
    check=check,
    dialects=POSTGRESQL,
    bad=(
        Example(
            "-- pilotage: transaction=false\n"
            "»DROP INDEX CONCURRENTLY orders_item_idx;\n"
            "CREATE INDEX CONCURRENTLY orders_item_idx ON orders (item, amount);"
        ),
        Example(
            "-- pilotage: transaction=false\n"
            "»DROP INDEX CONCURRENTLY orders_item_idx;\n"
            "CREATE UNIQUE INDEX CONCURRENTLY orders_item_key ON orders (item);",
            "another name, but the same column",
        ),
    ),
    good=(
        Example(
            "-- pilotage: transaction=false\n"
            "CREATE INDEX CONCURRENTLY orders_item_amount ON orders (item, amount);\n"
            "DROP INDEX CONCURRENTLY orders_item_idx;",
            "the new one is there before the old one goes",
        ),
        Example(
            "-- pilotage: transaction=false\n"
            "DROP INDEX CONCURRENTLY orders_item_idx;\n"
            "CREATE INDEX CONCURRENTLY customers_name ON customers (name);",
            "the two have nothing to do with each other",
        ),
    ),
)
