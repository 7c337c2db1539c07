"""A foreign key goes, and nothing keeps orphans out any longer."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, POSTGRESQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """`DROP CONSTRAINT` of a foreign key, unless its column or table goes, or it is added again."""
    if not isinstance(change, c.DropConstraint) or context.is_new(change.table):
        return
    constraint = context.known.constraint(change.table, change.constraint)
    if constraint is None or constraint.references is None:
        return
    if context.made.has("constraint", c.Name(None, change.constraint), change.table):
        return
    if any(_settles(later, change.table, constraint) for later in context.later):
        return
    yield Hazard(
        f"from now on rows of {change.table} may point at rows of {constraint.references} that are gone, "
        "and ON DELETE does nothing any longer",
    )


def _settles(later: c.Change, table: c.Name, gone: c.Constraint) -> bool:
    if isinstance(later, c.Drop):
        names = {table.key, gone.references.key if gone.references else None}
        return later.kind == "table" and later.name.key in names
    if isinstance(later, c.DropColumn):
        return later.table.key == table.key and later.column in gone.columns
    return (
        isinstance(later, c.AddConstraint)
        and later.table.key == table.key
        and later.constraint.columns == gone.columns
        and later.constraint.references is not None
    )


RULE = Rule(
    id="drop-foreign-key",
    numbers=(43,),
    class_=Class.DATA_LOSS,
    severity=Severity.WARNING,
    halves=BOTH,
    why="Orphans that are written meanwhile stop the foreign key from coming back, and nobody can say what "
    "they belonged to.",
    on=(c.DropConstraint,),
    check=check,
    dialects=POSTGRESQL,
    bad=(
        Example(
            "-- contract\nALTER TABLE b »DROP CONSTRAINT b_a_fkey;",
            before="CREATE TABLE a (id bigint PRIMARY KEY);\nCREATE TABLE b (a bigint REFERENCES a);",
        ),
    ),
    good=(
        Example(
            "-- contract\nALTER TABLE b DROP CONSTRAINT b_a_fkey;\nDROP TABLE a;",
            "what it pointed at goes as well",
            before="CREATE TABLE a (id bigint PRIMARY KEY);\nCREATE TABLE b (a bigint REFERENCES a);",
        ),
        Example("-- contract\nALTER TABLE orders DROP CONSTRAINT price_positive;"),
    ),
)
