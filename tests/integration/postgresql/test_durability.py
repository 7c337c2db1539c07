"""Commits that do not wait for the disk: where they are allowed, and what a crash may then undo.

See ``docs/explanation/durability.md``.
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import psycopg
import pytest
from tests.integration.postgresql.support import Db
from tests.migrations import migration
from tests.runners import closed, told
from tests.servers import VERSIONS, start_postgres

from pilotage.errors import HalfFailed
from pilotage.events import Event, HalfFinished, ignore
from pilotage.migrate.migration import Migration
from pilotage.migrate.runner import SqlSchema
from pilotage.model import Half, Kind, Registration, Ships

ROUNDS = int(os.environ.get("PILOTAGE_CRASHES", "4"))
"""Crashes for each major version."""

FILES = [migration(str(n), expand=f"CREATE TABLE t{n} (i integer)") for n in range(1, 9)]

# Notes the level at which each transaction is going to be committed: those that change the schema, and
# those that write a row of pilotage's.
WATCH = (
    "CREATE TABLE pilotage_test_levels (what text, level text)",
    "CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO"
    " pilotage_test_levels VALUES ('ddl', current_setting('synchronous_commit')); END $$",
    "CREATE FUNCTION settled() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO"
    " pilotage_test_levels VALUES ('settled', current_setting('synchronous_commit'));"
    " RETURN NULL; END $$",
    "CREATE TRIGGER settled AFTER UPDATE ON pilotage_migrations"
    " FOR EACH ROW EXECUTE FUNCTION settled()",
    "CREATE EVENT TRIGGER note ON ddl_command_end EXECUTE FUNCTION note()",
)


async def run(schema: SqlSchema, files: list[Migration], events: list[Event]) -> None:
    """All of them in one go."""
    done = await schema.apply_some(
        files, release="r1", token=1, emit=events.append, fresh=True, seconds=60.0
    )
    assert done == len(files)


def watch(db: Db) -> None:
    """Note the levels from here on. Returns when the session that arranged it is gone, which is later
    than it was closed here; as long as it is listed, a runner is not alone."""
    db.execute(*WATCH)
    others = f"datname = '{db.name}' AND application_name <> 'pilotage'"
    deadline = time.monotonic() + 60
    while db.server.execute(f"SELECT 1 FROM pg_stat_activity WHERE {others}"):
        assert time.monotonic() < deadline, "a session did not end"
        time.sleep(0.01)


def levels(db: Db) -> list[tuple[str, str]]:
    return [(str(what), str(level)) for what, level in db.execute("TABLE pilotage_test_levels")]


def test_in_an_empty_database_only_the_last_commit_waits(one_db: Db) -> None:
    async def story() -> None:
        async with one_db.schema() as schema:
            await schema.prepare()
            watch(one_db)
            await run(schema, FILES, [])

    asyncio.run(story())
    off = [("ddl", "off")] * len(FILES)
    assert levels(one_db) == [*off, *[("settled", "on")] * len(FILES)]


def test_the_last_commit_is_as_the_server_is_configured(one_db: Db) -> None:
    one_db.execute(f"ALTER DATABASE {one_db.name} SET synchronous_commit = local")

    async def story() -> None:
        async with one_db.schema() as schema:
            await schema.prepare()
            watch(one_db)
            await run(schema, FILES, [])

    asyncio.run(story())
    assert levels(one_db)[-1] == ("settled", "local")


def test_when_one_fails_those_before_it_are_settled_first(one_db: Db) -> None:
    files = [*FILES[:3], migration("9", expand="CREATE INDEX x ON nowhere (i)")]
    events: list[Event] = []

    async def story() -> None:
        async with one_db.schema() as schema:
            await schema.prepare()
            watch(one_db)
            with pytest.raises(HalfFailed):
                await run(schema, files, events)

    asyncio.run(story())
    assert levels(one_db) == [("ddl", "off")] * 3 + [("settled", "on")] * 3
    assert len([event for event in events if isinstance(event, HalfFinished)]) == 3


def test_every_commit_waits_while_somebody_else_is_connected(one_db: Db) -> None:
    async def story() -> None:
        async with one_db.schema() as schema:
            await schema.prepare()
            watch(one_db)
            with one_db.connection():
                await run(schema, FILES, [])

    asyncio.run(story())
    assert levels(one_db) == [("ddl", "on")] * len(FILES)


def test_every_commit_waits_once_an_instance_has_registered(one_db: Db) -> None:
    async def story() -> None:
        async with one_db.schema() as schema:
            await schema.prepare()
            watch(one_db)
            await schema.register(
                Registration("web-1", "shop", "h1", "r1", ships=Ships(), kind=Kind.TRAFFIC)
            )
            await run(schema, FILES, [])

    asyncio.run(story())
    assert levels(one_db) == [("ddl", "on")] * len(FILES)


def test_every_commit_waits_where_something_was_before(one_db: Db) -> None:
    one_db.execute("CREATE TABLE old (i integer)")

    async def story() -> None:
        async with one_db.schema() as schema:
            await schema.prepare()
            watch(one_db)
            await run(schema, FILES, [])

    asyncio.run(story())
    assert levels(one_db) == [("ddl", "on")] * len(FILES)


def test_a_half_alone_waits(one_db: Db) -> None:
    async def story() -> None:
        async with one_db.schema() as schema:
            await schema.prepare()
            watch(one_db)
            await schema.apply(
                FILES[0], Half.EXPAND, release="r1", token=1, emit=ignore, fresh=True
            )

    asyncio.run(story())
    assert levels(one_db) == [("ddl", "on")]


# ----------------------------------------------------------------------------------------------
# Crashes
# ----------------------------------------------------------------------------------------------

COUNT = 600

STORY = f"""
files = [migration(str(n), expand=f"CREATE TABLE t{{n}} (i integer)") for n in range(1, {COUNT + 1})]
await schema.prepare()
await schema.claim(token=1)
say("go")
done = 0
while done < len(files):
    done += await schema.apply_some(
        files[done:], release="r1", token=1, emit=told, fresh=True, seconds=0.1
    )
