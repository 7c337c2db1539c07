"""A type becomes narrower than values that may be there."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import CONTRACT, POSTGRESQL, Context, Example, Hazard, Rule
from pilotage.hazards.rules.change_type import parts
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """`ALTER COLUMN TYPE` to fewer characters, digits or bytes than the column is known to have."""
    if not isinstance(change, c.AlterType) or context.new_column(change.table, change.column):
        return
    before = context.type_of(change.table, change.column)
    if before and not context.is_empty(change.table) and narrows(before, change.type):
        yield Hazard(
            f"a value of {change.table}.{change.column} that does not fit {change.type} ends the half, or "
            "is rounded",
            context.rewriter.narrow_type(change),
        )


_RANKS = (
    ("smallint", "integer", "bigint", "numeric"),
    ("real", "double precision"),
    ("date", "timestamp"),
    ("date", "timestamptz"),
)
_SIZED = {"varchar", "char", "character", "bit", "varbit", "timestamp", "timestamptz", "time"}


def narrows(before: str, after: str) -> bool:
    """Whether some value of the one type is known to have no place in the other."""
    (old, old_size), (new, new_size) = parts(before), parts(after)
    for rank in _RANKS:
        if old in rank and new in rank and rank.index(new) < rank.index(old):
            return True
    if old == new == "numeric":
        if not new_size:
            return False
        return (
            not old_size
            or new_size[0] - new_size[1] < old_size[0] - old_size[1]
            or new_size[1] < old_size[1]
        )
    if (old in _SIZED and new in _SIZED) or (old == "text" and new in _SIZED):
        return bool(new_size) and (not old_size or new_size[0] < old_size[0])
    return False


RULE = Rule(
    id="narrow-type",
    numbers=(28,),
    class_=Class.DATA_LOSS,
    severity=Severity.WARNING,
    halves=CONTRACT,
    why="The first value that is too long or too large fails the whole half, after the table has been rewritten "
    "up to there; digits after the point are rounded without a word.",
    on=(c.AlterType,),
    check=check,
    dialects=POSTGRESQL,
    bad=(
        Example("-- contract\nALTER TABLE orders »ALTER item TYPE varchar(10);"),
        Example("-- contract\nALTER TABLE orders »ALTER price TYPE numeric(10, 0);"),
        Example("-- contract\nALTER TABLE orders »ALTER amount TYPE smallint;"),
        Example("-- contract\nALTER TABLE orders »ALTER note TYPE varchar(200);"),
    ),
    good=(
        Example("-- contract\nALTER TABLE orders ALTER item TYPE varchar(40);"),
        Example("-- contract\nALTER TABLE orders ALTER amount TYPE bigint;"),
        Example(
            "-- contract\nALTER TABLE orders ALTER item TYPE varchar(10);",
            "it is empty",
            rows={"orders": 0},
        ),
    ),
)
