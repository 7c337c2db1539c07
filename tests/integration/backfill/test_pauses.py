"""What a backfill pauses for, on a real server, and that it goes on by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import replace
from uuid import uuid4

import psycopg
import pytest
from tests.integration.backfill.support import (
    FILE,
    QUIET,
    database,
    done,
    running,
    schema_of,
    table,
)
from tests.integration.postgresql.support import Db, until
from tests.integration.postgresql.test_replicas import standby
from tests.servers import VERSIONS, Postgres, free_port, start_postgres

from pilotage.errors import BackfillBlocked, DatabaseError
from pilotage.events import BackfillHeld, BackfillProgress, BackfillResumed, Note, ignore
from pilotage.migrate.runner import SqlSchema
from pilotage.secret import Secret


@pytest.fixture(scope="module")
def vacuuming() -> Iterator[Postgres]:
    """A server whose autovacuum is on, and never comes around to any table."""
    postgres = start_postgres(
        18, autovacuum="on", autovacuum_naptime="1d", autovacuum_freeze_max_age="100000"
    )
    yield postgres
    postgres.stop()


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Postgres, Postgres]]:
    """A server, and a streaming replica of it."""
    primary = start_postgres(16)
    try:
        with standby(primary) as replica:
            yield primary, replica
    finally:
        primary.stop()


def test_it_pauses_while_a_query_of_the_users_own_is_true() -> None:
    with database() as db:
        db.execute("CREATE TABLE queue (n integer)", "INSERT INTO queue VALUES (1)")
        settings = replace(QUIET, pause_when="SELECT count(*) > 0 FROM queue")

        async def story() -> None:
            async with schema_of(db, settings) as schema, running(schema) as (watched, task):
                held = await watched.held()
                assert held.why == ("`pause_when` returns true",)
                assert held.paused_by is None
                (report,) = [r async for r in _later(schema)]
                assert report == "`pause_when` returns true"
                assert watched.rows == 0
                db.execute("DELETE FROM queue")
                await task
                assert len(watched.of(BackfillResumed)) == 1

        asyncio.run(story())
        assert done(db) == [(1, 2000)]
        assert db.execute("SELECT * FROM pilotage_throttles") == []


def test_what_is_told_of_the_time_left_is_what_it_takes_and_no_pause_is_in_it() -> None:
    with database(rows=900) as db:

        async def story() -> None:
            async with schema_of(db) as schema:
                async with schema.throttles() as (throttles, session):
                    await throttles.throttle(session, "1", duty=None, rate=150.0)
                async with running(schema) as (watched, task):
                    await watched.until(lambda: watched.rows >= 300)
                    async with schema.throttles() as (throttles, session):
                        await throttles.pause(session, "1", by="ada", reason="")
                    await watched.held()
                    await asyncio.sleep(6)
                    async with schema.throttles() as (throttles, session):
                        await throttles.resume(session, "1")
                    await task
                at = watched.at
                first, *told = [
                    event for event in watched.of(BackfillProgress) if event.number == 1
                ]
                last = told.pop()
                assert (first.eta, last.fraction, last.eta) == (None, 0.99, 0.0)
                # No faster than it may be.
                assert all(event.eta > 0.9 * (900 - event.rows) / 150 for event in told)
                # As long as it takes at the pace so far, however busy the machine is, without the pause: that
                # would make it twice as long at the least.
                (held,), (resumed,) = watched.of(BackfillHeld), watched.of(BackfillResumed)
                after = [event for event in told if at(event) > at(resumed)]
                assert after
                for event in after:
                    worked = at(event) - at(first) - (at(resumed) - at(held))
                    pace = (event.rows - first.rows) / worked
                    assert event.eta < 1.5 * (900 - event.rows) / pace

        asyncio.run(story())
        assert done(db) == [(1, 900)]


async def _later(schema: SqlSchema) -> AsyncIterator[str]:
    """What another terminal sees that it waits for, once it is written."""
    async with asyncio.timeout(60):
        while True:
            async with schema.throttles() as (throttles, session):
                found = await throttles.get(session, "1")
            if found.waits_for:
                yield found.waits_for
                return
            await asyncio.sleep(0.05)


def test_a_query_of_the_users_own_that_fails_stops_it() -> None:
    with database() as db:
        settings = replace(QUIET, pause_when="SELECT nothing FROM nowhere")

        async def story() -> None:
            async with schema_of(db, settings) as schema, running(schema) as (_, task):
                with pytest.raises(DatabaseError, match="`pause_when` of the backfill of 1 failed"):
                    await task

        asyncio.run(story())
        assert done(db) == [(None, 2000)]


@pytest.mark.parametrize("major", VERSIONS)
def test_it_pauses_while_a_session_waits_long_for_a_lock(major: int) -> None:
    with database(major) as db, ExitStack() as stack:
        db.execute("CREATE TABLE other (n integer)")
        holder = stack.enter_context(db.connection())
        holder.execute("LOCK TABLE other")
        settings = replace(QUIET, lock_wait=0.3)

        async def story() -> None:
            async with (
                await psycopg.AsyncConnection.connect(
                    db.url, application_name="checkout"
                ) as waiter,
                schema_of(db, settings) as schema,
            ):
                waiting = asyncio.create_task(waiter.execute("SELECT * FROM other"))
                await asyncio.sleep(0.5)
                async with running(schema) as (watched, task):
                    held = await watched.held()
                    assert "(checkout) waits for a lock since" in held.why[0]
                    holder.rollback()
                    await waiting
                    await task

        asyncio.run(story())
        assert done(db) == [(1, 2000)]


def test_a_wait_for_an_advisory_lock_is_nobodys_suffering() -> None:
    with database() as db, db.connection() as leader:
        leader.execute("SELECT pg_advisory_lock(7)")

        async def story() -> None:
            async with (
                await psycopg.AsyncConnection.connect(db.url) as deputy,
                schema_of(db, replace(QUIET, lock_wait=0.1)) as schema,
            ):
                waiting = asyncio.create_task(deputy.execute("SELECT pg_advisory_lock(7)"))
                await asyncio.sleep(0.3)
                async with running(schema) as (watched, task):
                    await task
                    assert not watched.of(BackfillResumed)
                leader.execute("SELECT pg_advisory_unlock(7)")
                await waiting

        asyncio.run(story())
        assert done(db) == [(1, 2000)]


def test_it_pauses_while_a_transaction_is_open_for_long() -> None:
    with database() as db, db.connection(application_name="report") as reader:
        settings = replace(QUIET, long_transaction=0.4)

        async def story() -> None:
            async with schema_of(db, settings) as schema:
                reader.execute("SELECT txid_current()")  # idle in a transaction from now on
                await asyncio.sleep(0.6)
                async with running(schema) as (watched, task):
                    held = await watched.held()
                    assert "(report, idle in transaction) is in a transaction since" in held.why[0]
                    reader.rollback()
                    await task

        asyncio.run(story())
        assert done(db) == [(1, 2000)]


def test_dead_rows_that_vacuum_does_not_remove(vacuuming: Postgres) -> None:
    with vacuuming.database() as name:
        db = Db(vacuuming, name)
        db.execute(
            table(4000),
            "ALTER TABLE t ADD PRIMARY KEY (id)",
            "ALTER TABLE t SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 100)",
            "VACUUM ANALYZE t",
        )
        settings = replace(QUIET, dead_rows=10.0)

        async def story() -> None:
            async with schema_of(db, settings) as schema:
                async with schema.throttles() as (throttles, session):
                    await throttles.throttle(session, "1", duty=None, rate=500.0)
                async with running(schema) as (watched, task):
                    held = await watched.held()
                    assert "autovacuum does not keep up with t" in held.why[0]
                    assert 1000 <= watched.rows < 4000
                    async with schema.throttles() as (throttles, session):
                        await throttles.throttle(session, "1", duty=None, rate=None)
                    db.execute("VACUUM t")
                    await watched.resumed()
                    while not task.done():  # the rest makes as many dead rows again
                        db.execute("VACUUM t")
                        await asyncio.wait([task], timeout=0.2)
                    await task

        asyncio.run(story())
        assert done(db) == [(1, 4000)]


def test_a_vacuum_against_wraparound_has_the_table_for_itself(vacuuming: Postgres) -> None:
    with vacuuming.database() as name, ExitStack() as stack:
        db = Db(vacuuming, name)
        db.execute(table(60_000), "ALTER TABLE t ADD PRIMARY KEY (id)")
        with psycopg.connect(db.url, autocommit=True) as burner:  # 100,000 is the least that is old
            burner.execute(
                "DO $$ BEGIN FOR i IN 1..101000 LOOP PERFORM txid_current(); COMMIT; END LOOP; END $$"
            )
        vacuum = stack.enter_context(psycopg.connect(db.url, autocommit=True))
        vacuum.execute("SET vacuum_cost_delay = 100")
        vacuum.execute("SET vacuum_cost_limit = 1")
        pid = vacuum.info.backend_pid

        async def story() -> None:
            async with schema_of(db, replace(QUIET, wraparound=True)) as schema:
                slow = asyncio.create_task(asyncio.to_thread(_vacuum, vacuum))
                await asyncio.to_thread(until, db, "SELECT 1 FROM pg_stat_progress_vacuum")
                async with running(schema) as (watched, _):
                    held = await watched.held()
                    assert held.why == ("a vacuum against wraparound runs on t",)
                    db.execute(f"SELECT pg_cancel_backend({pid})")
                    await slow
                    await watched.resumed()

        asyncio.run(story())


def _vacuum(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    with pytest.raises(psycopg.errors.QueryCanceled):
        connection.execute("VACUUM (FREEZE) t")


def test_a_replica_that_is_behind_is_waited_for_whoever_configured_it(
    pair: tuple[Postgres, Postgres],
) -> None:
    primary, replica = pair
    for configured in (True, False):
        with primary.database() as name:
            db = Db(primary, name)
            db.execute(table(), "ALTER TABLE t ADD PRIMARY KEY (id)")
            replicas = (Secret(replica.url()),) if configured else ()
            settings = replace(QUIET, replication_lag=0.6)

            async def story() -> None:
                async with schema_of(db, settings, replicas=replicas) as schema:  # noqa: B023
                    async with schema.throttles() as (throttles, session):
                        await throttles.throttle(session, "1", duty=None, rate=200.0)
                    async with running(schema) as (watched, task):
                        await watched.until(lambda: watched.rows)
                        replica.execute("SELECT pg_wal_replay_pause()")
                        db.execute("CREATE TABLE news (n integer)")  # noqa: B023
                        held = await watched.held()
                        assert "the replica" in held.why[0]
                        assert "behind" in held.why[0]
                        assert 0 < watched.rows < 2000
                        async with schema.throttles() as (throttles, session):
                            await throttles.throttle(session, "1", duty=None, rate=None)
                        replica.execute("SELECT pg_wal_replay_resume()")
                        await task

            try:
                asyncio.run(story())
            finally:
                replica.execute("SELECT pg_wal_replay_resume()")
            assert done(db) == [(1, 2000)]


def test_a_replica_that_never_catches_up_ends_the_run_and_not_the_backfill(
    pair: tuple[Postgres, Postgres],
) -> None:
    primary, replica = pair
    with primary.database() as name:
        db = Db(primary, name)
        db.execute(table(), "ALTER TABLE t ADD PRIMARY KEY (id)")
        replicas = (Secret(replica.url()),)
        settings = replace(QUIET, replication_lag=0.5, longest_pause=1.0)

        async def give_up() -> None:
            async with schema_of(db, settings, replicas=replicas) as schema:
                async with schema.throttles() as (throttles, session):
                    await throttles.throttle(session, "1", duty=None, rate=300.0)
                async with running(schema) as (watched, task):
                    await watched.until(lambda: watched.rows)
                    replica.execute("SELECT pg_wal_replay_pause()")
                    with pytest.raises(BackfillBlocked) as caught:
                        await task
                    assert "the replica" in str(caught.value)
                    assert (
                        f"{watched.rows} rows were changed; the cursor is kept"
                        in caught.value.state
                    )
                    assert "replication_lag" in caught.value.next
                    assert 0 < watched.rows < 2000

        async def go_on() -> None:
            async with schema_of(db, settings, replicas=replicas) as schema:
                async with schema.throttles() as (throttles, session):
                    await throttles.throttle(session, "1", duty=None, rate=None)
                await schema.backfill(FILE, final=False, token=1, emit=ignore)

        try:
            asyncio.run(give_up())
        finally:
            replica.execute("SELECT pg_wal_replay_resume()")
        asyncio.run(go_on())
        assert done(db) == [(1, 2000)]


def test_a_replica_that_cannot_be_asked_counts_as_behind() -> None:
    with database() as db:
        nowhere = f"postgresql://postgres@127.0.0.1:{free_port()}/postgres"
        settings = replace(QUIET, replication_lag=10.0, longest_pause=0.8)

        async def story() -> None:
            async with schema_of(db, settings, replicas=(Secret(nowhere),)) as schema:
                with pytest.raises(BackfillBlocked, match="cannot be asked"):
                    await schema.backfill(FILE, final=False, token=1, emit=ignore)

        asyncio.run(story())
        assert done(db) == [(None, 2000)]


def test_what_a_role_cannot_see_is_said_once() -> None:
    with database() as db, db.connection() as other:
        role = f"weak_{uuid4().hex[:8]}"
        db.execute(
            f"CREATE ROLE {role} LOGIN PASSWORD 'w'",
            f"GRANT ALL ON SCHEMA public TO {role}",
            f"ALTER TABLE t OWNER TO {role}",
        )
        other.execute("SELECT txid_current()")
        url = Secret(db.server.url(db.name, user=role, password="w"))

        async def story() -> None:
            async with (
                schema_of(db, replace(QUIET, long_transaction=0.1), url=url) as schema,
                running(schema) as (watched, task),
            ):
                await task
                told = [note.text for note in watched.of(Note)]
                assert len(told) == 1
                assert "how long other roles' transactions last" in told[0]

        try:
            asyncio.run(story())
            assert done(db) == [(1, 2000)]
        finally:
            db.execute(f"DROP OWNED BY {role} CASCADE", f"DROP ROLE {role}")
