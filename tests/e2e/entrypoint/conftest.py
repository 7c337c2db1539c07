"""Images: a folder of migrations and an environment; containers: the real command in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.servers import Postgres, free_port, server

CREATE = "CREATE TABLE orders (id integer PRIMARY KEY, item text);\n"
RENAME = """\
-- expand
ALTER TABLE orders ADD COLUMN product text;
-- backfill
UPDATE orders SET product = item WHERE product IS NULL AND item IS NOT NULL;
-- contract
ALTER TABLE orders DROP COLUMN item;
"""
SLOW = "-- expand\nALTER TABLE orders ADD COLUMN slow int;\nSELECT pg_sleep(600);\n"

APP = (sys.executable, "-c", "import time; print('serving', flush=True); time.sleep(600)")
"""A server, as far as anybody here can tell."""

SERVER = f"{sys.executable} -c *"


@dataclass(slots=True)
class Image:
    """One release of the shop, with what a container of it finds in its environment."""

    root: Path
    postgres: Postgres
    database: str
    release: str
    containers: list[subprocess.Popen[str]] = field(default_factory=list)

    def write(self, name: str, text: str) -> Path:
        """Put a migration into the image."""
        path = self.root / "db" / "migrations" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    @property
    def environment(self) -> dict[str, str]:
        """The whole environment of a container."""
        return {
            **{k: v for k, v in os.environ.items() if not k.startswith(("PILOTAGE_", "PG"))},
            "DATABASE_URL": self.postgres.url(self.database),
            "PILOTAGE_SERVICE": "shop",
            "PILOTAGE_RELEASE": self.release,
        }

    def start(
        self, *words: str, entrypoint: tuple[str, ...] = ("--server", SERVER), **environ: str
    ) -> subprocess.Popen[str]:
        """Start ``pilotage entrypoint -- words``; by default the server."""
        container = subprocess.Popen(
            [sys.executable, "-m", "pilotage", "entrypoint", *entrypoint, "--", *(words or APP)],
            cwd=self.root,
            env={**self.environment, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.containers.append(container)
        return container

    def run(self, *arguments: str, status: int = 0, **environ: str) -> tuple[str, str]:
        """Run ``pilotage …`` to its end; what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "pilotage", *arguments],
            cwd=self.root,
            env={**self.environment, **environ},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == status, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout, done.stderr

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements as the superuser; the rows of the last."""
        return self.postgres.execute(*statements, database=self.database)

    def halves(self) -> dict[str, bool]:
        """Each half on record, and whether it is finished."""
        rows = self.execute(
            "SELECT version || '/' || half, finished_at IS NOT NULL FROM pilotage_migrations"
        )
        return {str(ref): bool(finished) for ref, finished in rows}

    def columns(self) -> set[str]:
        """The columns of orders."""
        rows = self.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'orders'"
        )
        return {str(name) for (name,) in rows}

    def sessions(self) -> set[str]:
        """The names of the sessions in the database."""
        rows = self.postgres.execute(
            f"SELECT application_name FROM pg_stat_activity WHERE datname = '{self.database}'"
        )
        return {str(name) for (name,) in rows}


def serves(container: subprocess.Popen[str]) -> None:
    """Wait until the server says that it serves."""
    assert container.stdout is not None
    line = container.stdout.readline()
    assert line == "serving\n", line + (container.stderr.read() if container.stderr else "")


def until(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def asleep(image: Image) -> Callable[[], list[tuple[object, ...]]]:
    """Which sessions run a migration of the image that sleeps: their pids."""
    query = (
        "SELECT pid FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND state = 'active'"
        f" AND datname = '{image.database}' AND pid <> pg_backend_pid()"
    )
    return lambda: image.postgres.execute(query)


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Image]:
    """The first release, whose database does not exist yet."""
    with images(tmp_path) as make:
        made = make("a" * 12)
        made.write("1_create.sql", CREATE)
        yield made


@pytest.fixture
def newer(image: Image, tmp_path: Path) -> Image:
    """The second release, of the same database."""
    made = Image(tmp_path / "b", image.postgres, image.database, "b" * 12, image.containers)
    made.write("1_create.sql", CREATE)
    made.write("2_rename.sql", RENAME)
    return made


@contextmanager
def images(directory: Path) -> Iterator[Callable[[str], Image]]:
    """Makes images of one database; at the end their containers are killed, and it is dropped."""
    postgres = server(15)
    database = f"shop_{free_port()}"
    containers: list[subprocess.Popen[str]] = []
    try:
        yield lambda release: Image(directory / release[0], postgres, database, release, containers)
    finally:
        for container in containers:
            container.kill()
            container.communicate()
        with psycopg.connect(postgres.url(), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)".encode())


def signalled(container: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str]:
    """Send a signal; the exit status, and what was said."""
    container.send_signal(number)
    _, said = container.communicate(timeout=60)
    return container.returncode, said
