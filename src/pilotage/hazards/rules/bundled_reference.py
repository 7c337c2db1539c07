"""A column, its index and its foreign key are made in one transaction."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rewrites import one_section
from pilotage.hazards.rule import BOTH, POSTGRESQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """`ADD COLUMN … REFERENCES` with an index on the column in the same transaction."""
    if not isinstance(change, c.AddColumn) or context.is_idle(change.table):
        return
    if not context.section.directives.transaction:
        return
    reference = next((x for x in change.constraints if x.references), None)
    name = change.column.name
    index = next(
        (
            x
            for x in context.later
            if isinstance(x, c.CreateIndex)
            and x.table.key == change.table.key
            and name in x.columns
            and not x.concurrently
        ),
        None,
    )
    if reference and index:
        yield Hazard(
            f"{change.table} is locked for {name}, its foreign key and its index together",
            one_section(context.rewriter.add_column_without(change), context.rewriter.index(index)),
        )


RULE = Rule(
    id="bundled-reference",
    numbers=(16,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="What a framework calls adding a reference is three changes. Together they hold the strongest lock of "
    "the three for as long as the slowest takes.",
    on=(c.AddColumn,),
    check=check,
    dialects=POSTGRESQL,
    bad=(
        Example(
            "ALTER TABLE orders »ADD COLUMN payer_id bigint REFERENCES customers (id);\n"
            "CREATE INDEX orders_payer ON orders (payer_id);"
        ),
    ),
    good=(
        Example(
            "-- pilotage: transaction=false\n"
            "ALTER TABLE orders ADD COLUMN payer_id bigint;\n"
            "CREATE INDEX CONCURRENTLY orders_payer ON orders (payer_id);",
            "the foreign key may follow, NOT VALID, in a file of its own",
        ),
    ),
)
