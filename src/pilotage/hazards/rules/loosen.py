"""What old code could rely on is promised no longer."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import EXPAND, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """DROP NOT NULL and DROP CONSTRAINT of what this file did not make."""
    if isinstance(change, c.DropNotNull) and not context.new_column(change.table, change.column):
        yield Hazard(
            f"old code that reads {change.table}.{change.column} may meet NULL from now on"
        )
    if (
        isinstance(change, c.DropConstraint)
        and not context.is_new(change.table)
        and not context.made.has("constraint", c.Name(None, change.constraint), change.table)
        and not any(_again(later, change) for later in context.later)
    ):
        yield Hazard(
            f"old code may rely on the constraint {change.constraint} of {change.table}, for example "
            "in ON CONFLICT"
        )


def _again(later: c.Change, gone: c.DropConstraint) -> bool:
    """Whether a constraint of the same name comes back."""
    return (
        isinstance(later, c.AddConstraint)
        and later.table.key == gone.table.key
        and later.constraint.name == gone.constraint
    )


RULE = Rule(
    id="loosen",
    numbers=(18, 43),
    class_=Class.OLD_CODE,
    severity=Severity.WARNING,
    halves=EXPAND,
    why="Code that new code's rows can now reach must be ready for them first.",
    on=(c.DropNotNull, c.DropConstraint),
    check=check,
    bad=(
        Example("ALTER TABLE orders »ALTER item DROP NOT NULL;"),
        Example("ALTER TABLE orders »DROP CONSTRAINT price_positive;"),
    ),
    good=(
        Example("CREATE TABLE fresh (n int NOT NULL);\nALTER TABLE fresh ALTER n DROP NOT NULL;"),
        Example("-- contract\nALTER TABLE orders DROP CONSTRAINT price_positive;"),
    ),
)
