"""PostgreSQL 14 and later, through psycopg 3."""

from __future__ import annotations

from pilotage.migrate.dialects.postgresql.dialect import PostgreSQL

__all__ = ["PostgreSQL"]
