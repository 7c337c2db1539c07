"""A new column for which the whole table is written anew."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, Context, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """A volatile default, serial, identity, or a stored generated column."""
    if not isinstance(change, c.AddColumn) or context.is_new(change.table):
        return
    column = change.column
    default = (column.default or "").lower()
    if column.generated or any(f"{name}(" in default for name in _VOLATILE):
        rewrite = context.rewriter.add_column_in_steps(change)
        if rewrite or column.generated:
            yield Hazard(
                f"{change.table} is rewritten under a lock that stops everybody, to give every row its "
                f"{column.name}",
                rewrite,
            )


_VOLATILE = (
    "gen_random_uuid",
    "random",
    "clock_timestamp",
    "nextval",
    "uuid_generate_v4",
    "uuidv7",
)

RULE = Rule(
    id="add-column-rewrite",
    numbers=(21, 23, 24),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="A constant or stable default is kept once in the catalogue; any other must be written into "
    "each row.",
    on=(c.AddColumn,),
    check=check,
    mechanical=True,
)
