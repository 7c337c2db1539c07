"""A database, runners on it in this process and in others, and sessions that get in their way."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from tests.runners import start
from tests.servers import Postgres

from pilotage.migrate.runner import RunnerSettings, SqlSchema
from pilotage.secret import Secret

QUICK = RunnerSettings(lock_timeout=0.1, timeout=30.0, lock_wait=20.0)


@dataclass(frozen=True, slots=True)
class Db:
    """A database of a server."""

    server: Postgres
    name: str

    @property
    def url(self) -> str:
        """Its URL, as the superuser."""
        return self.server.url(self.name)

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements as the superuser; the rows of the last."""
        return self.server.execute(*statements, database=self.name)

    def schema(self, **changes: Any) -> SqlSchema:
        """A runner in this process."""
        options: dict[str, Any] = {
            "url": Secret(self.url),
            "stream": "shop",
            "service": "shop",
            "settings": QUICK,
        }
        return SqlSchema(**(options | changes))

    @contextmanager
    def connection(self, **options: Any) -> Iterator[psycopg.Connection[Any]]:
        """Somebody's session, in a transaction of its own."""
        with psycopg.connect(self.url, **options) as connection:
            yield connection

    def process(self, story: str) -> subprocess.Popen[str]:
        """A runner in another process; see `tests.runners.start`."""
        return start(self.url, story)


def until(db: Db, query: str) -> None:
    """Wait until a query of the server's views returns a row."""
    deadline = time.monotonic() + 60
    with psycopg.connect(db.url, autocommit=True) as connection:
        while connection.execute(query).fetchone() is None:  # type: ignore[arg-type]
            assert time.monotonic() < deadline, query
            time.sleep(0.01)
