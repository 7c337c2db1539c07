"""A PostgreSQL database with a table to fill, and a backfill of it that is followed from outside."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from tests.integration.postgresql.support import Db
from tests.migrations import migration
from tests.servers import server

from pilotage.events import BackfillHeld, BackfillProgress, BackfillResumed, Event, ignore
from pilotage.migrate.runner import RunnerSettings, SqlSchema
from pilotage.migrate.settings import BackfillSettings
from pilotage.model import Half
from pilotage.secret import Secret

QUIET = BackfillSettings(
    batch_rows=100,
    duty=1.0,
    replication_lag=None,
    lock_wait=None,
    long_transaction=None,
    dead_rows=None,
    wraparound=False,
)
"""Small batches, and every signal off: a test turns on what it is about."""

EVEN = replace(QUIET, batch_time=10.0)
"""The same, and each batch has all of its rows, also after one that took long."""

FILE = migration(
    "1",
    "fill",
    expand="ALTER TABLE t ADD COLUMN done integer",
    backfill="UPDATE t SET done = coalesce(done, 0) + 1 WHERE done IS NULL",
)
LONG = 60.0


def table(rows: int = 2000) -> str:
    """The statement that makes the table."""
    return f"CREATE TABLE t AS SELECT i AS id FROM generate_series(1, {rows}) i"


@contextmanager
def database(major: int = 18, rows: int = 2000) -> Iterator[Db]:
    """A database with the table, which has a primary key."""
    postgres = server(major)
    with postgres.database() as name:
        db = Db(postgres, name)
        db.execute(table(rows), "ALTER TABLE t ADD PRIMARY KEY (id)")
        yield db


@dataclass(slots=True)
class Watched:
    """The events of a run, to be waited for."""

    events: list[Event] = field(default_factory=list)
    _times: list[float] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self._times.append(time.monotonic())
        self._news.set()

    def at(self, event: Event) -> float:
        """When this very event came, by the monotonic clock."""
        return next(at for one, at in zip(self.events, self._times, strict=True) if one is event)

    def of(self, kind: type[Event]) -> list[Any]:
        """Those of one class."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def rows(self) -> int:
        """Changed so far."""
        progress = self.of(BackfillProgress)
        return progress[-1].rows if progress else 0

    async def until(self, seen: Callable[[], object]) -> None:
        """Wait until ``seen()`` is true; asked at every event."""
        async with asyncio.timeout(LONG):
            while not seen():
                self._news.clear()
                await self._news.wait()

    async def held(self, number: int = 1) -> BackfillHeld:
        """The ``number``-th pause, once it is there."""
        await self.until(lambda: len(self.of(BackfillHeld)) >= number)
        found: BackfillHeld = self.of(BackfillHeld)[number - 1]
        return found

    async def resumed(self, number: int = 1) -> None:
        """Wait until it went on so many times."""
        await self.until(lambda: len(self.of(BackfillResumed)) >= number)


@asynccontextmanager
async def schema_of(
    db: Db, settings: BackfillSettings = QUIET, **changes: Any
) -> AsyncIterator[SqlSchema]:
    """A runner on the database, whose expand half is applied."""
    runner = RunnerSettings(lock_timeout=0.2, timeout=LONG, lock_wait=LONG, backfill=settings)
    options: dict[str, Any] = {
        "url": Secret(db.url), "stream": "shop", "service": "shop", "settings": runner,
    }  # fmt: skip
    async with SqlSchema(**(options | changes)) as schema:
        await schema.prepare()
        await schema.apply(FILE, Half.EXPAND, release="r", token=1, emit=ignore)
        yield schema


@asynccontextmanager
async def running(schema: SqlSchema, file: Any = FILE) -> AsyncIterator[tuple[Watched, Any]]:
    """A backfill at work, and the task that ends with it; cancelled when a test leaves early."""
    watched = Watched()
    task = asyncio.create_task(schema.backfill(file, final=False, token=1, emit=watched))
    task.add_done_callback(lambda _: watched._news.set())
    try:
        yield watched, task
    finally:
        if not task.done():
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def done(db: Db) -> list[tuple[Any, ...]]:
    """How often rows were changed, and how many of them."""
    return db.execute("SELECT done, count(*) FROM t GROUP BY done ORDER BY done")
