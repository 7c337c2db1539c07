"""MySQL 8 and MariaDB 10.6 and later, through PyMySQL."""

from __future__ import annotations

from pilotage.migrate.dialects.mysql.dialect import MySQL

__all__ = ["MySQL"]
