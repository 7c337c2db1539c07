"""A CHECK is added by copying the table."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, MYSQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """ADD CHECK on a table with rows."""
    if not isinstance(change, c.AddConstraint):
        return
    if change.constraint.kind == "check" and not context.is_idle(change.table):
        yield Hazard(
            f"{change.table} is copied to check every row: let code hold it, or add it while nobody writes "
            "(ALGORITHM=COPY, LOCK=SHARED)"
        )


RULE = Rule(
    id="mysql-check",
    numbers=(75,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="Every row is read and written anew under LOCK=SHARED (LOCK=NONE is refused with error 1845), and a row that does not obey ends it.",
    on=(c.AddConstraint,),
    check=check,
    dialects=MYSQL,
    bad=(
        Example("ALTER TABLE orders »ADD CONSTRAINT positive CHECK (amount > 0);", dialect="mysql"),
    ),
    good=(
        Example(
            "CREATE TABLE fresh (id bigint PRIMARY KEY, n int);\nALTER TABLE fresh ADD CHECK (n > 0);",
            why="it is new",
            dialect="mysql",
        ),
    ),
)
