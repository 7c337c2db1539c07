"""Several processes on one database, and some of them killed."""

from __future__ import annotations

import asyncio
import random
import signal
from dataclasses import replace

import pytest
from tests.contract.schema.conftest import PATIENT, Kit
from tests.runners import closed, finish, start, told

from pilotage.errors import LockUnavailable


def test_two_processes_run_each_half_once(kit: Kit) -> None:
    kit.execute("CREATE TABLE log (i integer)")
    story = """
        await schema.prepare()
        for version in range(1, 6):
            file = migration(str(version), expand=f"INSERT INTO log VALUES ({version})")
            await schema.apply(file, Half.EXPAND, release="r", token=1, emit=told)
    """
    with closed(start(kit.url, story)) as one, closed(start(kit.url, story)) as two:
        said = finish(one) + finish(two)
    finished = [event["half"] for event in said if event["event"] == "HalfFinished"]
    assert sorted(finished) == [f"{version}/expand" for version in range(1, 6)]
    assert kit.execute("SELECT i FROM log ORDER BY i") == [(i,) for i in range(1, 6)]


def test_kills_of_a_backfill_do_every_row_once(kit: Kit) -> None:
    rows = 20_000
    kit.execute(
        "CREATE TABLE t (id integer PRIMARY KEY, n integer NOT NULL DEFAULT 0, done integer)",
        f"INSERT INTO t (id) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
        f" WHERE i < {rows}) SELECT i FROM n",
    )
    story = """
        await schema.prepare()
        file = migration("1", expand="SELECT 1",
                         backfill="UPDATE t SET n = n + 1, done = 1 WHERE done IS NULL")
        await schema.apply(file, Half.EXPAND, release="r", token=1, emit=ignore)
        await schema.backfill(file, final=False, token=1, emit=told)
    """
    chance = random.Random(2)
    for _ in range(4):
        with closed(start(kit.url, story)) as process:
            said = told(process)
            for _ in range(chance.randint(1, 6)):
                next(said)
            process.kill()
    with closed(start(kit.url, story)) as process:
        last = finish(process)[-1]
    assert last["rows"] == rows
    assert kit.execute("SELECT n, done, count(*) FROM t GROUP BY n, done") == [(1, 1, rows)]


def test_a_process_that_holds_the_migration_lock_is_named(kit: Kit) -> None:
    """Stopped between two batches, it holds the lock and no transaction."""
    kit.execute(
        "CREATE TABLE t (id integer PRIMARY KEY, done integer)",
        "INSERT INTO t (id) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
        " WHERE i < 5000) SELECT i FROM n",
    )
    story = """
        import time
        await schema.prepare()
        file = migration("1", expand="SELECT 1", backfill="UPDATE t SET done = 1 WHERE done IS NULL")
        await schema.apply(file, Half.EXPAND, release="r", token=1, emit=ignore)
        def emit(event):
            told(event)
            time.sleep(600)
        await schema.backfill(file, final=False, token=1, emit=emit)
    """

    async def claim(wait: float) -> None:
        async with kit.schema(settings=replace(PATIENT, lock_wait=wait)) as schema:
            await schema.claim(token=2)

    with closed(start(kit.url, story)) as process:
        next(told(process))
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(LockUnavailable, match="holds it") as caught:
            asyncio.run(claim(0.2))
        if kit.dialect == "sqlite":
            assert f"kill {process.pid}" in caught.value.next
        elif kit.dialect == "mysql":
            assert "KILL " in caught.value.next
        else:
            assert "SELECT pg_terminate_backend(" in caught.value.next
    asyncio.run(claim(30))
