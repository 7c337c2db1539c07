"""A column changes its type: a rewrite under a lock, and a surprise for old code."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import EXPAND, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """ALTER COLUMN TYPE, unless it is known to be a widening that PostgreSQL does without a rewrite."""
    rewrite = rewrites(change, context)
    if rewrite:
        yield Hazard(
            f"{rewrite.message}, and old code meets a type it does not know", rewrite.rewrite
        )


def rewrites(change: c.Change, context: Context) -> Hazard | None:
    """The rewrite of a table for a new type; None where there is none."""
    if not isinstance(change, c.AlterType) or context.new_column(change.table, change.column):
        return None
    column = context.column(change.table, change.column)
    before = column.type if column else ""
    if before and not change.using and widens(before, change.type):
        return None
    was = f"from {before} " if before else ""
    return Hazard(
        f"{change.table}.{change.column} changes its type {was}to {change.type}: the table is "
        "rewritten under a lock that stops everybody",
        context.rewriter.change_type(change, before),
    )


def widens(before: str, after: str) -> bool:
    """Whether every value stays as it is stored, so that only the catalogue changes.

    The cases of PostgreSQL's own rules: a longer or unlimited varchar, varchar and text, a numeric of
    more digits with the same scale, more fractional seconds, cidr to inet.
    """
    (old, old_size), (new, new_size) = parts(before), parts(after)
    if old == new == "numeric":
        return not new_size or (
            bool(old_size) and old_size[1:] == new_size[1:] and new_size[0] >= old_size[0]
        )
    if (old, new) in _SAME_BYTES:
        return not new_size
    if old != new or old not in _SIZED:
        return old == new and old_size == new_size
    return not new_size or (bool(old_size) and new_size[0] >= old_size[0])


_SYNONYMS = {
    "character varying": "varchar",
    "decimal": "numeric",
    "bit varying": "varbit",
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
    "time without time zone": "time",
    "time with time zone": "timetz",
    "int": "integer",
    "int4": "integer",
    "int8": "bigint",
    "int2": "smallint",
    "bool": "boolean",
}
_SAME_BYTES = {("varchar", "text"), ("text", "varchar"), ("cidr", "inet")}
_SIZED = {"varchar", "varbit", "timestamp", "timestamptz", "time", "timetz", "interval"}


def parts(type: str) -> tuple[str, tuple[int, ...]]:
    """A type's own name and the numbers in its parentheses: ``numeric(10, 2)`` → numeric, (10, 2)."""
    name, opened, rest = type.lower().partition("(")
    inside, _, after = rest.partition(")")
    name = " ".join(f"{name} {after}".split())
    name = _SYNONYMS.get(name, name)
    given = [part.strip() for part in inside.split(",")] if opened else []
    if not all(part.isdecimal() for part in given):  # MySQL's enum('a', 'b')
        return f"{name}({inside})", ()
    numbers = tuple(int(part) for part in given)
    if name == "numeric" and len(numbers) == 1:
        numbers = (*numbers, 0)
    return name, numbers


RULE = Rule(
    id="change-type",
    numbers=(26,),
    class_=Class.OLD_CODE,
    severity=Severity.ERROR,
    halves=EXPAND,
    why="PostgreSQL rewrites the table, its indexes and checks under ACCESS EXCLUSIVE, and a prepared "
    "statement of a running release fails with 'cached plan must not change result type'.",
    on=(c.AlterType,),
    check=check,
    bad=(
        Example("ALTER TABLE orders »ALTER amount TYPE bigint;"),
        Example("ALTER TABLE elsewhere »ALTER code TYPE text;", "what type it had is not known"),
    ),
    good=(
        Example("ALTER TABLE orders ALTER item TYPE varchar(40);", "a widening, see `widen-type`"),
        Example("-- contract\nALTER TABLE orders ALTER amount TYPE bigint;", "see `rewrite-type`"),
    ),
)
