"""Sessions that wait: who takes one gets one that is open, or none."""

from __future__ import annotations

import asyncio

import pytest

from pilotage.shell import ahead
from pilotage.shell.ahead import COUNT, Ahead
from pilotage.shell.outcome import nothing
from pilotage.shell.session import Session


class Made:
    """What was opened and closed."""

    def __init__(self) -> None:
        self.opened: list[Session] = []
        self.closed: list[Session] = []
        self.refuse = False

    async def open(self) -> Session:
        if self.refuse:
            raise OSError("no more")
        self.opened.append(Session(nothing))
        return self.opened[-1]

    @property
    def ahead(self) -> Ahead:
        return Ahead(self.open, self.closed.append)


async def test_none_before_the_host_was_heard_from() -> None:
    made = Made()
    assert await made.ahead.take() is None
    assert made.opened == []


async def test_the_next_one_is_opened_as_one_is_taken() -> None:
    made = Made()
    waiting = made.ahead
    waiting.heard()
    taken = [await waiting.take() for _ in range(3)]
    assert taken == made.opened[:3]
    await asyncio.sleep(0)
    assert len(made.opened) == 3 + COUNT
    waiting.give_up()
    await asyncio.sleep(0)
    assert made.closed == made.opened[3:]
    waiting.heard()
    assert await waiting.take() is None


async def test_one_that_has_closed_meanwhile_is_passed_over() -> None:
    made = Made()
    waiting = made.ahead
    waiting.heard()
    await asyncio.sleep(0)
    made.opened[0].connection_lost(None)
    assert await waiting.take() is made.opened[1]
    assert made.closed == made.opened[:1]
    waiting.drop()


async def test_none_when_one_cannot_be_opened() -> None:
    made = Made()
    made.refuse = True
    waiting = made.ahead
    waiting.heard()
    assert await waiting.take() is None


async def test_none_long_after_the_host_was_heard_from(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made()
    waiting = made.ahead
    waiting.heard()
    monkeypatch.setattr(ahead, "TRUSTED", -1.0)
    assert await waiting.take() is None
    await asyncio.sleep(0)
    assert len(made.opened) == COUNT
    assert made.closed == made.opened


async def test_who_is_as_quick_alone_takes_one_that_waits_or_none() -> None:
    made, may_open = Made(), asyncio.Event()

    async def slowly() -> Session:
        await may_open.wait()
        return await made.open()

    slow = Ahead(slowly, made.closed.append)
    slow.heard()
    assert await slow.take(ready=True) is None
    asked = asyncio.create_task(slow.take())
    may_open.set()
    assert await asked is made.opened[0]
    while len(made.opened) < 1 + COUNT:
        await asyncio.sleep(0)
    assert await slow.take(ready=True) is made.opened[1]
    slow.drop()
