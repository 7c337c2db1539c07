"""A database, runners on it in this process and in others, and sessions that get in their way."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
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
        """A runner in another process.

        ``story`` is the body of an async function with ``schema``, ``migration``, ``section``,
        ``Half`` and ``say`` in scope; ``say(x)`` prints one line of JSON.
        """
        body = textwrap.indent(textwrap.dedent(story), " " * 8)
        program = _PROGRAM.replace("STORY", body)
        return subprocess.Popen(
            [sys.executable, "-c", program, self.url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


_PROGRAM = """
import asyncio, json, sys
from pilotage.events import ignore
from pilotage.migrate.runner import RunnerSettings, SqlSchema
from pilotage.model import *
from pilotage.secret import Secret
from tests.migrations import migration, section

def say(x):
    print(json.dumps(x), flush=True)

def told(event):
    say(event.to_json())

async def main():
    settings = RunnerSettings(lock_timeout=0.1, timeout=30.0, lock_wait=20.0, batch_rows=500)
    options = {"url": Secret(sys.argv[1]), "stream": "shop", "service": "shop"}
    async with SqlSchema(**options, settings=settings) as schema:
STORY

asyncio.run(main())
"""


def until(db: Db, query: str) -> None:
    """Wait until a query of the server's views returns a row."""
    deadline = time.monotonic() + 60
    with psycopg.connect(db.url, autocommit=True) as connection:
        while connection.execute(query).fetchone() is None:  # type: ignore[arg-type]
            assert time.monotonic() < deadline, query
            time.sleep(0.01)


def told(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    """What a process says, line by line."""
    assert process.stdout is not None
    for line in process.stdout:
        yield json.loads(line)


def finish(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """Wait for a process to end well; all that it said."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return [json.loads(line) for line in out.splitlines()]


@contextmanager
def closed(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Kill the process, if it still runs, and close its pipes."""
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
