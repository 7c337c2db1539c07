"""A table or a column is converted to another character set."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, MYSQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """CONVERT TO CHARACTER SET, and MODIFY with another CHARACTER SET."""
    if not isinstance(change, (c.TableOption, c.AlterType)):
        return
    if context.is_idle(change.table):
        return
    if isinstance(change, c.TableOption):
        if change.kind == "convert":
            yield Hazard(
                f"every text of {change.table} is written anew: convert a copy, column by column"
            )
        return
    column = context.column(change.table, change.column)
    new = change.definition.charset if change.definition else ""
    if column and new and new != column.charset:
        yield Hazard(f"every {change.table}.{change.column} is written anew in {new}")


RULE = Rule(
    id="convert-charset",
    numbers=(77,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="Every text is written anew. What the new character set cannot hold is lost, columns may change their types to have room, and indexes may become too long.",
    on=(c.TableOption, c.AlterType),
    check=check,
    dialects=MYSQL,
    bad=(
        Example("ALTER TABLE orders »CONVERT TO CHARACTER SET latin1;", dialect="mysql"),
        Example(
            "ALTER TABLE orders »MODIFY item varchar(20) CHARACTER SET latin1 NOT NULL;",
            dialect="mysql",
        ),
    ),
    good=(
        Example(
            "ALTER TABLE orders DEFAULT CHARACTER SET utf8mb4;",
            why="of new columns alone",
            dialect="mysql",
        ),
    ),
)
