"""SQLite 3.35 and later, through Python's own driver."""

from __future__ import annotations

from pilotage.migrate.dialects.sqlite.dialect import SQLite

__all__ = ["SQLite"]
