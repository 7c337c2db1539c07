"""Whether the catalogue holds what a half would have made: for resuming, and for ``mark --verify``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pilotage.migrate import sql
from pilotage.migrate.dialects.base import Dialect, Session
from pilotage.migrate.sql import Effect, Statement


@dataclass(frozen=True, slots=True)
class Findings:
    """What looking for effects found. False when nothing is ``missing``.

    ``missing``: the catalogue shows that they are not so. ``unknown``: it cannot tell.
    """

    missing: tuple[Effect, ...] = ()
    unknown: tuple[Effect, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.missing)


def effects_of(statement: Statement, dialect: Dialect) -> tuple[Effect, ...]:
    """What one statement makes or removes, as far as its text tells."""
    return sql.effects(statement.text, dialect.name)


async def missing_effects(
    dialect: Dialect, session: Session, effects: Iterable[Effect]
) -> Findings:
    """Look for each effect in the catalogue."""
    missing, unknown = [], []
    for effect in effects:
        found = await dialect.holds(session, effect)
        if found is None:
            unknown.append(effect)
        elif not found:
            missing.append(effect)
    return Findings(tuple(missing), tuple(unknown))
