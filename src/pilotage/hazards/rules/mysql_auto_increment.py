"""Numbers of a key will run out."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, MYSQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """AUTO_INCREMENT of fewer than eight bytes."""
    if not isinstance(change, (c.AddColumn, c.CreateTable)):
        return
    columns = change.columns if isinstance(change, c.CreateTable) else (change.column,)
    for column in columns:
        kind = column.type.lower().split("(")[0].split()
        if "AUTO_INCREMENT" in column.marks and kind[:1] not in (["bigint"], ["serial"]):
            yield Hazard(f"the numbers of {change.table}.{column.name} end: use bigint unsigned")


RULE = Rule(
    id="auto-increment-runs-out",
    numbers=(86,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="An INT ends at 2,147,483,647 (unsigned at twice that), and numbers of failed inserts are gone, too. Then each INSERT fails, and the wider type means a copy of the table.",
    on=(c.AddColumn, c.CreateTable),
    check=check,
    dialects=MYSQL,
    bad=(
        Example(
            "»CREATE TABLE log (id int AUTO_INCREMENT PRIMARY KEY, said text);", dialect="mysql"
        ),
    ),
    good=(
        Example(
            "CREATE TABLE log (id bigint unsigned AUTO_INCREMENT PRIMARY KEY, said text);",
            dialect="mysql",
        ),
    ),
)
