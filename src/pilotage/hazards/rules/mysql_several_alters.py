"""A table is altered several times where once would do."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, MYSQL, Context, Example, Hazard, Rule
from pilotage.hazards.rules.mysql_alters import ALTERING, altered, is_first
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """A second ALTER TABLE of one table in a half."""
    table = altered(change)
    if table is None or not is_first(context) or context.is_idle(table):
        return
    if not context.statement.text.upper().startswith("ALTER"):
        return
    starts = {s.start for s, e in context.pairs[: context.index] if altered(e) == table}
    if len(starts) == 1:
        yield Hazard(
            f"{table} is altered again: put both into one ALTER TABLE, with a comma between them"
        )


RULE = Rule(
    id="several-alters",
    numbers=(87,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="Each waits for the metadata lock, and each may rebuild the table; one statement with several actions does that once.",
    on=ALTERING,
    check=check,
    dialects=MYSQL,
    bad=(
        Example(
            "ALTER TABLE orders ADD COLUMN x int, ALGORITHM=INSTANT;\nALTER TABLE orders »ADD COLUMN y int, ALGORITHM=INSTANT;",
            dialect="mysql",
        ),
    ),
    good=(
        Example(
            "ALTER TABLE orders ADD COLUMN x int, ADD COLUMN y int, ALGORITHM=INSTANT;",
            dialect="mysql",
        ),
    ),
)
