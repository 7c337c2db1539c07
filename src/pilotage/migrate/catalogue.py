"""Whether the catalogue holds what a half would have made: for resuming, and for ``mark --verify``."""

from __future__ import annotations

from pilotage.migrate import sql
from pilotage.migrate.dialects.base import Dialect
from pilotage.migrate.sql import Statement


def effects_of(statement: Statement, dialect: Dialect) -> tuple[sql.Effect, ...]:
    """What one statement makes or removes, as far as its text tells."""
    return tuple(sql.effects(statement.text, dialect.name))
