"""A person's hold of the deploy lock, and tokens that rise above what the hosts have seen."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.world import MemoryWorld

from pilotage.errors import LeaseHeld, LeaseLost
from pilotage.events import ignore
from pilotage.model import DeployState, LeaseRow
from pilotage.store import Claim, Floor, Store

PERSON = Claim("ann@laptop:1", "no deploys today", ttl=0.0)
DEPLOYER = Claim("ci@runner:2", ttl=30.0)


def highest(token: int) -> Floor:
    """Hosts that have seen this token."""

    async def seen() -> int:
        return token

    return seen


def test_hold_does_not_expire_and_binds_everybody():
    async def main() -> None:
        store = Store(MemoryWorld().target.state)
        await store.acquire_hold(PERSON, ignore)
        for claim in (DEPLOYER, PERSON):
            with pytest.raises(LeaseHeld, match="no deploys today") as refused:
                await store.acquire(claim, ignore)
            assert "does not expire" in refused.value.next
        released = await store.break_lease()
        assert released is not None
        assert released.owner == PERSON.owner
        await store.acquire(DEPLOYER, ignore)

    asyncio.run(main())


def test_hold_waits_for_a_deployer_to_finish():
    async def main() -> None:
        store = Store(MemoryWorld().target.state)
        lease = await store.acquire(DEPLOYER, ignore)
        with pytest.raises(LeaseHeld):
            await store.acquire_hold(PERSON, ignore)
        await lease.release()
        await store.acquire_hold(PERSON, ignore)

    asyncio.run(main())


def test_breaking_a_lease_refuses_its_owner():
    async def main() -> None:
        store = Store(MemoryWorld().target.state)
        lease = await store.acquire(DEPLOYER, ignore)
        await store.break_lease()
        with pytest.raises(LeaseLost):
            await lease.renew()

    asyncio.run(main())


@pytest.mark.parametrize(("seen", "token"), [(0, 1), (7, 8)])
def test_first_token_of_a_new_document_is_above_what_the_hosts_have_seen(seen, token):
    async def main() -> None:
        store = Store(MemoryWorld().target.state, floor=highest(seen))
        assert (await store.acquire(DEPLOYER, ignore)).token == token

    asyncio.run(main())


def test_token_rises_where_the_hosts_have_seen_less():
    async def main() -> None:
        store = Store(MemoryWorld().target.state, floor=highest(1))
        for token in (2, 3):
            lease = await store.acquire(DEPLOYER, ignore)
            assert lease.token == token
            await lease.release()

    asyncio.run(main())


def test_a_row_without_the_key_is_no_hold():
    data = DeployState(lease=LeaseRow("x", expires=5.0)).to_json()
    del data["lease"]["hold"]
    found = DeployState.from_json(data).lease
    assert found is not None
    assert not found.hold
    assert (found.over(4.0), found.over(5.0)) == (False, True)
