"""When a statement of MySQL or MariaDB is told to end, by what is seen of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from time import monotonic
from typing import Any, cast

from pilotage.migrate.dialects.mysql.beside import Beside, Work
from pilotage.migrate.dialects.mysql.waits import Waits


class Server:
    """What each look sees, one after the other; the last one stays. It is the session beside, and its cursor."""

    def __init__(self, seen: Iterable[str | None]) -> None:
        self.seen = [*seen]
        self.looks = 0
        self.ended_at: str | None = None

    async def ask_soon(self, work: Work) -> None:
        work(cast(Any, self))

    def execute(self, statement: str, values: object = None) -> None:
        if statement == "KILL QUERY 7":
            self.ended_at = self._now
        else:
            self.looks += 1

    def fetchone(self) -> tuple[str] | None:
        return (self._now,) if self._now else None

    @property
    def _now(self) -> str | None:
        return self.seen[min(self.looks, len(self.seen)) - 1]


def watched(seen: Iterable[str | None], patience: float = 0.02) -> Server:
    """What happened until the statement was told to end."""
    server = Server(seen)
    waits = Waits(cast(Beside, server), 7)
    asyncio.run(asyncio.wait_for(waits.end_one_of(patience, monotonic(), nothing), 30))
    return server


def nothing() -> None:
    pass


def alternating(count: int) -> Iterator[str]:
    for number in range(count):
        yield f"row {number}"


def test_a_wait_at_the_beginning() -> None:
    assert watched(["table"]).ended_at == "table"


def test_a_wait_that_begins_after_work() -> None:
    server = watched([*[None] * 20, "table"])
    assert server.ended_at == "table"
    assert server.looks > 21


def test_many_short_waits_are_not_a_long_one() -> None:
    server = watched([*alternating(20), "the last"])
    assert server.ended_at == "the last"


def test_a_wait_that_was_over_in_between_began_anew() -> None:
    server = watched([*["table", None] * 20, "table"])
    assert server.looks > 41


def test_who_ends_it_is_told_before_it_ends() -> None:
    told: list[str | None] = []
    server = Server(["table"])
    waits = Waits(cast(Beside, server), 7)
    ending = waits.end_one_of(0.02, monotonic(), lambda: told.append(server.ended_at))
    asyncio.run(asyncio.wait_for(ending, 30))
    assert told == [None]
