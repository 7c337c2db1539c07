"""A long transaction of SQLite's only writer."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rewrites import section
from pilotage.hazards.rule import BOTH, SQLITE, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c

_LARGE = 100_000  # rows: from here on an index takes longer than people wait


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """Rows that a query finds, copied or changed in one transaction; an index on a large table."""
    if isinstance(change, c.InsertRows):
        if not change.query or any(
            isinstance(x, c.Rename) and x.name.key == change.table.key for x in context.later
        ):
            return  # see `sqlite-rebuild`
        message = f"all rows that the query finds are written to {change.table} in one transaction"
        rewrite = ""
    elif isinstance(change, c.ChangeRows):
        if change.whole or context.is_idle(change.table) or _small(change.table, context):
            return  # a whole table: see `change-all-rows`
        message = f"one {change.verb} changes {change.table} in one transaction"
        rewrite = section("backfill", change.sql)
    elif isinstance(change, c.CreateIndex):
        table = context.known.table(change.table)
        if not table or not table.size or table.size.rows < _LARGE:
            return
        message, rewrite = f"the index reads {table.size.rows:,} rows of {change.table}", ""
    else:
        return
    yield Hazard(f"{message}, and SQLite has one writer: everybody else waits", rewrite)


def _small(name: c.Name, context: Context) -> bool:
    table = context.known.table(name)
    return bool(table and table.size and table.size.rows < _LARGE)


RULE = Rule(
    id="sqlite-long-write",
    numbers=(91,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="A transaction that writes locks the whole database. Beyond busy_timeout other writers fail with SQLITE_BUSY; in "
    "batches they get their turn.",
    on=(c.InsertRows, c.ChangeRows, c.CreateIndex),
    check=check,
    dialects=SQLITE,
    bad=(
        Example(
            "CREATE TABLE totals (item TEXT, n INT);\n"
            "»INSERT INTO totals SELECT item, sum(amount) FROM orders GROUP BY item;",
            dialect="sqlite",
        ),
        Example("»CREATE INDEX i ON orders (item);", rows={"orders": 2_000_000}, dialect="sqlite"),
        Example(
            "-- contract\n»UPDATE orders SET amount = 0 WHERE amount IS NULL;", dialect="sqlite"
        ),
    ),
    good=(
        Example("INSERT INTO customers VALUES (1, 'x');", dialect="sqlite"),
        Example("CREATE INDEX i ON orders (item);", rows={"orders": 2_000}, dialect="sqlite"),
    ),
)
