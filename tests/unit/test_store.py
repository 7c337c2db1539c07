"""The lease: who has it, who is told to wait, and what a deployer that slept may still do."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest

from pilotage.errors import LeaseHeld, LeaseLost, StoreError
from pilotage.events import Event, LeaseTaken, LeaseWaiting, ignore
from pilotage.store import Claim, Store, hold
from pilotage.targets.memory import MemoryDocument


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(coroutine)


def test_a_second_deployer_is_told_who_since_when_and_what() -> None:
    async def story() -> None:
        document = MemoryDocument()
        store = Store(document)
        lease = await store.acquire(Claim("ann@a:1", "deploy v2", ttl=30), ignore)
        await lease.renew(doing="expand 3 add_email")
        document.advance(10)
        with pytest.raises(LeaseHeld) as refused:
            await store.acquire(Claim("bob@b:2"), ignore)
        text = str(refused.value)
        assert "ann@a:1" in text
        assert "deploy v2" in text
        assert "since 10 s" in text
        assert "expand 3 add_email" in text
        assert "--lock-wait" in text
        assert "(in 20 s)" in text

    run(story())


def test_a_waiting_deployer_gets_it_when_it_is_released() -> None:
    async def story() -> None:
        store = Store(MemoryDocument())
        first = await store.acquire(Claim("ann"), ignore)
        events: list[Event] = []
        waiting = asyncio.create_task(store.acquire(Claim("bob", wait=30), events.append))
        while not events:
            await asyncio.sleep(0)
        assert isinstance(events[0], LeaseWaiting)
        assert not waiting.done()
        await first.release()
        second = await waiting
        assert second.token == first.token + 1

    run(story())


def test_an_expired_lease_is_taken_over_and_its_owner_may_write_nothing_more() -> None:
    async def story() -> None:
        document = MemoryDocument()
        store = Store(document)
        slept = await store.acquire(Claim("ann", ttl=30), ignore)
        document.advance(31)
        events: list[Event] = []
        taken = await store.acquire(Claim("bob"), events.append)
        assert [(e.owner, e.took_over) for e in events if isinstance(e, LeaseTaken)] == [
            ("bob", "ann")
        ]
        before = await document.read()
        with pytest.raises(LeaseLost, match="held by bob"):
            await store.update(lambda s: replace(s, hosts=("x",)), token=slept.token)
        with pytest.raises(LeaseLost):
            await slept.renew()
        await slept.release()
        assert await document.read() == before, "the release of a lost lease changes nothing"
        await taken.renew()

    run(story())


def test_a_heartbeat_keeps_it_and_leaving_releases_it() -> None:
    async def story() -> None:
        store = Store(MemoryDocument())
        async with hold(store, Claim("ann"), ignore):
            assert (await store.read()).lease is not None
        assert (await store.read()).lease is None

        async def interrupted() -> None:
            async with hold(store, Claim("ann"), ignore):
                await asyncio.Event().wait()

        task = asyncio.create_task(interrupted())
        while (await store.read()).lease is None:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await store.read()).lease is None

    run(story())


def test_a_person_may_break_it() -> None:
    async def story() -> None:
        store = Store(MemoryDocument())
        lease = await store.acquire(Claim("ann"), ignore)
        broken = await store.break_lease()
        assert broken is not None
        assert broken.owner == "ann"
        with pytest.raises(LeaseLost, match="after a person released it"):
            await lease.renew()
        again = await store.acquire(Claim("bob"), ignore)
        assert again.token > lease.token

    run(story())


def test_two_writers_lose_nothing() -> None:
    async def story() -> None:
        store = Store(MemoryDocument())
        lease = await store.acquire(Claim("ann"), ignore)

        async def add(name: str) -> None:
            await store.update(lambda s: replace(s, hosts=(*s.hosts, name)), token=lease.token)

        await asyncio.gather(*(add(f"h{i}") for i in range(20)))
        assert sorted((await store.read()).hosts) == sorted(f"h{i}" for i in range(20))

    run(story())


def test_a_store_out_of_reach_is_an_error_of_its_own() -> None:
    async def story() -> None:
        document = MemoryDocument()
        document.broken = True
        with pytest.raises(StoreError):
            await Store(document).acquire(Claim("ann"), ignore)

    run(story())


class Counted(MemoryDocument):
    """Counts how often it is read."""

    reads = 0

    async def read(self) -> tuple[int, dict[str, Any]]:
        self.reads += 1
        return await super().read()


def test_what_was_written_last_is_not_read_again() -> None:
    async def story() -> None:
        document = Counted()
        store = Store(document)
        lease = await store.acquire(Claim("ann"), ignore)
        reads = document.reads
        await store.update(lambda s: replace(s, hosts=("a",)), token=lease.token)
        await lease.renew(doing="a step")
        assert document.reads == reads
        assert (await store.read()).hosts == ("a",)

    run(story())


def test_what_another_wrote_in_between_is_read_and_kept() -> None:
    async def story() -> None:
        document = MemoryDocument()
        store, other = Store(document), Store(document)
        lease = await store.acquire(Claim("ann"), ignore)
        await other.update(lambda s: replace(s, hosts=("a",)), token=lease.token)
        after = await store.update(lambda s: replace(s, hosts=(*s.hosts, "b")), token=lease.token)
        assert after.hosts == ("a", "b")

    run(story())


def test_who_gave_the_lease_back_may_write_nothing_more() -> None:
    async def story() -> None:
        document = MemoryDocument()
        store = Store(document)
        lease = await store.acquire(Claim("ann"), ignore)
        await lease.release()
        before = await document.read()
        with pytest.raises(LeaseLost):
            await store.update(lambda s: replace(s, hosts=("x",)), token=lease.token)
        assert await document.read() == before

    run(story())
