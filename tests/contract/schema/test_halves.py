"""Applying, recording and taking back halves."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.contract.schema.conftest import Kit
from tests.migrations import migration, section

from pilotage.errors import (
    HalfFailed,
    LockUnavailable,
    MigrationFileError,
    UsageError,
    VerifyFailed,
)
from pilotage.events import (
    Event,
    HalfFinished,
    HalfRetried,
    HalfStarted,
    HalfStatement,
    ignore,
)
from pilotage.migrate.runner import RunnerSettings, SqlSchema
from pilotage.model import Half, HalfRef, Intent, SchemaView, contract, expand

TABLE = migration("1", "table", expand="CREATE TABLE t (id integer PRIMARY KEY, a integer)")


async def run(schema: SqlSchema, file: Any, half: Half = Half.EXPAND, **more: Any) -> list[Event]:
    events: list[Event] = []
    options = {"release": "r1", "token": 1} | more
    await schema.apply(file, half, emit=events.append, **options)
    return events


def test_a_half_runs_once_and_is_recorded(kit: Kit) -> None:
    file = migration(
        "1",
        "things",
        expand="-- why\nCREATE TABLE t (id integer);\n\nINSERT INTO t VALUES (1), (2); -- two\n",
    )

    async def story() -> tuple[list[Event], list[Event], SchemaView]:
        async with kit.schema() as schema:
            await schema.prepare()
            first, second = await run(schema, file), await run(schema, file)
            return first, second, await schema.view()

    first, second, view = asyncio.run(story())
    assert [type(event) for event in first] == [
        HalfStarted,
        HalfStatement,
        HalfStatement,
        HalfFinished,
    ]
    assert second == []
    assert kit.execute("SELECT count(*) FROM t") == [(2,)]
    (row,) = view.rows
    assert (row.ref, row.name, row.release, row.how) == (expand("1"), "things", "r1", "applied")
    assert row.checksum == file.checksum(Half.EXPAND)
    assert row.statements_done == 2
    assert row.started_at is not None
    assert row.finished_at is not None
    assert row.started_at <= row.finished_at


def test_what_runs_is_the_authors_text(kit: Kit) -> None:
    odd = "CREATE TABLE t (a text); INSERT INTO t VALUES ('100%s %(x)s $1 :a ? {b} ; ''q'' -- no')"

    async def story() -> None:
        async with kit.schema() as schema:
            await schema.prepare()
            await run(schema, migration("1", expand=odd))

    asyncio.run(story())
    assert kit.execute("SELECT a FROM t") == [("100%s %(x)s $1 :a ? {b} ; 'q' -- no",)]


def test_a_failing_statement_leaves_nothing_and_names_its_line(kit: Kit) -> None:
    text = (
        "CREATE TABLE a (i integer);\n\n-- a comment\nINSERT INTO\n  nowhere VALUES (1);\nSELECT 1"
    )

    async def story() -> SchemaView:
        async with kit.schema() as schema:
            await schema.prepare()
            with pytest.raises(HalfFailed) as caught:
                await run(schema, migration("1", "bad", expand=section(text, line=7)))
            line = 11 if kit.dialect == "postgresql" else 10  # SQLite gives no position
            assert caught.value.where == f"db/migrations/1_bad.sql:{line}"
            done = "the first 1 of 3 statements" if kit.dialect == "mysql" else "nothing"
            assert caught.value.state.startswith(f"{done} of 1/expand")
            assert "nowhere" in caught.value.what
            assert caught.value.next
            view = await schema.view()
            good = migration("1", "bad", expand="CREATE TABLE a (i integer)")
            await run(schema, good)
            return view

    rows = asyncio.run(story()).rows
    assert [row.statements_done for row in rows] == ([1] if kit.dialect == "mysql" else [])


def test_the_intent_goes_with_the_contract_half(kit: Kit) -> None:
    file = migration("2", contract="ALTER TABLE t DROP COLUMN a")
    bad = migration("3", contract="DROP TABLE nowhere")

    async def story() -> None:
        async with kit.schema() as schema:
            await schema.prepare()
            await run(schema, TABLE)
            await schema.intend([Intent(contract("2"), 1), Intent(contract("3"), 1)], token=1)
            await run(schema, file, Half.CONTRACT)
            with pytest.raises(HalfFailed):
                await run(schema, bad, Half.CONTRACT)
            view = await schema.view()
            assert view.intents == (Intent(contract("3"), 1),)
            assert view.applied.contracted == view.applied.finished == {"2"}

    asyncio.run(story())


def test_without_a_transaction_it_resumes_at_the_statement_that_failed(kit: Kit) -> None:
    text = "CREATE TABLE a (i integer);\nINSERT INTO a VALUES (1);\nINSERT INTO {} VALUES (1);"

    def file(table: str) -> Any:
        return migration("1", expand=section(text.format(table), transaction=False))

    async def story() -> None:
        async with kit.schema() as schema:
            await schema.prepare()
            with pytest.raises(HalfFailed) as caught:
                await run(schema, file("b"))
            assert caught.value.where.endswith(":3")
            assert "the first 2 of 3" in caught.value.state
            view = await schema.view()
            assert view.applied.expanded == frozenset()
            assert view.rows[0].statements_done == 2
            edited = migration("1", expand=section("SELECT 1;\nSELECT 2", transaction=False))
            with pytest.raises(MigrationFileError, match="edited"):
                await run(schema, edited)
            events = await run(schema, file("a"))
            assert [event.number for event in events if isinstance(event, HalfStatement)] == [3]
            view = await schema.view()
            assert view.applied.expanded == {"1"}
            assert view.rows[0].checksum == file("a").checksum(Half.EXPAND)

    asyncio.run(story())
    assert kit.execute("SELECT count(*) FROM a") == [(2,)]


def test_a_started_contract_counts_before_it_has_finished(kit: Kit) -> None:
    file = migration("2", contract=section("DROP TABLE t; DROP TABLE nowhere", transaction=False))

    async def story() -> SchemaView:
        async with kit.schema() as schema:
            await schema.prepare()
            await run(schema, TABLE)
            await schema.intend([Intent(contract("2"), 1)], token=1)
            with pytest.raises(HalfFailed):
                await run(schema, file, Half.CONTRACT)
            return await schema.view()

    view = asyncio.run(story())
    assert view.applied.contracted == {"2"}
    assert view.applied.finished == frozenset()
    assert view.intents


def test_verify_shows_the_first_rows(kit: Kit) -> None:
    file = migration(
        "2",
        "check",
        verify=section(
            "SELECT 1 FROM t WHERE a > 99;\nSELECT id, a FROM t WHERE a IS NULL", line=4
        ),
    )

    async def story() -> None:
        async with kit.schema() as schema:
            await schema.prepare()
            await run(schema, TABLE)
            await schema.verify(file)
            kit.execute("INSERT INTO t (id) VALUES (7), (8), (9), (10), (11), (12)")
            with pytest.raises(VerifyFailed) as caught:
                await schema.verify(file)
            assert "7, None" in caught.value.what
            assert "11, None" in caught.value.what
            assert "12, None" not in caught.value.what
            assert caught.value.where.endswith(":5")
            kit.execute("UPDATE t SET a = 1")
            await schema.verify(file)
            with pytest.raises(HalfFailed):
                await schema.verify(migration("2", verify="SELECT * FROM nowhere"))

    asyncio.run(story())


def test_verify_changes_nothing(kit: Kit) -> None:
    async def story() -> None:
        async with kit.schema() as schema:
            await schema.prepare()
            await run(schema, TABLE)
            kit.execute("INSERT INTO t (id) VALUES (1)")
            with pytest.raises(HalfFailed):
                await schema.verify(migration("2", verify="DELETE FROM t RETURNING id"))

    asyncio.run(story())
    assert kit.execute("SELECT count(*) FROM t") == [(1,)]


def test_down_takes_the_expand_half_back(kit: Kit) -> None:
    file = migration("2", expand="CREATE TABLE u (i integer)", down="DROP TABLE u")

    async def story() -> None:
        async with kit.schema() as schema:
            await schema.prepare()
            await run(schema, file)
            await schema.intend([Intent(expand("2"), 1, revert=True)], token=1)
            await schema.revert(file, token=1, emit=ignore)
            view = await schema.view()
            assert (view.rows, view.intents) == ((), ())
            await schema.revert(file, token=1, emit=ignore)  # nothing is left to do
            await run(schema, file)
            with pytest.raises(HalfFailed) as caught:
                await schema.revert(
                    migration("2", expand="", down="DROP TABLE u;\nDROP TABLE u"),
                    token=1,
                    emit=ignore,
                )
            assert caught.value.where.endswith(":2")
            view = await schema.view()
            if kit.dialect != "mysql":
                assert view.applied.expanded == {"2"}
            else:
                assert view.applied.expanded == set()
                assert (view.rows[0].how, view.rows[0].statements_done) == ("reverting", 1)
            with pytest.raises(UsageError):
                await schema.revert(TABLE, token=1, emit=ignore)

    asyncio.run(story())


def test_mark_and_adopt_and_rename_only_record(kit: Kit) -> None:
    file = migration("3", "marked", expand="CREATE TABLE never (i integer)", contract="SELECT 1")
    squash = migration("9", "squash", expand=section("SELECT 1", replaces=(("1", "8"),)))
    renamed = migration("4", "renamed", expand="CREATE TABLE never (i integer)")

    async def story() -> None:
        async with kit.schema() as schema:
            await schema.prepare()
            await schema.intend([Intent(contract("3"), 1)], token=1)
            await schema.mark(file, Half.EXPAND, release=None, token=1)
            await schema.mark(file, Half.CONTRACT, release="r", token=1)
            await schema.adopt(squash, release="r", token=1)
            view = await schema.view()
            assert view.intents == ()
            assert {(str(row.ref), row.how) for row in view.rows} == {
                ("3/expand", "marked"),
                ("3/contract", "marked"),
                ("9/expand", "adopted"),
            }
            await schema.rename("3", renamed, token=1)
            refs = [(str(row.ref), row.name) for row in (await schema.view()).rows]
            assert refs[:2] == [("4/expand", "renamed"), ("4/contract", "renamed")]
            assert await run(schema, renamed) == []

    asyncio.run(story())


@pytest.mark.parametrize("fresh", [True, False])
def test_a_squash_on_an_empty_database_counts_as_a_contract(kit: Kit, fresh: bool) -> None:
    squash = migration("9", expand=section("CREATE TABLE t (i integer)", replaces=(("1", "8"),)))

    async def story() -> SchemaView:
        async with kit.schema() as schema:
            await schema.prepare()
            await run(schema, squash, fresh=fresh)
            return await schema.view()

    view = asyncio.run(story())
    assert view.applied.expanded == {"9"}
    assert view.applied.finished == ({"9"} if fresh else frozenset())


def test_what_a_file_sets_in_its_session_ends_with_it(kit: Kit) -> None:
    settings = {
        "postgresql": "SET search_path = ''; SET lock_timeout = '1ms'; CREATE TEMP TABLE x (i int)",
        "mysql": "SET SESSION sql_mode = '', lock_wait_timeout = 1; USE mysql;"
        " CREATE TEMPORARY TABLE x (i int)",
        "sqlite": "PRAGMA case_sensitive_like = ON; CREATE TEMP TABLE x (i int)",
    }

    async def story() -> None:
        async with kit.schema() as schema:
            await schema.prepare()
            for version in ("1", "2"):
                await run(schema, migration(version, expand=settings[kit.dialect]))
            assert (await schema.view()).applied.expanded == {"1", "2"}

    asyncio.run(story())


def test_missing_effects_are_found_in_the_catalogue(kit: Kit) -> None:
    file = migration(
        "1",
        expand="CREATE TABLE t (id integer PRIMARY KEY, a varchar(20) NOT NULL DEFAULT 'x');\n"
        "CREATE INDEX t_a ON t (a);\nCREATE VIEW v AS SELECT id FROM t;\n"
        "ALTER TABLE t ADD COLUMN b integer",
        contract="ALTER TABLE t DROP COLUMN b; DROP VIEW v",
    )

    async def missing(schema: SqlSchema, half: Half) -> list[str]:
        found = await schema.missing_effects(file, half)
        assert found.unknown == ()
        return [f"{effect.kind} {effect.name}" for effect in found.missing]

    async def story() -> None:
        async with kit.schema() as schema:
            await schema.prepare()
            everything = await missing(schema, Half.EXPAND)
            assert {"table t", "index t_a", "view v", "column b"} <= set(everything)
            assert await missing(schema, Half.CONTRACT) == []
            await run(schema, file)
            assert await missing(schema, Half.EXPAND) == []
            assert await missing(schema, Half.CONTRACT) == ["column b", "view v"]
            kit.execute("DROP INDEX t_a ON t" if kit.dialect == "mysql" else "DROP INDEX t_a")
            assert await missing(schema, Half.EXPAND) == ["index t_a"]
            await run(schema, file, Half.CONTRACT)
            assert await missing(schema, Half.CONTRACT) == []

    asyncio.run(story())


def test_rows_of_two_streams_are_apart(kit: Kit) -> None:
    async def story() -> None:
        async with kit.schema() as shop, kit.schema(stream="billing") as billing:
            await shop.prepare()
            await billing.prepare()
            await run(shop, TABLE)
            assert (await billing.view()).rows == ()
            assert (await shop.view()).row(HalfRef("1", Half.EXPAND)) is not None

    asyncio.run(story())


def test_a_writer_in_the_way_is_waited_for(kit: Kit) -> None:
    kit.execute("CREATE TABLE busy (i integer)")
    file = migration("1", expand="ALTER TABLE busy ADD COLUMN a integer")
    events: list[Event] = []

    async def story() -> None:
        async with kit.schema() as schema:
            await schema.prepare()
            await schema.claim(token=1)
            with kit.blocked("busy") as release:

                def emit(event: Event) -> None:
                    events.append(event)
                    if isinstance(event, HalfRetried):
                        release()

                await schema.apply(file, Half.EXPAND, release="r", token=1, emit=emit)

    asyncio.run(story())
    assert any(isinstance(event, HalfRetried) for event in events)
    assert isinstance(events[-1], HalfFinished)


def test_a_lock_that_never_comes_is_an_error_that_says_so(kit: Kit) -> None:
    kit.execute("CREATE TABLE busy (i integer)")
    file = migration("1", expand="ALTER TABLE busy ADD COLUMN a integer")
    impatient = RunnerSettings(lock_timeout=0.05, timeout=2.0)

    async def story() -> None:
        async with kit.schema(settings=impatient) as schema:
            await schema.prepare()
            await schema.claim(token=1)
            with kit.blocked("busy"), pytest.raises(LockUnavailable) as caught:
                await run(schema, file)
            assert caught.value.state == "nothing of 1/expand is applied"
            assert (await schema.view()).rows == ()

    asyncio.run(story())


def test_a_statement_that_can_have_no_transaction(kit: Kit) -> None:
    vacuum = "ANALYZE TABLE t" if kit.dialect == "mysql" else "VACUUM"
    text = f"CREATE TABLE t (i integer);\n{vacuum};\nINSERT INTO t VALUES (1)"

    async def story() -> None:
        async with kit.schema() as schema:
            await schema.prepare()
            events = await run(schema, migration("1", expand=section(text, transaction=False)))
            assert [e.number for e in events if isinstance(e, HalfStatement)] == [1, 2, 3]
            assert (await schema.view()).applied.expanded == {"1"}

    asyncio.run(story())


def test_a_half_that_is_cancelled_leaves_nothing_and_no_lock(kit: Kit) -> None:
    endless = {
        "postgresql": "CREATE TABLE t (i int); SELECT pg_sleep(600)",
        "mysql": "CREATE TABLE t (i int); SELECT sleep(600)",
        "sqlite": "CREATE TABLE t (i int); WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL"
        " SELECT i + 1 FROM n) SELECT count(*) FROM n",
    }

    async def story() -> None:
        async with kit.schema() as schema, kit.schema() as other:
            await schema.prepare()
            began = asyncio.Event()

            def emit(event: Event) -> None:
                if isinstance(event, HalfStatement):
                    began.set()

            file = migration("1", expand=endless[kit.dialect])
            running = asyncio.create_task(
                schema.apply(file, Half.EXPAND, release="r", token=1, emit=emit)
            )
            await began.wait()
            await asyncio.sleep(0)  # into the statement that does not end
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            await other.claim(token=2)
            await schema.claim(token=3)
            done = [row.statements_done for row in (await other.view()).rows]
            assert done == ([1] if kit.dialect == "mysql" else [])

    asyncio.run(story())
    assert kit.execute(TABLES[kit.dialect]) == ([(1,)] if kit.dialect == "mysql" else [])


def test_a_half_that_takes_too_long_is_stopped(kit: Kit) -> None:
    endless = {
        "postgresql": "SELECT pg_sleep(600)",
        "mysql": "SELECT sleep(600)",
        "sqlite": "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
        " SELECT count(*) FROM n",
    }

    async def story() -> None:
        async with kit.schema() as schema:
            await schema.prepare()
            file = migration("1", expand=section(endless[kit.dialect], timeout=1.5))
            with pytest.raises(HalfFailed, match="not done within its time limit"):
                await run(schema, file)

    asyncio.run(story())


TABLES = {
    "postgresql": "SELECT 1 FROM pg_tables WHERE tablename = 't'",
    "mysql": "SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE()"
    " AND table_name = 't'",
    "sqlite": "SELECT 1 FROM sqlite_master WHERE name = 't'",
}


def test_foreign_keys_hold_when_a_table_is_built_anew(kit: Kit) -> None:
    kit.execute(
        "CREATE TABLE parent (id integer PRIMARY KEY)",
        "CREATE TABLE child (id integer PRIMARY KEY, p integer REFERENCES parent (id) ON DELETE CASCADE)",
        "INSERT INTO parent VALUES (1), (2)",
        "INSERT INTO child VALUES (1, 1), (2, 2)",
    )
    again = (
        "CREATE TABLE new (id integer PRIMARY KEY);\nINSERT INTO new SELECT id FROM parent{};\n"
        "DROP TABLE parent{};\nALTER TABLE new RENAME TO parent"
    )
    cascade = " CASCADE" if kit.dialect == "postgresql" else ""
    before = "SET foreign_key_checks = 0;\n" if kit.dialect == "mysql" else ""
    whole = migration("1", expand=before + again.format("", cascade))
    half = migration("2", expand=again.format(" WHERE id = 1", ""))

    async def story() -> None:
        async with kit.schema() as schema:
            await schema.prepare()
            await run(schema, whole)
            assert kit.execute("SELECT count(*) FROM child") == [(2,)]
            if kit.dialect == "sqlite":
                with pytest.raises(HalfFailed, match="it breaks foreign keys: 1 rows"):
                    await run(schema, half)
                assert kit.execute("SELECT count(*) FROM parent") == [(2,)]

    asyncio.run(story())
