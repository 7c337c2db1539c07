"""A table with foreign keys to several others is dropped in one statement."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, POSTGRESQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """`DROP TABLE` of a table that two or more tables in use are tied to by foreign keys."""
    if not isinstance(change, c.Drop) or change.kind != "table" or context.is_new(change.name):
        return
    table = context.known.table(change.name)
    ties: dict[tuple[c.Name, str], c.Name] = {}  # constraint → the table at its other end
    for name, constraint in table.constraints.items() if table else ():
        target = constraint.references
        if target and target.key != change.name.key and not context.is_idle(target):
            ties[change.name, name] = target
    for other, constraint in context.known.referencing(change.name):
        name = next(name for name, x in other.constraints.items() if x is constraint)
        if not context.is_idle(other.name):
            ties[other.name, name] = other.name
    others = dict.fromkeys(ties.values())
    if len(others) > 1:
        yield Hazard(
            f"dropping {change.name} locks {', '.join(map(str, others))} against everybody, all at once",
            context.rewriter.drop_table_in_steps(change, tuple(ties)),
        )


RULE = Rule(
    id="drop-referencing-table",
    numbers=(40,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="A foreign key is a pair of triggers, one on each side, and dropping them takes ACCESS EXCLUSIVE on "
    "both tables. One after the other, each is locked for a moment.",
    on=(c.Drop,),
    check=check,
    dialects=POSTGRESQL,
    bad=(
        Example(
            "-- contract\n»DROP TABLE lines;",
            before="CREATE TABLE a (id bigint PRIMARY KEY);\nCREATE TABLE b (id bigint PRIMARY KEY);\n"
            "CREATE TABLE lines (a bigint REFERENCES a, b bigint REFERENCES b);",
        ),
    ),
    good=(
        Example(
            "-- contract\nDROP TABLE lines;",
            "one foreign key",
            before="CREATE TABLE a (id bigint PRIMARY KEY);\n"
            "CREATE TABLE lines (a bigint REFERENCES a);",
        ),
    ),
)
