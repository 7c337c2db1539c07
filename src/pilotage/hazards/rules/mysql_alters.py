"""What the rules for MySQL share: one finding for one statement, and the table that it changes."""

from __future__ import annotations

from pilotage.hazards.rule import Context
from pilotage.migrate.sql import change as c

ALTERING = (
    c.AddColumn, c.DropColumn, c.RenameColumn, c.AlterType, c.SetNotNull, c.DropNotNull, c.SetDefault,
    c.DropDefault, c.AddConstraint, c.DropConstraint, c.CreateIndex, c.TableOption, c.Drop,
)  # fmt: skip
"""What an ALTER TABLE, a CREATE INDEX or a DROP INDEX is read into."""


def is_first(context: Context) -> bool:
    """Whether the change is the first of its statement, which is where the statement is judged."""
    before = context.pairs[context.index - 1][0] if context.index else None
    return before is None or before.start != context.statement.start


def altered(change: c.Change) -> c.Name | None:
    """The table that a statement alters; None for one that alters none."""
    if isinstance(change, c.Drop):
        return change.table if change.kind == "index" else None
    if isinstance(change, ALTERING):
        return change.table
    return None
