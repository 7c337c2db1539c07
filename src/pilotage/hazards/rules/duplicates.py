"""Rows that are there may be alike, and then a unique index cannot be built."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """`CREATE UNIQUE INDEX`, `ADD UNIQUE` and `ADD PRIMARY KEY` over columns that have rows."""
    if isinstance(change, c.CreateIndex) and change.unique:
        columns = change.columns
    elif (
        isinstance(change, c.AddConstraint)
        and change.constraint.kind in ("unique", "primary key")
        and not change.constraint.using_index
    ):
        columns = change.constraint.columns
    else:
        return
    if context.is_idle(change.table) or _is_unique(columns, change.table, context):
        return
    if "" not in columns and any(context.made.column(change.table, name) for name in columns):
        return  # a column of this file has no rows of its own yet
    yield Hazard(
        f"it fails where two rows of {change.table} have the same "
        f"({', '.join(name or '…' for name in columns)})",
        context.rewriter.find_duplicates(change.table, columns, change.sql),
    )


def _is_unique(columns: tuple[str, ...], name: c.Name, context: Context) -> bool:
    """Whether some of the columns are known to be unique already."""
    table = context.known.table(name)
    if table is None:
        return False
    keys = [set(x.columns) for x in table.indexes.values() if x.unique and x.valid]
    keys += [
        set(x.columns) for x in table.constraints.values() if x.kind in ("unique", "primary key")
    ]
    return any(key and "" not in key and key <= set(columns) for key in keys)


RULE = Rule(
    id="duplicates",
    numbers=(10,),
    class_=Class.RUNTIME_FAILURE,
    severity=Severity.WARNING,
    halves=BOTH,
    why="The build ends at the first pair of equal rows; a concurrent one leaves an INVALID index, which "
    "rejects new duplicates all the same. A query in `-- verify` finds them before anything is built.",
    on=(c.CreateIndex, c.AddConstraint),
    check=check,
    bad=(
        Example(
            "-- pilotage: transaction=false\n"
            "»CREATE UNIQUE INDEX CONCURRENTLY orders_item_key ON orders (item);"
        ),
        Example("ALTER TABLE customers »ADD CONSTRAINT one_email UNIQUE (email);"),
        Example("»CREATE UNIQUE INDEX i ON orders (item);", dialect="sqlite"),
    ),
    good=(
        Example("CREATE UNIQUE INDEX i ON orders (id, item);", "id alone is unique"),
        Example("CREATE UNIQUE INDEX i ON orders (item);", "it is empty", rows={"orders": 0}),
        Example(
            "-- pilotage: transaction=false\n"
            "ALTER TABLE customers ADD CONSTRAINT one UNIQUE USING INDEX one;",
            "the index is there",
        ),
    ),
)
