"""A table is copied because the statement asks for it, or makes its partitions anew."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, MYSQL, Context, Example, Hazard, Rule
from pilotage.hazards.rules.mysql_alters import ALTERING, altered, is_first
from pilotage.migrate.sql import change as c

_ANEW = frozenset(
    {"partition partition", "remove partition", "coalesce partition", "reorganize partition"}
    | {"rebuild partition", "optimize partition"}
)


def copies(change: c.Change) -> bool:
    """Whether rows go from partition to partition: what there is no other way for. A new partition that is
    not named has its rows from the others."""
    if not isinstance(change, c.TableOption):
        return False
    shared = change.kind == "add partition" and "PARTITIONS" in change.detail.upper().split()
    return change.kind in _ANEW or shared


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """`ALGORITHM=COPY`; `PARTITION BY`, and what moves rows between partitions."""
    table = altered(change)
    copied = copies(change) or change.algorithm == "COPY"
    if copied and table and is_first(context) and not context.is_idle(table):
        yield Hazard(
            f"{table} is copied row by row, and whoever writes to it waits until that is done"
        )


RULE = Rule(
    id="copy-table",
    numbers=(68,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="A copy writes every row anew while nobody may write (MariaDB from 11.2 on alone lets them), and needs the table's room a second time.",
    on=ALTERING,
    check=check,
    dialects=MYSQL,
    bad=(
        Example("ALTER TABLE orders »ENGINE=InnoDB, ALGORITHM=COPY;", dialect="mysql"),
        Example("ALTER TABLE orders »PARTITION BY HASH (id) PARTITIONS 4;", dialect="mysql"),
        Example("ALTER TABLE orders »ADD PARTITION PARTITIONS 2;", dialect="mysql"),
    ),
    good=(
        Example(
            "ALTER TABLE orders ADD PARTITION (PARTITION p9 VALUES LESS THAN (9000));",
            why="it begins empty",
            dialect="mysql",
        ),
        Example("ALTER TABLE orders ADD COLUMN x int, ALGORITHM=INSTANT;", dialect="mysql"),
        Example(
            "ALTER TABLE orders ENGINE=InnoDB, ALGORITHM=COPY;",
            why="it is empty",
            rows={"orders": 0},
            dialect="mysql",
        ),
    ),
)
