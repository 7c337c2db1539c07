"""Waiting for locks without standing in anybody's way, and one runner at a time."""

from __future__ import annotations

import asyncio
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from tests.integration.postgresql.support import QUICK, Db, until
from tests.migrations import migration, section
from tests.runners import closed, finish

from pilotage.errors import LockUnavailable
from pilotage.events import Event, HalfFinished, HalfRetried, ignore
from pilotage.model import Half, Kind, Registration, Ships

pytestmark = pytest.mark.integration


def test_the_whole_transaction_is_retried_and_no_lock_is_kept_in_the_pause(db: Db) -> None:
    db.execute("CREATE TABLE first (i int)", "CREATE TABLE busy (i int)")
    file = migration(
        "1", expand="ALTER TABLE first ADD COLUMN a int;\nALTER TABLE busy ADD COLUMN a int"
    )
    events: list[Event] = []
    locked: list[object] = []

    async def story() -> None:
        with db.connection(application_name="report") as reader:
            reader.execute("SELECT * FROM busy")

            def emit(event: Event) -> None:
                events.append(event)
                if isinstance(event, HalfRetried):
                    locked.append(
                        db.execute(
                            "SELECT count(*) FROM pg_locks WHERE relation = 'first'::regclass"
                        )
                    )
                    db.execute("INSERT INTO first (i) VALUES (1)")
                    if "report" in event.why:
                        reader.rollback()

            async with db.schema() as schema:
                await schema.prepare()
                await schema.apply(file, Half.EXPAND, release="r", token=1, emit=emit)

    asyncio.run(story())
    retries = [event for event in events if isinstance(event, HalfRetried)]
    assert [event.attempt for event in retries] == list(range(1, len(retries) + 1))
    assert locked == [[(0,)]] * len(retries)
    assert all("not granted within 100 ms" in event.why for event in retries)
    assert "(report, role postgres, idle in transaction" in retries[-1].why
    assert "SELECT * FROM busy" in retries[-1].why
    assert isinstance(events[-1], HalfFinished)
    assert db.execute("SELECT count(a) FROM first") == [(0,)]


@pytest.mark.parametrize("transaction", [True, False])
def test_it_gives_up_at_the_limit_and_says_who_was_in_the_way(
    one_db: Db, transaction: bool
) -> None:
    one_db.execute("CREATE TABLE busy (i int)")
    text = "CREATE TABLE new (i int);\nALTER TABLE busy ADD COLUMN a int"
    file = migration("1", expand=section(text, line=3, transaction=transaction))

    async def story() -> str:
        with one_db.connection(application_name="report") as reader:
            reader.execute("SELECT * FROM busy")
            pid = reader.info.backend_pid
            async with one_db.schema(
                settings=replace(QUICK, lock_timeout=1.0, timeout=5.0)
            ) as schema:
                await schema.prepare()
                with pytest.raises(LockUnavailable, match=rf"session {pid} \(report") as caught:
                    await schema.apply(file, Half.EXPAND, release="r", token=1, emit=ignore)
                assert caught.value.where.endswith(":3" if transaction else ":4")
                rows = (await schema.view()).rows
                assert bool(rows) is not transaction
            return caught.value.state

    state = asyncio.run(story())
    made = one_db.execute("SELECT to_regclass('new') IS NOT NULL")
    if transaction:
        assert state == "nothing of 1/expand is applied"
        assert made == [(False,)]
    else:
        assert state == "the first 1 of 2 statements of 1/expand are applied"
        assert made == [(True,)]


def test_the_limits_of_a_section_come_before_the_configured_ones(one_db: Db) -> None:
    file = migration(
        "1",
        expand=section(
            "CREATE TABLE seen AS SELECT name, setting::int AS ms FROM pg_settings"
            " WHERE name IN ('lock_timeout', 'statement_timeout')",
            lock_timeout=2.5,
            timeout=7.0,
        ),
    )

    async def story() -> None:
        async with one_db.schema() as schema:
            await schema.prepare()
            await schema.apply(file, Half.EXPAND, release="r", token=1, emit=ignore)

    asyncio.run(story())
    limits = dict(one_db.execute("SELECT name, ms FROM seen"))
    assert limits["lock_timeout"] == 2500
    assert 2500 < limits["statement_timeout"] <= 7000


