"""NULLs become zeros and empty texts."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, MYSQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def _loosens(sql: str) -> bool:
    text = sql.lower()
    return text.startswith("set") and "sql_mode" in text and "strict_" not in text


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """MODIFY to NOT NULL of a column that may hold NULL, where its file takes strict mode off."""
    if not isinstance(change, c.SetNotNull):
        return
    loose = [e for e in context.earlier if isinstance(e, c.Other) and _loosens(e.sql)]
    if loose and not context.is_idle(change.table):
        yield Hazard(
            f"each NULL in {change.table}.{change.column} is overwritten without a word",
            context.rewriter.set_not_null(
                change.table, change.column, context.type_of(change.table, change.column)
            ),
        )


RULE = Rule(
    id="null-becomes-zero",
    numbers=(78,),
    class_=Class.DATA_LOSS,
    severity=Severity.WARNING,
    halves=BOTH,
    why="Outside of strict mode MySQL writes 0, '' or 0000-00-00 in place of each NULL, without an error. Pilotage's sessions are strict; a file that sets sql_mode itself may not be.",
    on=(c.SetNotNull,),
    check=check,
    dialects=MYSQL,
    bad=(
        Example(
            "SET SESSION sql_mode = '';\nALTER TABLE orders »MODIFY amount int NOT NULL;",
            dialect="mysql",
        ),
    ),
    good=(
        Example(
            "ALTER TABLE orders MODIFY amount int NOT NULL;",
            why="in strict mode it is refused",
            dialect="mysql",
        ),
        Example(
            "SET SESSION sql_mode = 'STRICT_ALL_TABLES';\nALTER TABLE orders MODIFY amount int NOT NULL;",
            dialect="mysql",
        ),
    ),
)
