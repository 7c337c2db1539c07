"""How often a batch waits for the server, and that what is looked up ahead is never out of date."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from tests.integration.backfill.support import FILE, QUIET, database, done, schema_of
from tests.integration.postgresql.support import Db

from pilotage.events import BackfillProgress, Event
from pilotage.migrate.dialects.postgresql.session import PostgresSession


def count_trips(monkeypatch: pytest.MonkeyPatch) -> list[PostgresSession]:
    """Every wait for the server, as the session that waited."""
    trips: list[PostgresSession] = []
    for name in ("_run", "_pipeline"):
        real = getattr(PostgresSession, name)

        def noted(session: PostgresSession, *given: Any, real: Any = real) -> Any:
            trips.append(session)
            return real(session, *given)

        monkeypatch.setattr(PostgresSession, name, noted)
    return trips


@pytest.mark.parametrize("key", ["primary key", "address"])
def test_a_batch_is_two_round_trips(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    with database(rows=3000) as db:
        if key == "address":
            db.execute("ALTER TABLE t DROP CONSTRAINT t_pkey")
        each: list[int] = []

        async def story() -> None:
            async with schema_of(db, replace(QUIET, duty=None)) as schema:
                trips = count_trips(monkeypatch)

                def emit(event: Event) -> None:
                    if isinstance(event, BackfillProgress):
                        works = max(set(trips), key=trips.count)
                        each.append(trips.count(works))
                        trips.clear()

                await schema.backfill(FILE, final=False, token=1, emit=emit)

        asyncio.run(story())
        assert done(db) == [(1, 3000)]
        assert sorted(each)[len(each) // 2] == 2


def test_rows_that_come_into_a_window_after_it_was_looked_up_are_done() -> None:
    """Each batch's window is known before the batch ahead of it is committed: others go on writing."""
    with database(rows=0) as db:
        db.execute("INSERT INTO t SELECT i * 10 FROM generate_series(1, 1000) i")
        written: list[int] = []

        def others(event: Event) -> None:
            """Rows in front of the cursor, in the window that has been looked up already, and behind it."""
            if isinstance(event, BackfillProgress) and event.batch and len(written) < 40:
                at = event.rows * 10
                new = [at + 15 + len(written) % 3, at + 1001 + len(written) % 7]
                for value in new:
                    _insert(db, value)
                    written.append(value)
                db.execute(f"DELETE FROM t WHERE id = {at + 20}")

        async def story() -> None:
            async with schema_of(db) as schema:
                await schema.backfill(FILE, final=False, token=1, emit=others)

        asyncio.run(story())
        assert len(written) > 10
        assert [value for value, _ in done(db)] == [1]


def _insert(db: Db, value: int) -> None:
    db.execute(f"INSERT INTO t VALUES ({value}) ON CONFLICT DO NOTHING")
