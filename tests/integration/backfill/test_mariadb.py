"""What backfills pause for on MariaDB, and what goes wrong there: a replica that stands still, no room, no key."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from tests.integration.backfill.support import EVEN, FILE, QUIET, running, schema_of
from tests.integration.backfill.test_bad_cases import grow, small_disk
from tests.mariadb import MariaDB, mariadb, start_mariadb
from tests.migrations import migration
from tests.servers import os_user

from pilotage.errors import BackfillBlocked, HalfFailed
from pilotage.events import BackfillResumed, Note, ignore
from pilotage.migrate.dialects import dialect as connect
from pilotage.migrate.dialects.base import Dialect, Session, Waiting
from pilotage.migrate.settings import BackfillSettings
from pilotage.secret import Secret


@dataclass(frozen=True, slots=True)
class Database:
    """A database of a server."""

    server: MariaDB
    name: str

    @property
    def url(self) -> str:
        return self.server.url(self.name)

    def execute(self, *statements: str, **options: Any) -> list[tuple[Any, ...]]:
        return self.server.execute(*statements, database=self.name, **options)


@contextmanager
def database(server: MariaDB | None = None, rows: int = 2000) -> Iterator[Database]:
    server = server or mariadb()
    with server.database() as name:
        db = Database(server, name)
        db.execute(
            "CREATE TABLE t (id int PRIMARY KEY)",
            f"INSERT INTO t SELECT seq FROM seq_1_to_{rows}",
        )
        yield db


def done(db: Database) -> list[tuple[Any, ...]]:
    return db.execute("SELECT done, count(*) FROM t GROUP BY done ORDER BY done")


async def waiting_in(dialect: Dialect, own: Sequence[Session], watcher: Session) -> Waiting:
    """Whoever waits for a lock, once that can be seen. InnoDB shows nothing new to who asks all the time."""
    async with asyncio.timeout(60):
        while not (found := await dialect.longest_wait(watcher, own)) or found[0].seconds <= 0.1:
            await asyncio.sleep(0.4)
    return found[0]


async def until_somebody_waits(db: Database) -> None:
    dialect = connect(Secret(db.url))
    async with dialect.session() as watcher:
        await waiting_in(dialect, (watcher,), watcher)


async def held_then_freed(db: Database, settings: BackfillSettings, free: Any) -> str:
    """Why a backfill pauses; it goes on to its end once ``free()`` has removed the reason."""
    async with schema_of(db, settings) as schema, running(schema) as (watched, task):  # type: ignore[arg-type]
        held = await watched.held()
        assert held.paused_by is None
        free()
        await task
        assert watched.of(BackfillResumed)
        return str(held.why[0])


def test_it_pauses_while_a_session_waits_long_for_a_row() -> None:
    with database() as db, ExitStack() as stack:
        db.execute("CREATE TABLE other (n int PRIMARY KEY)", "INSERT INTO other VALUES (1)")
        holder = stack.enter_context(closing(db.server.connect(db.name, autocommit=False)))
        holder.query("SELECT * FROM other FOR UPDATE")

        async def story() -> str:
            waiting = asyncio.create_task(
                asyncio.to_thread(db.execute, "UPDATE other SET n = 2", read_timeout=60)
            )
            await until_somebody_waits(db)
            why = await held_then_freed(db, replace(QUIET, lock_wait=0.1), holder.rollback)
            await waiting
            return why

        why = asyncio.run(story())
        assert "waits for a lock since" in why
        assert "(admin from 127.0.0.1" in why
        assert done(db) == [(1, 2000)]


def test_it_pauses_while_a_session_waits_long_for_a_table() -> None:
    with database() as db, ExitStack() as stack:
        db.execute("CREATE TABLE other (n int PRIMARY KEY)")
        holder = stack.enter_context(closing(db.server.connect(db.name, autocommit=False)))
        holder.query("SELECT * FROM other")

        async def story() -> str:
            waiting = asyncio.create_task(
                asyncio.to_thread(db.execute, "ALTER TABLE other ADD COLUMN m int", read_timeout=60)
            )
            await until_somebody_waits(db)
            why = await held_then_freed(db, replace(QUIET, lock_wait=0.1), holder.rollback)
            await waiting
            return why

        assert "waits for a lock since" in asyncio.run(story())
        assert done(db) == [(1, 2000)]


def test_who_waits_for_the_backfill_itself_is_told_apart() -> None:
    """A row that an open transaction of ours holds, seen from beside."""
    with database() as db:

        async def story() -> bool:
            dialect = connect(Secret(db.url))
            async with dialect.session() as work, dialect.session() as watcher:
                async with work.transaction():
                    await work.execute("UPDATE t SET id = 5000 WHERE id = 1")
                    waiting = asyncio.create_task(
                        asyncio.to_thread(db.execute, "UPDATE t SET id = 5001 WHERE id = 1")
                    )
                    found = await waiting_in(dialect, (work, watcher), watcher)
                await waiting
                return found.for_us

        assert asyncio.run(story())


def test_it_pauses_while_a_transaction_is_open_for_long() -> None:
    with database() as db, closing(db.server.connect(db.name, autocommit=False)) as report:
        report.query("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        time.sleep(2)  # so it is open for long before a fast machine is through with the backfill
        settings = replace(QUIET, long_transaction=0.5)
        why = asyncio.run(held_then_freed(db, settings, report.rollback))
        assert "idle) is in a transaction since" in why
        assert done(db) == [(1, 2000)]


def test_it_pauses_while_purge_does_not_keep_up() -> None:
    with database() as db, closing(db.server.connect(db.name, autocommit=False)) as report:
        db.execute("CREATE TABLE busy (n int PRIMARY KEY, m int)", "INSERT INTO busy VALUES (1, 0)")
        report.query("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        db.execute(*(["UPDATE busy SET m = m + 1"] * 1500))
        settings = replace(QUIET, dead_rows=0.01)
        why = asyncio.run(held_then_freed(db, settings, report.rollback))
        assert "InnoDB's purge does not keep up: its history list has 1," in why
        assert done(db) == [(1, 2000)]


def test_what_a_user_without_the_privilege_cannot_see_is_said_once() -> None:
    with database() as db:
        db.execute(
            "CREATE OR REPLACE USER few@'%' IDENTIFIED BY 'few'",
            f"GRANT ALL ON {db.name}.* TO few@'%'",
        )

        class Few(Database):
            @property
            def url(self) -> str:
                return self.server.url(self.name, user="few", password="few")

        settings = replace(QUIET, lock_wait=0.5, long_transaction=600.0, duty=None)

        async def story() -> list[str]:
            few: Any = Few(db.server, db.name)
            async with schema_of(few, settings) as schema, running(schema) as (watched, task):
                await task
                return [note.text for note in watched.of(Note)]

        told = asyncio.run(story())
        assert len([text for text in told if "who waits for a lock cannot be seen" in text]) == 1
        assert len([text for text in told if "(grant pg_read_all_stats, or PROCESS)" in text]) == 1
        assert done(db) == [(1, 2000)]
        db.execute("DROP USER few@'%'")


@contextmanager
def pair() -> Iterator[tuple[MariaDB, MariaDB]]:
    """A primary, and a replica that follows it."""
    with ExitStack() as stack:
        primary = start_mariadb("--server-id=1", "--log-bin=log", "--binlog-format=ROW")
        stack.callback(primary.stop)
        replica = start_mariadb("--server-id=2")
        stack.callback(replica.stop)
        replica.execute(
            f"CHANGE MASTER TO master_host='127.0.0.1', master_port={primary.port},"
            f" master_user='admin', master_password='{primary.password}',"
            " master_use_gtid=slave_pos, master_connect_retry=1",
            "START SLAVE",
        )
        yield primary, replica


def test_a_replica_that_never_catches_up_ends_the_run_and_not_the_backfill() -> None:
    with pair() as (primary, replica), database(primary) as db:
        place = Secret(replica.url(db.name))
        settings = replace(QUIET, replication_lag=0.5, longest_pause=1.0)

        async def story() -> None:
            async with asyncio.timeout(120):
                while not replica.execute(f"SHOW DATABASES LIKE '{db.name}'"):
                    await asyncio.sleep(0.05)
            async with schema_of(db, settings, replicas=(place,)) as schema:  # type: ignore[arg-type]
                replica.execute("STOP SLAVE SQL_THREAD")
                async with schema.throttles() as (throttles, session):
                    await throttles.throttle(session, "1", duty=None, rate=300.0)
                with pytest.raises(BackfillBlocked) as caught:
                    await schema.backfill(FILE, final=False, token=1, emit=ignore)
                assert "behind" in str(caught.value)
                assert str(replica.port) in str(caught.value)
                assert "the cursor is kept" in caught.value.state
                assert "replication_lag" in caught.value.next
                ((before,),) = db.execute("SELECT count(*) FROM t WHERE done = 1")
                assert before < 2000
                replica.execute("START SLAVE SQL_THREAD")
                async with schema.throttles() as (throttles, session):
                    await throttles.throttle(session, "1", duty=None, rate=None)
                async with asyncio.timeout(120):
                    while True:
                        try:
                            return await schema.backfill(FILE, final=False, token=1, emit=ignore)
                        except BackfillBlocked:  # it has not caught up within the second
                            continue

        asyncio.run(story())
        assert done(db) == [(1, 2000)]


def test_a_full_disk_is_one_clear_error_and_the_run_after_it_resumes() -> None:
    with small_disk(10) as disk, database() as db:
        place = disk / "space"
        place.mkdir()
        user = os_user()
        if user is not None:
            shutil.chown(place, user, user)
        db.execute(
            "DROP TABLE t",
            f"CREATE TABLE t (id int PRIMARY KEY, note varchar(2000)) DATA DIRECTORY = '{place}'",
            "INSERT INTO t SELECT seq, repeat('x', 150) FROM seq_1_to_6000",
        )
        file = migration(
            "1",
            "fill",
            expand="ALTER TABLE t ADD COLUMN done integer",
            backfill="UPDATE t SET note = repeat('y', 1500), done = coalesce(done, 0) + 1"
            " WHERE done IS NULL",
        )

        async def story() -> None:
            async with schema_of(db, EVEN) as schema:  # type: ignore[arg-type]
                with pytest.raises(HalfFailed, match="has no room left") as caught:
                    await schema.backfill(file, final=False, token=1, emit=ignore)
                assert "the cursor is kept" in caught.value.state
                assert caught.value.next.startswith("make room for it")
                ((before,),) = db.execute("SELECT count(*) FROM t WHERE done = 1")
                assert before % 100 == 0
                assert 0 < before < 6000
                assert f"{before} rows were changed" in caught.value.state
                grow(disk, 64)
                await schema.backfill(file, final=False, token=1, emit=ignore)

        try:
            asyncio.run(story())
            assert done(db) == [(1, 6000)]
        finally:
            db.execute("DROP TABLE IF EXISTS t")


def test_a_table_without_a_key_is_refused_before_anything_is_changed() -> None:
    with database() as db:
        db.execute("DROP TABLE t", "CREATE TABLE t (id int)", "INSERT INTO t VALUES (1), (2)")

        async def story() -> None:
            async with schema_of(db) as schema:  # type: ignore[arg-type]
                with pytest.raises(HalfFailed, match="has no key to walk by"):
                    await schema.backfill(FILE, final=False, token=1, emit=ignore)

        asyncio.run(story())
        assert done(db) == [(None, 2)]
