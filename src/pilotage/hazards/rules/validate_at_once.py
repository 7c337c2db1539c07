"""A constraint is validated in the transaction that added it."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rewrites import NO_TRANSACTION, section
from pilotage.hazards.rule import BOTH, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """VALIDATE CONSTRAINT after ADD CONSTRAINT in the same transaction."""
    if not isinstance(change, c.ValidateConstraint) or context.is_idle(change.table):
        return
    if context.section.directives.transaction and any(
        isinstance(add, c.AddConstraint)
        and (add.table.key, add.constraint.name) == (change.table.key, change.constraint)
        for add in context.earlier
    ):
        yield Hazard(
            f"{change.constraint} is validated in the transaction that added it, so its lock stops "
            f"writers of {change.table} all the while",
            section(
                context.half,
                *(add.sql for add in context.earlier if isinstance(add, c.AddConstraint)),
                change.sql,
                note=NO_TRANSACTION,
            ),
        )


RULE = Rule(
    id="validate-at-once",
    numbers=(14,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="ADD CONSTRAINT takes a strong lock for a moment and VALIDATE a weak one for long; in one "
    "transaction the strong one is held for long.",
    on=(c.ValidateConstraint,),
    check=check,
    mechanical=True,
    bad=(
        Example(
            "ALTER TABLE orders ADD CONSTRAINT k CHECK (amount > 0) NOT VALID;\nALTER TABLE orders »VALIDATE CONSTRAINT k;"
        ),
    ),
    good=(
        Example(
            "-- pilotage: transaction=false\nALTER TABLE orders ADD CONSTRAINT k CHECK (amount > 0) NOT VALID;\nALTER TABLE orders VALIDATE CONSTRAINT k;"
        ),
    ),
)
