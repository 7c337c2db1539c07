"""A constraint is written beside the column that ADD COLUMN adds."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, POSTGRESQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c
from pilotage.migrate.sql.online import takes_apart

_WORK = {
    "unique": "builds an index",
    "primary key": "builds an index, and reads every row",
    "check": "reads every row",
    "foreign key": "locks {references} against writers, too",
}


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """`UNIQUE`, `PRIMARY KEY`, `CHECK` or `REFERENCES` in `ADD COLUMN`."""
    if not isinstance(change, c.AddColumn) or context.is_idle(change.table):
        return
    if context.section.directives.online and takes_apart(change, context.dialect):
        return
    for constraint in change.constraints:
        work = _WORK[constraint.kind].format(references=constraint.references)
        if constraint.kind == "foreign key" and (
            change.column.default is not None or change.column.generated
        ):
            work += ", and reads every row"
        yield Hazard(
            f"the {constraint.kind} beside {change.table}.{change.column.name} {work}, under a lock that "
            "stops everybody",
            context.rewriter.add_column_without(change),
            at=None if constraint.offset is None else context.statement.start + constraint.offset,
        )


RULE = Rule(
    id="inline-constraint",
    numbers=(25,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="ADD COLUMN holds ACCESS EXCLUSIVE, and does the work of the constraint under it. Added in steps, the "
    "work is done beside readers and writers.",
    on=(c.AddColumn,),
    check=check,
    dialects=POSTGRESQL,
    mechanical=True,
    bad=(
        Example("ALTER TABLE orders ADD COLUMN code text »UNIQUE;"),
        Example("ALTER TABLE orders ADD COLUMN rate int »CHECK (rate > 0);"),
        Example("ALTER TABLE orders ADD COLUMN payer bigint »REFERENCES customers (id);"),
        Example(
            "ALTER TABLE orders ADD COLUMN place int »UNIQUE NULLS NOT DISTINCT DEFERRABLE DEFAULT 0;",
            before="CREATE TABLE orders (id bigint PRIMARY KEY);",
        ),
    ),
    good=(
        Example(
            "ALTER TABLE orders ADD COLUMN code text UNIQUE;", "it is empty", rows={"orders": 0}
        ),
        Example("CREATE TABLE fresh (id bigint PRIMARY KEY, code text UNIQUE);"),
        Example("ALTER TABLE orders ADD COLUMN code text;"),
    ),
)
