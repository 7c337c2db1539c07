"""Rows are changed before a definition that commits them."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, MYSQL, Context, Example, Hazard, Rule
from pilotage.hazards.rules.mysql_alters import ALTERING, altered, is_first
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """A definition after INSERT, UPDATE or DELETE in one half."""
    changed = any(isinstance(e, (c.ChangeRows, c.InsertRows)) for e in context.earlier)
    table = altered(change)
    if changed and table and is_first(context) and not context.is_idle(table):
        yield Hazard(
            "the rows that were changed before it are committed by it: write definitions first, or rows in a "
            "`-- backfill` section"
        )


RULE = Rule(
    id="rows-before-definition",
    numbers=(82,),
    class_=Class.RUNTIME_FAILURE,
    severity=Severity.WARNING,
    halves=BOTH,
    why="No definition rolls back, and each commits what came before it: when it fails, the rows stay changed. Pilotage records each statement and resumes with the one that failed; other tools run the file from its start again.",
    on=ALTERING,
    check=check,
    dialects=MYSQL,
    bad=(
        Example(
            "DELETE FROM orders WHERE amount = 0;\nALTER TABLE orders »ADD COLUMN x int, ALGORITHM=INSTANT;",
            dialect="mysql",
        ),
    ),
    good=(
        Example(
            "ALTER TABLE orders ADD COLUMN x int, ALGORITHM=INSTANT;\nDELETE FROM orders WHERE amount = 0;",
            dialect="mysql",
        ),
    ),
)
