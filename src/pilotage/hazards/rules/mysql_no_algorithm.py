"""Nothing says how a table may be altered."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rewrites.mysql import explicit
from pilotage.hazards.rule import BOTH, MYSQL, Context, Example, Hazard, Rule
from pilotage.hazards.rules import mysql_copy
from pilotage.hazards.rules.mysql_alters import ALTERING, altered, is_first
from pilotage.migrate.sql import change as c
from pilotage.migrate.sql.mysql import online


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """An ALTER TABLE or an index statement without ALGORITHM and LOCK, on a table that may have rows."""
    table = altered(change)
    said = {change.algorithm, change.lock} - {"", "DEFAULT"}
    if said or table is None or not is_first(context) or mysql_copy.copies(change):
        return
    if context.is_idle(table) or not online.altered(context.statement.text):
        return
    whole = change.but(sql=context.statement.text)
    yield Hazard(f"how {table} may be altered is left to the server", explicit(whole))


RULE = Rule(
    id="no-algorithm",
    numbers=(70,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="Without a word the server takes whatever way there is, down to a copy of the table while nobody may write. Pilotage adds LOCK=NONE, so the server refuses instead; whoever runs the file with another tool has no such guard.",
    on=ALTERING,
    check=check,
    dialects=MYSQL,
    bad=(
        Example("ALTER TABLE orders »ADD COLUMN x int;", dialect="mysql"),
        Example("»CREATE INDEX i ON orders (amount);", dialect="mysql"),
        Example("ALTER TABLE orders »ADD COLUMN x int, ALGORITHM=DEFAULT;", dialect="mysql"),
        Example("ALTER TABLE orders »ORDER BY amount;", dialect="mysql"),
    ),
    good=(
        Example("DROP INDEX orders_item ON orders;", why="no index is copied", dialect="mysql"),
        Example("ALTER TABLE orders ADD COLUMN x int, ALGORITHM=INSTANT;", dialect="mysql"),
        Example(
            "CREATE TABLE fresh (n int PRIMARY KEY);\nCREATE INDEX i ON fresh (n);",
            why="it is new",
            dialect="mysql",
        ),
        Example(
            "ALTER TABLE orders ADD COLUMN x int;",
            why="it is empty",
            rows={"orders": 0},
            dialect="mysql",
        ),
    ),
)
