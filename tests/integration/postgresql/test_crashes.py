"""SIGKILL anywhere: the next run finds out what happened and goes on, or says that nobody can know."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from tests.integration.postgresql.support import Db, until
from tests.migrations import migration, section
from tests.runners import closed, finish, told

from pilotage.errors import AmbiguousOutcome, HalfFailed
from pilotage.events import Event, HalfStatement, Note, ignore
from pilotage.migrate.migration import Migration
from pilotage.model import Half, SchemaView

pytestmark = pytest.mark.integration

VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('t_i')"
BUILD = "CREATE TABLE log (i int);\nCREATE UNIQUE INDEX CONCURRENTLY t_i ON t (i);\nDROP TABLE log"
BUILDING = "SELECT 1 FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting for old%'"


def build(text: str = BUILD) -> Migration:
    return migration("1", "build", expand=section(text, transaction=False))


def apply(db: Db, file: Migration) -> tuple[list[Event], SchemaView]:
    events: list[Event] = []

    async def story() -> SchemaView:
        async with db.schema() as schema:
            await schema.prepare()
            await schema.apply(file, Half.EXPAND, release="r", token=1, emit=events.append)
            return await schema.view()

    return events, asyncio.run(story())


def story_of(file: Migration) -> str:
    assert file.expand is not None
    return f"""
        await schema.prepare()
        file = migration("1", "build", expand=section({file.expand.text!r}, transaction=False))
        await schema.apply(file, Half.EXPAND, release="r", token=1, emit=told)
    """


def numbers(events: list[Event]) -> list[int]:
    return [event.number for event in events if isinstance(event, HalfStatement)]


@pytest.mark.parametrize("server_goes_on", [True, False])
def test_killed_in_the_middle_of_a_concurrent_build(db: Db, server_goes_on: bool) -> None:
    db.execute("CREATE TABLE t AS SELECT i FROM generate_series(1, 1000) i")
    file = build()
    with db.connection() as old, closed(db.process(story_of(file))) as process:
        old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        old.execute("SELECT 1 FROM t")
        until(db, BUILDING)
        process.kill()
        process.wait()
        if not server_goes_on:
            db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_progress_create_index")
            until(db, f"{VALID} AND NOT indisvalid")
    # When the old snapshot is gone the server finishes the build, though nobody waits for it.
    events, view = apply(db, file)
    assert db.execute(VALID) == [(True,)]
    assert view.applied.expanded == {"1"}
    assert numbers(events) == [2, 3]
    notes = [event.text for event in events if isinstance(event, Note)]
    assert ("done before the crash" if server_goes_on else "INVALID") in notes[0]


def test_killed_before_the_server_began_a_concurrent_build(one_db: Db) -> None:
    one_db.execute("CREATE TABLE t AS SELECT i FROM generate_series(1, 10) i")
    file = build()
    with one_db.connection() as writer, closed(one_db.process(story_of(file))) as process:
        writer.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        until(one_db, "SELECT 1 FROM pg_locks WHERE relation = 't'::regclass AND NOT granted")
        process.kill()
        process.wait()
        one_db.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks"
            " WHERE relation = 't'::regclass AND NOT granted"
        )
    assert numbers(apply(one_db, file)[0]) == [2, 3]
    assert one_db.execute(VALID) == [(True,)]


def test_a_failed_unique_build_leaves_no_invalid_index_that_still_enforces(db: Db) -> None:
    db.execute("CREATE TABLE t (i int)", "INSERT INTO t VALUES (1), (1), (2)")
    with pytest.raises(HalfFailed) as caught:
        apply(db, build())
    assert caught.value.where == "db/migrations/1_build.sql:2"
    assert "DETAIL: Key (i)=(1) is duplicated." in caught.value.what
    assert "the first 1 of 3" in caught.value.state
    assert db.execute(VALID) == []
    db.execute("DELETE FROM t WHERE i = 1")
    assert numbers(apply(db, build())[0]) == [2, 3]
    assert db.execute(VALID) == [(True,)]


def test_an_invalid_index_of_another_tool_is_rebuilt(db: Db) -> None:
    db.execute("CREATE TABLE t (i int)", "INSERT INTO t VALUES (1), (1)")
    text = "CREATE UNIQUE INDEX CONCURRENTLY {} t_i ON t (i)"
    with pytest.raises(Exception, match="could not create unique index"):
        db.execute(text.format(""))
    db.execute("DELETE FROM t")
    assert db.execute(VALID) == [(False,)]
    apply(db, build(text.format("IF NOT EXISTS")))
    assert db.execute(VALID) == [(True,)]


def test_what_a_cut_short_reindex_leaves_is_swept(db: Db) -> None:
    db.execute("CREATE TABLE t (i int)", "CREATE INDEX t_i ON t (i)")
    file = build("REINDEX INDEX CONCURRENTLY t_i")
    leftovers = "SELECT count(*) FROM pg_class WHERE relname LIKE 't_i_cc%'"
    with db.connection() as old, closed(db.process(story_of(file))) as process:
        old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        old.execute("SELECT 1 FROM t")
        until(db, BUILDING)
        process.kill()
        process.wait()
        db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_progress_create_index")
        until(db, "SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_stat_progress_create_index)")
    assert db.execute(leftovers) == [(1,)]
    events, _ = apply(db, file)
    assert numbers(events) == [1]
    assert "t_i_ccnew" in next(event.text for event in events if isinstance(event, Note))
    assert db.execute(leftovers) == [(0,)]
    assert db.execute(VALID) == [(True,)]


def test_a_drop_that_was_cut_short_is_run_again(one_db: Db) -> None:
    one_db.execute("CREATE TABLE t (i int)", "CREATE INDEX t_i ON t (i)")
    file = build("DROP INDEX CONCURRENTLY t_i")
    with one_db.connection() as reader, closed(one_db.process(story_of(file))) as process:
        reader.execute("SELECT * FROM t WHERE i = 1")
        until(one_db, f"{VALID} AND NOT indisvalid")
        process.kill()
        process.wait()
        one_db.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'DROP INDEX%'"
        )
        until(one_db, "SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_stat_activity"
                      " WHERE query LIKE 'DROP INDEX%' AND pid <> pg_backend_pid())")  # fmt: skip
    assert numbers(apply(one_db, file)[0]) == [1]
    assert one_db.execute(VALID) == []


def test_killed_between_statements_none_is_done_twice(db: Db) -> None:
    db.execute("CREATE TABLE log (i int)", "CREATE TABLE gate (i int)")
    text = "INSERT INTO log VALUES (1);\nINSERT INTO log VALUES (2);\nLOCK TABLE gate;\n"
    file = build(text + "INSERT INTO log VALUES (3)")
    with db.connection() as session, closed(db.process(story_of(file))) as process:
        session.execute("LOCK TABLE gate")
        until(db, "SELECT 1 FROM pg_locks WHERE relation = 'gate'::regclass AND NOT granted")
        process.kill()
        process.wait()
    events, _ = apply(db, file)
    assert numbers(events) == [3, 4]
    assert db.execute("SELECT i FROM log ORDER BY i") == [(1,), (2,), (3,)]


def test_settings_of_a_half_hold_for_all_its_statements_also_when_it_is_resumed(
    one_db: Db,
) -> None:
    one_db.execute("CREATE SCHEMA app", "CREATE TABLE app.t (i int)", "CREATE ROLE builder")
    one_db.execute("GRANT ALL ON SCHEMA app TO builder", "ALTER TABLE app.t OWNER TO builder")
    text = (
        "SET search_path = app;\nSET ROLE builder;\nCREATE INDEX CONCURRENTLY t_i ON t (i);\n"
        "CREATE TABLE made AS SELECT current_user AS by;\n{}"
    )
    try:
        with pytest.raises(HalfFailed):
            apply(one_db, build(text.format("SELECT * FROM nowhere")))
        apply(one_db, build(text.format("CREATE TABLE after AS SELECT current_user AS by")))
        found = one_db.execute("SELECT m.by, a.by FROM app.made m, app.after a")
        assert found == [("builder", "builder")]
    finally:
        one_db.execute("DROP OWNED BY builder CASCADE", "DROP ROLE builder")


def test_killed_in_a_transaction_nothing_is_applied(db: Db) -> None:
    db.execute("CREATE TABLE gate (i int)")
    story = """
        await schema.prepare()
        file = migration("1", expand=section("CREATE TABLE new (i int); LOCK TABLE gate",
                                             lock_timeout=60.0))
        await schema.apply(file, Half.EXPAND, release="r", token=1, emit=told)
    """
    with db.connection() as session, closed(db.process(story)) as process:
        session.execute("LOCK TABLE gate")
        until(db, "SELECT 1 FROM pg_locks WHERE relation = 'gate'::regclass AND NOT granted")
        process.kill()
        process.wait()
        # The server finds out by itself that its client is gone, and rolls back.
        until(db, "SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_stat_activity"
                  " WHERE query LIKE 'LOCK TABLE gate%' AND application_name = 'pilotage')")  # fmt: skip
    apply(db, migration("2", expand="CREATE TABLE other (i int)"))
    assert db.execute("SELECT version FROM pilotage_migrations") == [("2",)]
    assert db.execute("SELECT to_regclass('new')") == [(None,)]


def test_what_nobody_can_know_a_person_decides(one_db: Db) -> None:
    one_db.execute(
        "CREATE TABLE log (i int)",
        "CREATE TABLE gate (i int)",
        "CREATE PROCEDURE work() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (1);"
        " COMMIT; PERFORM * FROM gate; END $$",
    )
    file = build("INSERT INTO log VALUES (0);\nCALL work();\nINSERT INTO log VALUES (2)")
    story = story_of(file).replace("transaction=False", "transaction=False, lock_timeout=60.0")
    with one_db.connection() as session, closed(one_db.process(story)) as process:
        session.execute("LOCK TABLE gate")
        until(one_db, "SELECT 1 FROM pg_locks WHERE relation = 'gate'::regclass AND NOT granted")
        process.kill()
        process.wait()
        one_db.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks"
            " WHERE relation = 'gate'::regclass AND NOT granted"
        )
    for _ in range(2):
        with pytest.raises(AmbiguousOutcome) as caught:
            apply(one_db, file)
        assert caught.value.where == "db/migrations/1_build.sql:2"
        assert "CALL work()" in caught.value.what
        assert "pilotage migrate mark 1/expand" in caught.value.next
        assert "the first 1 of 3" in caught.value.state
    assert one_db.execute("SELECT i FROM log ORDER BY i") == [(0,), (1,)]


def test_a_server_that_ends_the_session_is_told_and_can_be_run_again(db: Db) -> None:
    db.execute("CREATE TABLE gate (i int)")
    file = migration("1", expand="CREATE TABLE new (i int);\nINSERT INTO gate VALUES (1)")
    slow = migration("1", expand="CREATE TABLE new (i int);\nSELECT pg_sleep(600)")

    async def story() -> None:
        async with db.schema() as schema:
            await schema.prepare()
            running = asyncio.create_task(
                schema.apply(slow, Half.EXPAND, release="r", token=1, emit=ignore)
            )
            sleeping = "FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"
            await asyncio.to_thread(until, db, f"SELECT 1 {sleeping}")
            db.execute(f"SELECT pg_terminate_backend(pid) {sleeping}")
            with pytest.raises(HalfFailed) as caught:
                await running
            assert "the connection was lost" in caught.value.state
            assert caught.value.next.startswith("run the same command again")
            await schema.apply(file, Half.EXPAND, release="r", token=1, emit=ignore)

    asyncio.run(story())
    assert db.execute("SELECT i FROM gate") == [(1,)]


def test_twenty_kills_of_a_backfill_do_every_row_once(one_db: Db) -> None:
    rows = 150_000  # more than are done until the kills, however late they come
    one_db.execute(
        "CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, done bool)",
        f"INSERT INTO t (id) SELECT i FROM generate_series(1, {rows}) i",
    )
    story = """
        await schema.prepare()
        file = migration("1", expand="SELECT 1",
                         backfill="UPDATE t SET n = n + 1, done = true WHERE done IS NULL")
        await schema.apply(file, Half.EXPAND, release="r", token=1, emit=ignore)
        await schema.backfill(file, final=False, token=1, emit=told)
    """
    chance = random.Random(20261121)
    resumed = []
    for _ in range(20):
        batches = chance.randint(1, 5)
        with closed(one_db.process(story)) as process:
            said = told(process)
            progress = [next(said) for _ in range(batches)]
            resumed.append(progress[0]["rows"])
            process.kill()
    assert resumed == sorted(resumed)
    assert 0 < resumed[-1] < rows
    with closed(one_db.process(story)) as process:
        last: dict[str, Any] = finish(process)[-1]
    assert last["rows"] == rows
    assert one_db.execute("SELECT n, done, count(*) FROM t GROUP BY n, done") == [(1, True, rows)]
    ((finished,),) = one_db.execute(
        "SELECT finished_at IS NOT NULL FROM pilotage_migrations WHERE version = '1'"
    )
    assert finished
