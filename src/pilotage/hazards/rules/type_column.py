"""A column takes a name that frameworks give a meaning to."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import EXPAND, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c

_MEANINGS = {"type": "the class of a row (single-table inheritance)"}


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """A column called `type` on a table of old code."""
    if isinstance(change, c.AddColumn):
        name = change.column.name
    elif isinstance(change, c.RenameColumn):
        name = change.to
    else:
        return
    meaning = _MEANINGS.get(name)
    if meaning and not context.is_new(change.table):
        yield Hazard(
            f"for old code that is written with Rails {change.table}.{name} is {meaning}, and reading a row "
            "whose value names no class fails"
        )


RULE = Rule(
    id="type-column",
    numbers=(67,),
    class_=Class.OLD_CODE,
    severity=Severity.WARNING,
    halves=EXPAND,
    why="Active Record takes the column for its own as soon as it is there. Call it `kind`, or release "
    "`self.inheritance_column = nil` first.",
    on=(c.AddColumn, c.RenameColumn),
    check=check,
    bad=(
        Example("ALTER TABLE orders »ADD COLUMN type text;"),
        Example("ALTER TABLE orders »ADD type TEXT;", dialect="sqlite"),
    ),
    good=(
        Example("ALTER TABLE orders ADD COLUMN kind text;"),
        Example("CREATE TABLE fresh (type text);", "no old code reads it"),
    ),
)
