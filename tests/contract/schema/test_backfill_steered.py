"""Backfills that somebody pauses, slows down, writes beside, or runs twice; and clocks that jump."""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.contract.schema.conftest import Kit
from tests.contract.schema.test_backfill import NUMBERS, backfilled, expanded

from pilotage.errors import LockUnavailable
from pilotage.events import (
    BackfillHeld,
    BackfillProgress,
    BackfillResumed,
    Event,
    HalfRetried,
    Note,
)
from pilotage.migrate.dialects import dialect as connect
from pilotage.migrate.dialects.base import StatementError
from pilotage.migrate.runner import RunnerSettings, SqlSchema
from pilotage.migrate.settings import BackfillSettings
from pilotage.migrate.throttles import Throttles
from pilotage.secret import Secret

LONG = 60.0
SMALL = RunnerSettings(
    lock_timeout=0.1,
    timeout=30.0,
    lock_wait=LONG,
    backfill=BackfillSettings(batch_rows=50, duty=1.0, lock_wait=None, long_transaction=None),
)
FILE = backfilled("UPDATE t SET done = coalesce(done, 0) + 1 WHERE done IS NULL")


def make(kit: Kit, rows: int = 1000) -> None:
    kit.execute("CREATE TABLE t (id integer PRIMARY KEY)", NUMBERS.format(rows, "(id)", "i"))


async def until(seen: Callable[[], object]) -> None:
    async with asyncio.timeout(LONG):
        while not seen():
            await asyncio.sleep(0.02)


