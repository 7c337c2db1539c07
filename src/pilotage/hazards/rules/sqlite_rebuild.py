"""A table of SQLite is written anew while nobody else can write."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import CONTRACT, SQLITE, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c

_SMALL = 10_000  # rows, which are copied in well under a second


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """`DROP COLUMN`, and the copy of one table into another that takes its name."""
    if isinstance(change, c.DropColumn):
        table, how = (
            change.table,
            f"dropping {change.column} writes every row of {change.table} anew",
        )
        if context.new_column(table, change.column):
            return
    elif isinstance(change, c.InsertRows) and change.query:
        renamed = next(
            (
                x
                for x in context.later
                if isinstance(x, c.Rename) and x.name.key == change.table.key
            ),
            None,
        )
        if renamed is None:
            return
        table, how = renamed.to, f"all rows of {renamed.to} are copied into {change.table}"
    else:
        return
    known = context.known.table(table)
    if context.is_idle(table) or (known and known.size and known.size.rows <= _SMALL):
        return
    yield Hazard(f"{how} in one transaction, and SQLite has one writer: everybody else waits")


RULE = Rule(
    id="sqlite-rebuild",
    numbers=(89,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=CONTRACT,
    why="SQLite's ALTER TABLE can change little, and does the rest by copying. Beyond busy_timeout writers fail with "
    "SQLITE_BUSY; a column that nobody uses may as well stay.",
    on=(c.DropColumn, c.InsertRows),
    check=check,
    dialects=SQLITE,
    bad=(
        Example("-- contract\nALTER TABLE orders »DROP COLUMN amount;", dialect="sqlite"),
        Example(
            "-- contract\nCREATE TABLE orders_new (id INTEGER PRIMARY KEY, item TEXT);\n"
            "»INSERT INTO orders_new SELECT id, item FROM orders;\n"
            "DROP TABLE orders;\nALTER TABLE orders_new RENAME TO orders;",
            dialect="sqlite",
        ),
    ),
    good=(
        Example(
            "-- contract\nALTER TABLE orders DROP COLUMN amount;",
            "it is small",
            rows={"orders": 500},
            dialect="sqlite",
        ),
        Example("ALTER TABLE orders ADD COLUMN x INT;", "no row is touched", dialect="sqlite"),
    ),
)
