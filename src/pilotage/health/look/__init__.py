"""One look at the schema: one query, in a session of its own, with nothing of an event loop.

The runner looks through `pilotage.migrate.state`, which is asynchronous and asks table by table. An instance
that answers for itself once a second asks everything in one statement, from whatever thread it is in.
"""

from __future__ import annotations

from pilotage.health.look.base import Look, Looked, LookError
from pilotage.health.look.mysql import MysqlLook
from pilotage.health.look.postgresql import PostgresLook
from pilotage.health.look.sqlite import SqliteLook
from pilotage.health.settings import Settings
from pilotage.migrate.dialects import dialect_name

__all__ = ["Look", "LookError", "Looked", "MysqlLook", "PostgresLook", "SqliteLook", "look"]


def look(settings: Settings, *, witness: str) -> Look:
    """A `Look` at the settings' database; ``witness`` of `pilotage.model.WITNESSES` names its session.

    Raises
    ------
    DatabaseUnavailable
        The URL cannot be read.
    """
    match dialect_name(settings.database):
        case "postgresql":
            return PostgresLook(settings, witness=witness)
        case "mysql":
            return MysqlLook(settings, witness=witness)
        case _:
            return SqliteLook(settings)