def of(events: list[Event], kind: type[Event]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def done(kit: Kit) -> list[tuple[Any, ...]]:
    return kit.execute("SELECT done, count(*) FROM t GROUP BY done")


async def say(schema: SqlSchema, verb: str, **said: Any) -> None:
    async with schema.throttles() as (throttles, session):
        await getattr(throttles, verb)(session, "1", **said)


def test_it_is_paused_throttled_and_resumed_from_elsewhere(kit: Kit) -> None:
    make(kit)
    events: list[Event] = []

    async def story() -> None:
        async with kit.schema(settings=SMALL) as schema, kit.schema(settings=SMALL) as other:
            await expanded(schema, FILE)
            await say(other, "throttle", duty=None, rate=100.0)
            task = asyncio.create_task(
                schema.backfill(FILE, final=False, token=1, emit=events.append)
            )
            await until(lambda: len(of(events, BackfillProgress)) > 2)
            await say(other, "pause", by="ada@laptop:7", reason="the sale")
            await until(lambda: of(events, BackfillHeld))
            (held,) = of(events, BackfillHeld)
            assert held.paused_by == "ada@laptop:7"
            assert "paused by ada@laptop:7 (the sale)" in held.why[0]
            assert "pilotage migrate resume 1" in held.why[0]
            (report,) = await other.backfills()
            assert report.throttle.paused_by == "ada@laptop:7"
            assert report.throttle.rate == 100.0
            assert 0 < report.rows < 1000
            assert report.fraction == pytest.approx(report.rows / 1000)
            # What was told after the batch before the last.
            told = [event.eta for event in of(events, BackfillProgress)]
            assert report.eta == pytest.approx(told[-2])
            # Without the rate it would be next to nothing.
            assert report.eta > 0.5 * (1000 - report.rows) / 100
            await asyncio.sleep(0.7)
            (again,) = await other.backfills()
            assert again.rows == report.rows
            await say(other, "throttle", duty=None, rate=None)
            await say(other, "resume")
            await task
            assert len(of(events, BackfillResumed)) == 1
            assert await other.backfills() == ()

    asyncio.run(story())
    assert done(kit) == [(1, 1000)]
    assert kit.execute("SELECT count(*) FROM pilotage_throttles") == [(0,)]


def test_a_rate_is_kept(kit: Kit) -> None:
    make(kit, 300)
    events: list[Event] = []

    async def story() -> float:
        async with kit.schema(settings=SMALL) as schema:
            await expanded(schema, FILE)
            await say(schema, "throttle", duty=None, rate=200.0)
            began = time.monotonic()
            await schema.backfill(FILE, final=False, token=1, emit=events.append)
            return time.monotonic() - began

    assert asyncio.run(story()) >= 1.4
    assert done(kit) == [(1, 300)]


def test_others_at_work_are_seen_where_they_can_be(kit: Kit) -> None:
    make(kit, 3)

    async def story() -> None:
        dialect = connect(Secret(kit.url))
        async with dialect.session() as work, dialect.session() as watcher, work.transaction():
            await work.query("SELECT 1")
            alone = await dialect.others_at_work(watcher, (work, watcher))
            if alone is None:
                assert dialect.name == "sqlite"
                return
            assert alone is False
            with kit.blocked("t"):
                # MariaDB makes its list of transactions anew when nobody has read it for 100 ms.
                async with asyncio.timeout(60):
                    while not await dialect.others_at_work(watcher, (work, watcher)):
                        await asyncio.sleep(0.25)

    asyncio.run(story())


def test_what_nobody_can_look_at_is_told_once(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    make(kit)
    events: list[Event] = []

    async def deaf(*_: object) -> None:
        raise StatementError("the look is broken")

    async def story() -> None:
        async with kit.schema(settings=SMALL) as schema:
            await expanded(schema, FILE)
            await say(schema, "throttle", duty=None, rate=500.0)
            monkeypatch.setattr(Throttles, "get", deaf)
            await schema.backfill(FILE, final=False, token=1, emit=events.append)

    asyncio.run(story())
    assert done(kit) == [(1, 1000)]
    told = [note.text for note in of(events, Note) if "the look is broken" in note.text]
    assert told == ["nobody can look who suffers from the backfill: the look is broken"]


def test_a_pause_outlives_the_run_and_holds_the_next_one(kit: Kit) -> None:
    make(kit)
    events: list[Event] = []

    async def story() -> None:
        async with kit.schema(settings=SMALL) as schema:
            await expanded(schema, FILE)
            await say(schema, "pause", by="ada", reason="")
            for _ in range(2):
                task = asyncio.create_task(
                    schema.backfill(FILE, final=False, token=1, emit=events.append)
                )
                await until(lambda: of(events, BackfillHeld))
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                events.clear()
            (report,) = await schema.backfills()
            assert (report.number, report.throttle.paused_by) == (0, "ada")
            await say(schema, "resume")
            await schema.backfill(FILE, final=False, token=1, emit=events.append)

    asyncio.run(story())
    assert done(kit) == [(1, 1000)]


def test_it_ends_while_rows_come_in_faster_than_it_walks(kit: Kit) -> None:
    """New code fills what it inserts; a walk to the end of the table would never get there."""
    make(kit, 500)
    beyond = itertools.count(10_000)

    async def story() -> int:
        batches = 0

        def new_code(event: Event) -> None:
            nonlocal batches
            if isinstance(event, BackfillProgress) and event.batch:
                batches += 1
                first = next(beyond)
                kit.execute(NUMBERS.format(90, "(id, done)", f"{first} * 100 + i, 1"))

        async with kit.schema(settings=SMALL) as schema:
            await expanded(schema, FILE)
            await schema.backfill(FILE, final=False, token=1, emit=new_code)
        return batches

    batches = asyncio.run(story())
    assert batches < 60
    assert done(kit) == [(1, 500 + 90 * batches)]


def test_two_runners_at_once_do_every_row_once(kit: Kit) -> None:
    make(kit)

    async def story() -> None:
        async with kit.schema(settings=SMALL) as one, kit.schema(settings=SMALL) as other:
            await expanded(one, FILE)
            events: list[Event] = []
            await asyncio.gather(
                one.backfill(FILE, final=False, token=1, emit=events.append),
                other.backfill(FILE, final=False, token=1, emit=events.append),
            )
            assert of(events, BackfillProgress)[-1].rows == 1000

    asyncio.run(story())
    assert done(kit) == [(1, 1000)]


def test_a_lock_that_is_never_granted_ends_the_run_and_not_the_backfill(kit: Kit) -> None:
    make(kit, 300)
    settings = RunnerSettings(lock_timeout=0.1, timeout=4.0, backfill=SMALL.backfill)

    async def story() -> None:
        async with kit.schema(settings=settings) as schema:
            await expanded(schema, FILE)
            events: list[Event] = []
            with kit.blocked("t"), pytest.raises(LockUnavailable) as caught:
                await schema.backfill(FILE, final=False, token=1, emit=events.append)
            assert "did not get its locks" in str(caught.value)
            assert "the cursor is kept" in caught.value.state
            assert of(events, HalfRetried)
            await schema.backfill(FILE, final=False, token=1, emit=events.append)

    asyncio.run(story())
    assert done(kit) == [(1, 300)]


def test_clocks_may_jump(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    make(kit)
    jumps = itertools.cycle([0.0, 1e9, -1e9, 3600.0, -7200.0])
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + next(jumps))
    events: list[Event] = []

    async def story() -> None:
        async with kit.schema(settings=SMALL) as schema:
            await expanded(schema, FILE)
            await schema.backfill(FILE, final=False, token=1, emit=events.append)

    asyncio.run(story())
    progress = of(events, BackfillProgress)
    assert all(0 <= event.rate < math.inf for event in progress)
    assert all(event.eta is None or 0 <= event.eta < 600 for event in progress)
    assert done(kit) == [(1, 1000)]
