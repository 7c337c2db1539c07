"""Expand halves that are applied together are applied as each alone would be."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.contract.schema.conftest import Kit
from tests.migrations import migration, section

from pilotage.errors import HalfFailed, LeaseLost, MigrationFileError
from pilotage.events import Event, HalfFinished, HalfRetried, HalfStarted, HalfStatement, ignore
from pilotage.migrate.migration import Migration
from pilotage.migrate.runner import SqlSchema
from pilotage.model import Half, SchemaView, expand

FRESH = pytest.mark.parametrize("fresh", [True, False], ids=["fresh", "used"])


def tables(count: int) -> list[Migration]:
    return [
        migration(
            str(n),
            f"table_{n}",
            expand=f"CREATE TABLE t{n} (i integer);\n\nCREATE INDEX x{n} ON t{n} (i)",
        )
        for n in range(1, count + 1)
    ]


async def run_all(
    schema: SqlSchema, files: list[Migration], events: list[Event], **more: Any
) -> None:
    """Apply them in as many goes as it takes."""
    options = {"release": "r1", "token": 1, "fresh": True, "seconds": 0.02} | more
    done = 0
    while done < len(files):
        count = await schema.apply_some(files[done:], emit=events.append, **options)
        assert count >= 1
        done += count


def use(kit: Kit) -> None:
    """Make it a database that is not new: something was in it before pilotage."""
    kit.execute("CREATE TABLE old (i integer)")


@FRESH
def test_every_half_is_applied_recorded_and_told_in_order(kit: Kit, fresh: bool) -> None:
    files = tables(70)
    events: list[Event] = []
    if not fresh:
        use(kit)

    async def story() -> SchemaView:
        async with kit.schema() as schema:
            await schema.prepare()
            await run_all(schema, files, events, fresh=fresh)
            return await schema.view()

    view = asyncio.run(story())
    assert view.fresh is fresh
    assert [row.ref for row in view.rows] == [expand(file.version) for file in files]
    for row, file in zip(view.rows, files, strict=True):
        assert (row.name, row.release, row.how) == (file.name, "r1", "applied")
        assert row.checksum == file.checksum(Half.EXPAND)
        assert row.statements_done == 2
        assert row.started_at is not None
        assert row.finished_at is not None
        assert row.started_at <= row.finished_at
        assert kit.execute(f"SELECT count(*) FROM t{row.ref.version}") == [(0,)]
    each = [HalfStarted, HalfStatement, HalfStatement, HalfFinished]
    assert [type(event) for event in events] == each * len(files)
    halves = [event.half for event in events if isinstance(event, HalfFinished)]
    assert halves == [str(expand(file.version)) for file in files]


@FRESH
def test_the_first_that_fails_ends_it(kit: Kit, fresh: bool) -> None:
    files = tables(8)
    files[5] = migration(
        "6", "wrong", expand="CREATE TABLE t6 (i integer);\nCREATE INDEX x6 ON nowhere (i)"
    )
    events: list[Event] = []
    if not fresh:
        use(kit)

    async def story() -> tuple[HalfFailed, SchemaView]:
        async with kit.schema() as schema:
            await schema.prepare()
            with pytest.raises(HalfFailed) as caught:
                await run_all(schema, files, events, fresh=fresh)
            return caught.value, await schema.view()

    error, view = asyncio.run(story())
    assert "6/expand" in error.what
    assert "nowhere" in error.what
    assert error.where == "db/migrations/6_wrong.sql:2"
    commits = kit.dialect == "mysql"
    assert error.state == (
        "the first 1 of 2 statements of 6/expand are applied"
        if commits
        else "nothing of 6/expand is applied"
    )
    assert view.applied.expanded == {"1", "2", "3", "4", "5"}
    assert len(view.rows) == 5 + commits
    for number in (7, 8) if commits else (6, 7, 8):
        with pytest.raises(Exception, match=f"t{number}"):
            kit.execute(f"SELECT 1 FROM t{number}")
    halves = [event.half for event in events if isinstance(event, HalfFinished)]
    assert halves == [f"{n}/expand" for n in range(1, 6)]


def test_what_is_applied_is_left_alone(kit: Kit) -> None:
    files = tables(6)
    events: list[Event] = []

    async def story() -> SchemaView:
        async with kit.schema() as schema:
            await schema.prepare()
            await schema.apply(files[2], Half.EXPAND, release="r0", token=1, emit=ignore)
            await run_all(schema, files, events)
            await run_all(schema, files, events)
            return await schema.view()

    view = asyncio.run(story())
    assert [row.release for row in view.rows] == ["r1", "r1", "r0", "r1", "r1", "r1"]
    halves = [event.half for event in events if isinstance(event, HalfStarted)]
    assert halves == ["1/expand", "2/expand", "4/expand", "5/expand", "6/expand"]


def test_halves_of_every_kind_keep_their_order(kit: Kit) -> None:
    files = [
        *tables(2),
        migration("3", "rows", expand="INSERT INTO t1 VALUES (1), (2); INSERT INTO t2 VALUES (3)"),
        migration(
            "4",
            "filled",
            expand="ALTER TABLE t1 ADD COLUMN j integer",
            backfill="UPDATE t1 SET j = i WHERE j IS NULL",
        ),
        migration("5", "apart", expand=section("CREATE INDEX y ON t2 (i)", transaction=False)),
        migration("6", "last", expand="ALTER TABLE t2 ADD COLUMN k integer"),
    ]
    events: list[Event] = []

    async def story() -> SchemaView:
        async with kit.schema() as schema:
            await schema.prepare()
            await run_all(schema, files, events)
            return await schema.view()

    view = asyncio.run(story())
    assert view.applied.expanded == {"1", "2", "3", "5", "6"}
    assert [row.statements_done for row in view.rows] == [2, 2, 2, 1, 1, 1]
    assert kit.execute("SELECT i, j FROM t1 ORDER BY i") == [(1, None), (2, None)]
    assert kit.execute("SELECT i, k FROM t2") == [(3, None)]
    halves = [event.half for event in events if isinstance(event, HalfFinished)]
    assert halves == [f"{n}/expand" for n in range(1, 7)]


def test_a_deployer_that_was_overtaken_begins_none(kit: Kit) -> None:
    async def story() -> SchemaView:
        async with kit.schema() as schema:
            await schema.prepare()
            await schema.claim(token=7)
            with pytest.raises(LeaseLost):
                await run_all(schema, tables(3), [], token=6)
            return await schema.view()

    assert asyncio.run(story()).rows == ()


def unfinished(kit: Kit, version: str) -> None:
    """What a crash leaves of a half that ran, and was not yet written as finished."""
    kit.execute(f"UPDATE pilotage_migrations SET finished_at = NULL WHERE version = '{version}'")


def test_a_half_that_only_lacks_its_last_record_is_not_run_again(kit: Kit) -> None:
    files = tables(3)

    async def story() -> tuple[SchemaView, SchemaView]:
        async with kit.schema() as schema:
            await schema.prepare()
            await run_all(schema, files[:2], [])
            unfinished(kit, "2")
            before = await schema.view()
            await run_all(schema, files, [])
            return before, await schema.view()

    before, after = asyncio.run(story())
    assert before.applied.expanded == {"1"}
    assert after.applied.expanded == {"1", "2", "3"}


def test_such_a_half_whose_file_was_edited_since_is_refused(kit: Kit) -> None:
    files = tables(2)

    async def story() -> None:
        async with kit.schema() as schema:
            await schema.prepare()
            await run_all(schema, files, [])
            unfinished(kit, "2")
            edited = migration("2", "table_2", expand="CREATE TABLE t2 (i bigint); SELECT 1")
            with pytest.raises(MigrationFileError, match="edited since"):
                await run_all(schema, [files[0], edited], [])

    asyncio.run(story())


def test_a_lock_that_is_not_granted_is_waited_for(kit: Kit) -> None:
    files = [
        *tables(2),
        migration("3", expand="ALTER TABLE t1 ADD COLUMN j integer"),
        *tables(5)[3:],
    ]
    events: list[Event] = []

    async def story() -> SchemaView:
        async with kit.schema() as schema:
            await schema.prepare()
            await run_all(schema, files[:2], [])
            with kit.blocked("t1") as let_go:

                def emit(event: Event) -> None:
                    events.append(event)
                    if isinstance(event, HalfRetried):
                        let_go()

                done = 2
                while done < len(files):
                    done += await schema.apply_some(
                        files[done:], release="r1", token=1, emit=emit, seconds=1.0
                    )
            return await schema.view()

    view = asyncio.run(story())
    assert view.applied.expanded == {"1", "2", "3", "4", "5"}
    retried = [event for event in events if isinstance(event, HalfRetried)]
    assert {event.half for event in retried} == {"3/expand"}
