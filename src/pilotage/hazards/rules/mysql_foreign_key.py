"""A foreign key is added by copying the table."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, MYSQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """ADD FOREIGN KEY with foreign_key_checks on."""
    if not isinstance(change, c.AddConstraint):
        return
    if change.constraint.kind != "foreign key" or context.is_idle(change.table):
        return
    if not any(
        isinstance(e, c.Other) and "foreign_key_checks" in e.sql.lower() for e in context.earlier
    ):
        yield Hazard(f"{change.table} is copied to add it", context.rewriter.add_constraint(change))


RULE = Rule(
    id="mysql-foreign-key",
    numbers=(74,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="With foreign_key_checks on the server copies the table while nobody may write (LOCK=NONE is refused with error 1846). With it off the key is added at once, and rows that are there are not looked at.",
    on=(c.AddConstraint,),
    check=check,
    dialects=MYSQL,
    bad=(
        Example(
            "ALTER TABLE orders »ADD FOREIGN KEY (customer_id) REFERENCES customers (id);",
            dialect="mysql",
        ),
    ),
    good=(
        Example(
            "SET foreign_key_checks = 0;\nALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers (id), LOCK=NONE;",
            dialect="mysql",
        ),
    ),
)
