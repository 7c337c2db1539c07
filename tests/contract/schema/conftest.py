"""One suite for every dialect: a `Kit` is a new, empty database and a way to look into it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.mariadb import MariaDB, mariadb
from tests.servers import VERSIONS, Postgres, server

from pilotage.migrate.runner import RunnerSettings, SqlSchema
from pilotage.secret import Secret

# So that the tests' own statements are the same on every database.
_STANDARD = "ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES,STRICT_TRANS_TABLES"

PATIENT = RunnerSettings(lock_timeout=0.1, timeout=20.0, lock_wait=10.0)


@dataclass(frozen=True, slots=True)
class Kit:
    """A database of one dialect."""

    dialect: str
    url: str
    postgres: Postgres | None = None
    path: Path | None = None
    mariadb: MariaDB | None = None

    def schema(self, **changes: Any) -> SqlSchema:
        """A runner on it."""
        options: dict[str, Any] = {"stream": "shop", "service": "shop", "settings": PATIENT}
        return SqlSchema(url=Secret(self.url), **(options | changes))

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements as somebody else; the rows of the last."""
        if self.postgres is not None:
            return self.postgres.execute(*statements, database=self.url.rpartition("/")[2])
        if self.mariadb is not None:
            return self.mariadb.execute(
                *statements, database=self.url.rpartition("/")[2], sql_mode=_STANDARD
            )
        rows: list[tuple[Any, ...]] = []
        assert self.path is not None
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            for statement in statements:
                rows = connection.execute(statement).fetchall()
        return rows

    @contextmanager
    def blocked(self, table: str) -> Iterator[Callable[[], None]]:
        """Somebody else's open transaction that keeps a table from being changed, and what ends it."""
        if self.postgres is not None:
            with psycopg.connect(self.url) as session:
                session.execute(f"LOCK TABLE {table}")  # type: ignore[arg-type]
                yield session.rollback
            return
        if self.mariadb is not None:
            database = self.url.rpartition("/")[2]
            with closing(self.mariadb.connect(database, autocommit=False)) as session:
                session.query(f"SELECT * FROM {table} FOR UPDATE")
                yield session.rollback
            return
        assert self.path is not None
        with closing(sqlite3.connect(self.path, isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            yield writer.rollback


@pytest.fixture(params=[*(f"postgresql-{major}" for major in VERSIONS), "mariadb", "sqlite"])
def kit(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kit]:
    """A new database, empty."""
    name, _, major = request.param.partition("-")
    if name == "sqlite":
        path = tmp_path / "shop.db"
        path.touch()
        yield Kit("sqlite", f"sqlite:///{path}", path=path)
        return
    if name == "mariadb":
        running = mariadb()
        with running.database() as database:
            yield Kit("mysql", running.url(database), mariadb=running)
        return
    postgres = server(int(major))
    with postgres.database() as database:
        yield Kit("postgresql", postgres.url(database), postgres=postgres)


@pytest.fixture(params=VERSIONS)
def postgresql(request: pytest.FixtureRequest) -> Iterator[Kit]:
    """A new PostgreSQL database, for what the others have nothing of."""
    postgres = server(request.param)
    with postgres.database() as database:
        yield Kit("postgresql", postgres.url(database), postgres=postgres)
