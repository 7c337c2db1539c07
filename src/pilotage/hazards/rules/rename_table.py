"""A table changes its name under the code that uses it."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import EXPAND, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """RENAME (or SET SCHEMA) of a table that this file did not make."""
    if not isinstance(change, c.Rename) or change.kind != "table":
        return
    if context.is_new(change.name) or any(_keeps(change, later) for later in context.later):
        return
    yield Hazard(
        f"the table {change.name} becomes {change.to} while old code uses the old name",
        context.rewriter.rename_table(change, _columns(context, change.name)),
    )


def _columns(context: Context, table: c.Name) -> tuple[c.Column, ...]:
    known = context.known.table(table)
    return tuple(known.columns.values()) if known else ()


def _keeps(rename: c.Rename, other: c.Change) -> bool:
    """Whether a view takes the old name in the same half."""
    return (
        isinstance(other, c.Create) and other.kind == "view" and other.name.key == rename.name.key
    )


RULE = Rule(
    id="rename-table",
    numbers=(32,),
    class_=Class.OLD_CODE,
    severity=Severity.ERROR,
    halves=EXPAND,
    why="Old and new releases run at the same time and need both names.",
    on=(c.Rename,),
    check=check,
    bad=(
        Example("»ALTER TABLE orders RENAME TO sales;"),
        Example("ALTER TABLE orders »RENAME TO sales;", dialect="sqlite"),
    ),
    good=(
        Example(
            "ALTER TABLE orders RENAME TO sales;\nCREATE VIEW orders AS SELECT * FROM sales;",
            "the old name stays",
        ),
    ),
)