say("done")
"""


@pytest.fixture(params=VERSIONS)
def db(request: pytest.FixtureRequest) -> Iterator[Db]:
    """A server that writes its log to disk only when a commit waits for it, for a test to crash."""
    server = start_postgres(request.param, fsync="on", wal_writer_delay="10s", wal_buffers="16MB")
    try:
        yield Db(server, "shop")
    finally:
        server.stop()


def test_what_was_told_or_seen_as_applied_survives_a_crash(db: Db) -> None:
    dice = random.Random(db.server.major)
    undone = 0
    for _ in range(ROUNDS):
        db.server.execute("DROP DATABASE IF EXISTS shop", "CREATE DATABASE shop")
        finished: set[str] = set()
        seen: set[str] = set()
        with closed(db.process(STORY)) as process, looking(db, seen):
            lines = told(process)
            assert next(lines) == "go"
            crash = threading.Timer(dice.uniform(0.0, 0.6), db.server.crash)
            crash.start()
            for line in lines:
                if isinstance(line, dict) and line["event"] == "HalfFinished":
                    finished.add(line["half"].removesuffix("/expand"))
            crash.join()
        db.server.start_again()
        rows = {str(version): bool(at) for version, at in db.execute(ROWS)}
        tables = {str(name)[1:] for (name,) in db.execute(TABLES)}
        assert tables == set(rows), "a row and what it tells of go together"
        assert finished <= {version for version, over in rows.items() if over}
        assert seen <= {version for version, over in rows.items() if over}
        numbers = sorted(map(int, rows))
        assert numbers == list(range(1, len(numbers) + 1)), "what is lost is the end"
        undone += len(finished) < COUNT
        with closed(db.process(STORY)) as process:
            assert list(told(process))[-1] == "done"
        assert db.execute(UNFINISHED) == [(COUNT, 0)]
    assert undone, "no crash came in the middle of it"


ROWS = "SELECT version, finished_at IS NOT NULL FROM pilotage_migrations"
TABLES = r"SELECT tablename FROM pg_tables WHERE tablename ~ '^t\d+$'"
UNFINISHED = "SELECT count(*), count(*) FILTER (WHERE finished_at IS NULL) FROM pilotage_migrations"


class looking:
    """Somebody who connects now and then, and acts upon what is shown as applied."""

    def __init__(self, db: Db, seen: set[str]) -> None:
        self._db = db
        self._seen = seen
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.is_set():
            with suppress(psycopg.Error), psycopg.connect(self._db.url, autocommit=True) as other:
                self._seen.update(str(v) for v, finished in other.execute(ROWS) if finished)
            time.sleep(0.03)
