"""The databases that the runner speaks to."""

from __future__ import annotations

from pilotage.errors import DatabaseUnavailable
from pilotage.migrate.dialects.base import Dialect
from pilotage.secret import Secret

__all__ = ["Dialect", "dialect", "dialect_name"]


def dialect_name(url: Secret) -> str:
    """``postgresql``, ``mysql`` (MariaDB, too) or ``sqlite``, by the URL's scheme.

    Raises
    ------
    DatabaseUnavailable
        It is the URL of another database, or none.
    """
    scheme = url.reveal().strip().partition(":")[0].partition("+")[0].lower()
    match scheme:
        case "postgres" | "postgresql":
            return "postgresql"
        case "mysql" | "mariadb" | "mysql2" | "trilogy":
            return "mysql"
        case "sqlite" | "sqlite3":
            return "sqlite"
        case _:
            raise DatabaseUnavailable(
                f"the database URL begins with {scheme!r}"
                if scheme.isalnum() and len(scheme) < 20  # else it may be a secret itself
                else "the database URL does not begin with a scheme",
                next="use postgresql://…, mysql://…, mariadb://… or sqlite:///path/to/file.db",
            )


def dialect(url: Secret, migration_url: Secret | None = None) -> Dialect:
    """The dialect of a database; its driver is imported only now."""
    match dialect_name(migration_url or url):
        case "postgresql":
            from pilotage.migrate.dialects.postgresql import PostgreSQL

            return PostgreSQL(url, migration_url)
        case "mysql":
            from pilotage.migrate.dialects.mysql import MySQL

            return MySQL(url, migration_url)
    from pilotage.migrate.dialects.sqlite import SQLite

    return SQLite(migration_url or url)
