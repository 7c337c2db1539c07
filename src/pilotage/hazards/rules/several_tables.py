"""One transaction locks several tables in use."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.locks import held, strong_locks
from pilotage.hazards.rule import BOTH, POSTGRESQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c

_SMALL = 1_000  # rows: such a table is seldom a hot one


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """A statement that locks a second table in use, while the transaction holds the lock of a first."""
    if not context.section.directives.transaction:
        return
    mine = [lock.table for lock in strong_locks(change, context) if not _small(lock.table, context)]
    if not mine:
        return
    before = {lock.table.key: lock for lock in held(context) if not _small(lock.table, context)}
    first = next(iter(before.values()), None)
    second = next((table for table in mine if table.key not in before), None)
    if first is None or second is None or len(before) > 1:
        return  # nothing yet, the same table again, or said already
    yield Hazard(
        f"the transaction locks {first.table} and then {second}, and holds both: code that locks them in "
        "the other order ends in a deadlock",
        context.one_by_one(),
    )


def _small(name: c.Name, context: Context) -> bool:
    table = context.known.table(name)
    return bool(table and table.size and table.size.rows <= _SMALL)


RULE = Rule(
    id="several-tables",
    numbers=(51,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="While the second lock is waited for, everybody who uses the first table waits as well. Statements in "
    "transactions of their own, or files of their own, hold one lock at a time.",
    on=(
        c.AddColumn,
        c.AddConstraint,
        c.AlterType,
        c.Create,
        c.CreateIndex,
        c.Drop,
        c.DropColumn,
        c.DropConstraint,
        c.DropDefault,
        c.DropNotNull,
        c.Rename,
        c.RenameColumn,
        c.Restrict,
        c.SetDefault,
        c.SetNotNull,
        c.Truncate,
    ),
    check=check,
    dialects=POSTGRESQL,
    bad=(
        Example(
            "ALTER TABLE orders ADD COLUMN x int;\nALTER TABLE customers »ADD COLUMN y int;",
        ),
        Example(
            "ALTER TABLE orders ADD COLUMN x int;\n"
            "ALTER TABLE orders »ADD FOREIGN KEY (customer_id) REFERENCES customers (id) NOT VALID;",
            "a foreign key locks both of its tables",
        ),
    ),
    good=(
        Example(
            "-- pilotage: transaction=false\n"
            "ALTER TABLE orders ADD COLUMN x int;\nALTER TABLE customers ADD COLUMN y int;"
        ),
        Example("ALTER TABLE orders ADD COLUMN x int;\nALTER TABLE orders ADD COLUMN y int;"),
        Example(
            "ALTER TABLE orders ADD COLUMN x int;\nALTER TABLE customers ADD COLUMN y int;",
            "the one is small",
            rows={"customers": 20},
        ),
        Example(
            "ALTER TABLE orders ADD COLUMN x int;\nCREATE TABLE fresh (id bigint PRIMARY KEY);"
        ),
    ),
)
