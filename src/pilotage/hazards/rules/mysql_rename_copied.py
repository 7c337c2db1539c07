"""A column changes its name in a statement that copies its table."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, MYSQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """RENAME COLUMN and CHANGE with ALGORITHM=COPY."""
    if not isinstance(change, c.RenameColumn):
        return
    if change.algorithm == "COPY" and not context.is_idle(change.table):
        yield Hazard(
            f"{change.table}.{change.column} is renamed while its table is copied: rename it with "
            "ALGORITHM=INSTANT, in a statement of its own"
        )


RULE = Rule(
    id="rename-while-copied",
    numbers=(88,),
    class_=Class.DATA_LOSS,
    severity=Severity.WARNING,
    halves=BOTH,
    why="A tool that copies the table row by row matches columns by their names: the renamed one is taken for a new one, and its values are lost. A rename alone needs no copy.",
    on=(c.RenameColumn,),
    check=check,
    dialects=MYSQL,
    bad=(
        Example(
            "-- contract\nALTER TABLE orders »RENAME COLUMN amount TO total, ALGORITHM=COPY;",
            dialect="mysql",
        ),
    ),
    good=(
        Example(
            "-- contract\nALTER TABLE orders RENAME COLUMN amount TO total, ALGORITHM=INSTANT;",
            dialect="mysql",
        ),
    ),
)
