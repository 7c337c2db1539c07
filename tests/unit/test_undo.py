"""A release that serves is deployed anew with another configuration, and that fails: what was before is again."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from tests.unit.world import ROLES, MemoryWorld, goal, up

from pilotage.cli.standing import standing
from pilotage.errors import Unhealthy
from pilotage.model import Instance, Spec, release_id
from pilotage.observe import observe
from pilotage.plan import Goal, Rolling

V1 = release_id("v1")
AS_BEFORE = "what ran before is as it was; what was started is stopped again"


def alive(world: MemoryWorld) -> dict[str, Instance]:
    return {i.id: i for i in asyncio.run(observe(world.world)).alive}


def routed(world: MemoryWorld) -> set[str]:
    return {e.instance for route in world.proxy.routes.values() for e in route.active}


def unfit(world: MemoryWorld, wanted: Goal, role: str, host: str = "localhost") -> None:
    some = (i for i in wanted.layout.wanted(wanted.release) if (i.role, i.host) == (role, host))
    world.target.unfit.update(i.id for i in some)


def failed(world: MemoryWorld, wanted: Goal) -> str:
    with pytest.raises(Unhealthy) as told:
        up(world, wanted)
    assert told.value.state is not None
    return told.value.state


@pytest.mark.parametrize("role", ["web", "worker"], ids=["before the switch", "after the switch"])
def test_what_was_started_ends_and_what_was_has_the_requests(role: str) -> None:
    world, one, other = MemoryWorld(), goal("v1"), goal("v1", config="other")
    up(world, one)
    before, routes = alive(world), routed(world)
    unfit(world, other, role)

    assert failed(world, other) == AS_BEFORE
    assert alive(world).keys() == before.keys()
    assert routed(world) == routes
    stands = standing(asyncio.run(observe(world.world)))
    assert (stands.state, stands.next, stands.settled) == (f"release {V1} serves", "", True)

    assert failed(world, other) == AS_BEFORE, "the same again"
    world.target.unfit.clear()
    up(world, other)
    assert {i.config for i in alive(world).values()} == {"other"}


def test_what_is_left_of_an_interrupted_try_ends_as_well() -> None:
    world, one, other = MemoryWorld(), goal("v1"), goal("v1", config="other")
    up(world, one)
    before, routes = alive(world), routed(world)
    left = next(i for i in other.layout.wanted(other.release) if i.role == "worker")
    world.target.hosts[left.host].instances[left.id] = left
    unfit(world, other, "web")

    assert failed(world, other) == AS_BEFORE
    assert alive(world).keys() == before.keys()
    assert routed(world) == routes


def test_what_may_not_run_beside_the_old_one_stays() -> None:
    roles = tuple(replace(r, overlap=False) if r.name == "worker" else r for r in ROLES)
    world = MemoryWorld()
    up(world, goal("v1", roles=roles))
    before = alive(world)
    other = goal("v1", roles=roles, config="other")
    unfit(world, other, "worker")

    assert failed(world, other) == (
        "what ran before of worker on localhost had ended already, and only the new one is there; "
        "everything else is as it was"
    )
    now = alive(world)
    assert {i.config for i in now.values() if i.role == "worker"} == {"other"}
    assert {i for i in now if "web" in i} == {i for i in before if "web" in i}
    stands = standing(asyncio.run(observe(world.world)))
    assert not stands.settled
    assert "rollback" not in stands.next


def test_groups_that_have_changed_stay() -> None:
    roles = tuple(replace(role, hosts=("a", "b")) for role in ROLES)
    world = MemoryWorld(("a", "b"))
    up(world, goal("v1", roles=roles))
    before, routes = alive(world), routed(world)
    other = goal("v1", roles=roles, config="other", rolling=Rolling("1", wait=0.0))
    unfit(world, other, "web", "b")

    assert "web on a had ended already" in failed(world, other)
    now = alive(world)
    assert {i.config for i in now.values() if (i.role, i.host) == ("web", "a")} == {"other"}
    assert {i for i, it in now.items() if it.host == "b"} == {
        i for i, it in before.items() if it.host == "b"
    }
    assert {i for i in routed(world) if i in now and now[i].host == "b"} == {
        i for i in routes if before[i].host == "b"
    }


def test_a_part_that_fails_beside_one_that_came_through_is_unfinished_still() -> None:
    roles = tuple(replace(role, hosts=("a", "b")) for role in ROLES)
    world = MemoryWorld(("a", "b"))
    up(world, goal("v1", roles=roles))
    other = goal("v1", roles=roles, config="other")

    def part(host: str) -> Goal:
        only = frozenset({(host, "web"), (host, "worker")})
        return replace(other, layout=replace(other.layout, only=only))

    up(world, part("b"))
    unfit(world, other, "web", "a")
    assert failed(world, part("a")) == AS_BEFORE
    configs = {(i.host, i.config) for i in alive(world).values()}
    assert configs == {("a", ""), ("b", "other")}
    assert not standing(asyncio.run(observe(world.world))).settled
    world.target.unfit.clear()
    up(world, part("a"))
    assert standing(asyncio.run(observe(world.world))).settled


def test_nobody_is_sent_back_to_the_release_that_serves() -> None:
    world = MemoryWorld()
    up(world, goal("v1"))
    observed = asyncio.run(observe(world.world))
    state = replace(observed.state, spec=Spec(to=V1, from_=V1))
    stands = standing(replace(observed, state=state))
    assert stands.next == f"`pilotage deploy --version {V1}` goes on"
