"""A new constraint binds old code, whose rows may break it."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import EXPAND, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """Any new constraint or unique index that touches a column which this file did not make."""
    if isinstance(change, c.CreateIndex) and change.unique:
        columns = tuple(name for name in change.columns if name)
        constraint = c.Constraint(_becomes(change, context), columns=columns)
    elif isinstance(change, c.AddConstraint):
        constraint = change.constraint
    else:
        return
    if context.is_new(change.table) or constraint.using_index:
        return
    if any(_goes(x, change.table, constraint.name) for x in (*context.earlier, *context.later)):
        return  # it was there before, or is there only for a moment
    if constraint.kind in ("", "not null"):
        return  # SET NOT NULL has a rule of its own
    if constraint.columns and all(context.new_column(change.table, n) for n in constraint.columns):
        return
    yield Hazard(
        f"old code that writes rows of {change.table} which break the new {constraint.kind} "
        "constraint fails" + (", also while it is NOT VALID" if constraint.kind in _LATER else "")
    )


def _goes(change: c.Change, table: c.Name, name: str | None) -> bool:
    return (
        isinstance(change, c.DropConstraint)
        and change.table.key == table.key
        and change.constraint == name
    )


def _becomes(index: c.CreateIndex, context: Context) -> str:
    """The kind of the constraint that takes a unique index, or what the index is by itself."""
    takers = (
        later.constraint.kind
        for later in context.later
        if isinstance(later, c.AddConstraint) and later.constraint.using_index == index.name
    )
    return next(takers, "unique") if index.name else "unique"


_LATER = ("check", "foreign key")  # what may be NOT VALID


RULE = Rule(
    id="stricter-constraint",
    numbers=(10, 12),
    class_=Class.OLD_CODE,
    severity=Severity.WARNING,
    halves=EXPAND,
    why="NOT VALID spares only the rows that are there, and these only until they are updated.",
    on=(c.AddConstraint, c.CreateIndex),
    check=check,
    bad=(
        Example("ALTER TABLE orders »ADD CONSTRAINT k CHECK (amount > 0) NOT VALID;"),
        Example(
            "-- pilotage: transaction=false\n»CREATE UNIQUE INDEX CONCURRENTLY i ON orders (item);"
        ),
    ),
    good=(
        Example(
            "ALTER TABLE orders ADD COLUMN x int;\nALTER TABLE orders ADD CHECK (x > 0) NOT VALID;",
            "old code does not write x",
        ),
        Example("-- contract\nALTER TABLE orders ADD CONSTRAINT k CHECK (amount > 0) NOT VALID;"),
    ),
)