def test_a_deadlock_is_retried(one_db: Db) -> None:
    one_db.execute("CREATE TABLE a (i int)", "CREATE TABLE b (i int)")
    text = (
        "SET LOCAL deadlock_timeout = '500ms'; LOCK TABLE a; LOCK TABLE b; ALTER TABLE b ADD x int"
    )
    file = migration("1", expand=section(text, lock_timeout=20.0))
    events: list[Event] = []
    ready = threading.Event()

    def other() -> None:
        with one_db.connection() as session:
            session.execute("SET deadlock_timeout = '60s'")
            session.commit()
            session.execute("LOCK TABLE b")
            ready.set()
            until(one_db, "SELECT 1 FROM pg_locks WHERE relation = 'a'::regclass AND granted")
            session.execute("LOCK TABLE a")

    async def story() -> None:
        async with one_db.schema() as schema:
            await schema.prepare()
            with ThreadPoolExecutor(1) as pool:
                future = asyncio.get_running_loop().run_in_executor(pool, other)
                await asyncio.to_thread(ready.wait)
                await schema.apply(file, Half.EXPAND, release="r", token=1, emit=events.append)
                await future

    asyncio.run(story())
    assert "deadlock" in next(e.why for e in events if isinstance(e, HalfRetried))
    assert one_db.execute("SELECT count(x) FROM b") == [(0,)]


def test_two_processes_run_each_half_once(db: Db) -> None:
    db.execute("CREATE TABLE log (i int)")
    story = """
        await schema.prepare()
        for version in range(1, 11):
            file = migration(str(version), expand=f"INSERT INTO log VALUES ({version})")
            await schema.apply(file, Half.EXPAND, release="r", token=1, emit=told)
    """
    with closed(db.process(story)) as one, closed(db.process(story)) as two:
        said = finish(one) + finish(two)
    finished = [event["half"] for event in said if event["event"] == "HalfFinished"]
    assert sorted(finished) == sorted(f"{version}/expand" for version in range(1, 11))
    assert db.execute("SELECT i, count(*) FROM log GROUP BY i HAVING count(*) > 1") == []
    assert db.execute("SELECT count(*) FROM log") == [(10,)]


def test_a_runner_that_waits_does_not_deadlock_a_concurrent_build(db: Db) -> None:
    db.execute("CREATE TABLE t AS SELECT i FROM generate_series(1, 1000) i")
    build = migration(
        "1", expand=section("CREATE INDEX CONCURRENTLY t_i ON t (i)", transaction=False)
    )
    after = migration("2", expand="CREATE TABLE after (i int)")

    async def story() -> None:
        with db.connection() as old:
            old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            old.execute("SELECT 1 FROM t")  # a snapshot that is kept, which the build waits for
            async with db.schema() as one, db.schema() as two:
                await one.prepare()
                await two.view()
                building = asyncio.create_task(
                    one.apply(build, Half.EXPAND, release="r", token=1, emit=ignore)
                )
                await asyncio.to_thread(
                    until,
                    db,
                    "SELECT 1 FROM pg_stat_progress_create_index WHERE phase LIKE 'wait%'",
                )
                waiting = asyncio.create_task(
                    two.apply(after, Half.EXPAND, release="r", token=1, emit=ignore)
                )
                await asyncio.to_thread(
                    until,
                    db,
                    "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_try_advisory_lock%'"
                    " AND pid <> pg_backend_pid() AND state = 'idle'",
                )
                old.rollback()
                await building
                await waiting

    asyncio.run(story())
    assert db.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = 't_i'::regclass") == [
        (True,)
    ]


def test_a_stopped_runner_that_holds_the_lock_is_named_and_can_be_ended(one_db: Db) -> None:
    story = """
        await schema.prepare()
        file = migration("1", expand="SELECT pg_sleep(600)")
        await schema.apply(file, Half.EXPAND, release="r", token=1, emit=told)
    """

    async def claim() -> None:
        async with one_db.schema(settings=replace(QUICK, lock_wait=0.2)) as schema:
            with pytest.raises(LockUnavailable) as caught:
                await schema.claim(token=2)
            assert f"session {pid} (pilotage from" in caught.value.what
            assert "connected since" in caught.value.what
            end = f"SELECT pg_terminate_backend({pid});"
            assert end in caught.value.next
            one_db.execute(end)
            until(one_db, f"SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_locks WHERE pid = {pid})")
            await schema.claim(token=2)

    with closed(one_db.process(story)) as stopped:
        until(one_db, "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'")
        stopped.send_signal(signal.SIGSTOP)
        ((pid,),) = one_db.execute(
            "SELECT pid FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"
        )
        asyncio.run(claim())


def test_an_instance_registers_while_a_migration_runs(one_db: Db) -> None:
    registration = Registration("i", "shop", "h", "r", Ships(), Kind.TRAFFIC)
    file = migration("1", expand="SELECT pg_sleep(600)")

    async def story() -> None:
        async with one_db.schema() as deployer, one_db.schema() as instance:
            await deployer.prepare()
            running = asyncio.create_task(
                deployer.apply(file, Half.EXPAND, release="r", token=1, emit=ignore)
            )
            await asyncio.to_thread(
                until, one_db, "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"
            )
            await instance.register(registration)
            assert (await deployer.view()).registered[0].instance == "i"
            assert (await deployer.document().read()) == (0, {})
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            await instance.deregister(["i"])
            # The cancelled half gave its lock back, and left nothing.
            await instance.claim(token=2)
            assert (await instance.view()).rows == ()

    asyncio.run(story())
