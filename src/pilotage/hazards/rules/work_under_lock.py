"""Long work while an earlier statement of the transaction holds a lock."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.locks import ACCESS_EXCLUSIVE, held
from pilotage.hazards.rule import BOTH, POSTGRESQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """An index build, a `VALIDATE` or a `REFRESH` after a statement that took ACCESS EXCLUSIVE."""
    if isinstance(change, c.CreateIndex):
        on, work = change.table, "the index is built"
    elif isinstance(change, c.ValidateConstraint):
        on, work = change.table, f"{change.constraint} is validated"
    elif isinstance(change, c.Rewrite) and change.kind == "materialized view" and change.name:
        on, work = change.name, f"{change.name} is refreshed"
    else:
        return
    if context.is_idle(on):
        return
    locked = next((lock for lock in held(context) if lock.mode == ACCESS_EXCLUSIVE), None)
    if locked:
        yield Hazard(
            f"everybody who uses {locked.table} waits while {work}: an earlier statement of the "
            "transaction has locked it",
            context.one_by_one(),
        )


RULE = Rule(
    id="work-under-lock",
    numbers=(3,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="A lock is held to the end of its transaction. ACCESS EXCLUSIVE taken for a moment becomes one held "
    "for as long as what comes after it takes.",
    on=(c.CreateIndex, c.ValidateConstraint, c.Rewrite),
    check=check,
    dialects=POSTGRESQL,
    bad=(
        Example(
            "ALTER TABLE customers ADD COLUMN vip boolean;\n»CREATE INDEX i ON orders (amount);",
            "readers of customers wait for an index on orders",
        ),
        Example(
            "ALTER TABLE orders ADD COLUMN x int;\nALTER TABLE orders »VALIDATE CONSTRAINT known;",
            "validating reads every row",
            before="CREATE TABLE orders (id bigint PRIMARY KEY);\n"
            "ALTER TABLE orders ADD CONSTRAINT known CHECK (id > 0) NOT VALID;",
        ),
    ),
    good=(
        Example(
            "ALTER TABLE customers ADD COLUMN vip boolean;\nCREATE INDEX i ON orders (amount);",
            "orders is empty, so the build takes no time",
            rows={"orders": 0},
        ),
        Example(
            "-- pilotage: transaction=false\n"
            "ALTER TABLE customers ADD COLUMN vip boolean;\n"
            "CREATE INDEX CONCURRENTLY i ON orders (amount);",
            "each statement is a transaction of its own",
        ),
        Example(
            "CREATE TABLE fresh (id bigint PRIMARY KEY);\n"
            "ALTER TABLE fresh ADD COLUMN x int;\nCREATE INDEX i ON fresh (x);",
            "nobody uses a table that is new",
        ),
    ),
)
