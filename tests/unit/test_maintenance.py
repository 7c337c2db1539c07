"""Closing and opening the edges, on a world in memory: a person's verbs, and a deploy with downtime."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from tests.unit.world import CLAIM, MemoryWorld, goal, up

from pilotage import page
from pilotage.deploy import rollback
from pilotage.errors import LeaseHeld, ProxyError, Refused, StartFailed, TargetError, Unhealthy
from pilotage.events import Note, Planned
from pilotage.maintenance import Changed, close, reopen
from pilotage.model import Closure, DeployState, Front, release_id
from pilotage.store import Claim

V1, V2, V3 = release_id("v1"), release_id("v2"), release_id("v3")
TEA = Front("maintenance", "tea")
LAYOUT = goal("v1").layout


def shut(world: MemoryWorld, front: Front = TEA, **more: str) -> Changed:
    return asyncio.run(close(world.world, LAYOUT, front, CLAIM, world.emit, **more))


def live(world: MemoryWorld, *, only_pause: bool = False) -> Changed:
    return asyncio.run(reopen(world.world, LAYOUT, CLAIM, world.emit, only_pause=only_pause))


def state(world: MemoryWorld) -> DeployState:
    return asyncio.run(world.store.read())


def front(world: MemoryWorld) -> Front | None:
    return world.proxy.routes["localhost"].front


@pytest.fixture
def world() -> MemoryWorld:
    """Release 1 serves."""
    made = MemoryWorld()
    up(made, goal("v1"))
    made.events.clear()
    return made


# ----------------------------------------------------------------------------------------------
# A person
# ----------------------------------------------------------------------------------------------


def test_closed_and_opened_with_a_line_of_history_each(world: MemoryWorld) -> None:
    changed = shut(world, message="tea time")
    assert (changed.before, changed.hosts) == (None, ("localhost",))
    assert front(world) == TEA
    assert state(world).closure == Closure(TEA, "person", "tester", changed.after.since, "tea time")  # type: ignore[union-attr]
    assert world.serving() == {V1}, "the endpoints stay: they wait behind it"

    assert live(world).changed
    assert (front(world), state(world).closure) == (None, None)
    assert [(h.verb, h.outcome, h.to) for h in state(world).history[1:]] == [
        ("maintenance", "done", V1),
        ("live", "done", V1),
    ]
    assert state(world).lease is None


def test_again_it_changes_the_page_and_keeps_the_moment_it_began(world: MemoryWorld) -> None:
    first = shut(world).after
    world.target.state.advance(60)
    second = shut(world, replace(TEA, body="coffee")).after
    assert first is not None
    assert second is not None
    assert front(world) == second.front == replace(TEA, body="coffee")
    assert second.since == first.since


def test_live_again_is_nothing_to_do(world: MemoryWorld) -> None:
    assert not live(world).changed
    assert not live(world, only_pause=True).changed
    assert len(state(world).history) == 1


def test_a_pause_and_maintenance_take_each_others_place(world: MemoryWorld) -> None:
    pause = Front("pause", limit=5.0)
    shut(world, pause)
    assert front(world) == pause
    changed = shut(world)
    assert changed.before is not None
    assert changed.before.front == pause
    with pytest.raises(Refused, match="that is no pause"):
        live(world, only_pause=True)
    assert front(world) == TEA
    shut(world, pause)
    assert live(world, only_pause=True).changed
    assert front(world) is None


def test_before_the_first_deploy_there_is_a_page_and_no_live() -> None:
    world = MemoryWorld()
    shut(world)
    assert front(world) == TEA
    with pytest.raises(Refused, match="nothing is deployed"):
        live(world)
    up(world, goal("v1"))
    assert (front(world), world.serving()) == (TEA, {V1})
    live(world)
    assert front(world) is None


def test_nobody_is_sent_to_what_is_dead_or_unhealthy(world: MemoryWorld) -> None:
    shut(world)
    one, two = (e.instance for e in world.proxy.routes["localhost"].active)
    world.target.kill(one)
    world.target.unfit.add(two)
    with pytest.raises(Unhealthy) as caught:
        live(world)
    assert caught.value.state == "the edges stay closed"
    assert (front(world), state(world).closure is None) == (TEA, False)
    world.target.unfit.clear()
    world.events.clear()
    live(world)
    assert front(world) is None
    warned = [e.text for e in world.events if isinstance(e, Note) and e.level == "warning"]
    assert len(warned) == 1
    assert one in warned[0], "one healthy instance is enough, and the other one is named"


def test_a_host_that_does_not_confirm_is_named_and_the_same_verb_again_ends_right() -> None:
    roles = tuple(replace(role, hosts=("h0", "h1")) for role in goal("v1").layout.roles)
    wanted = goal("v1", roles=roles)
    world = MemoryWorld(("h0", "h1"))
    up(world, wanted)
    world.proxy.rejecting.add("h1")
    with pytest.raises(ProxyError) as caught:
        asyncio.run(close(world.world, wanted.layout, TEA, CLAIM, world.emit))
    assert "h1" in caught.value.what
    assert "confirmed by h0" in caught.value.state
    assert state(world).closure is not None
    assert state(world).history[-1].outcome == "failed"
    world.proxy.rejecting.clear()
    asyncio.run(close(world.world, wanted.layout, TEA, CLAIM, world.emit))
    assert {r.front for r in world.proxy.routes.values()} == {TEA}


def test_what_no_edge_can_do_is_not_written_down(world: MemoryWorld) -> None:
    with pytest.raises(ProxyError, match="may have"):
        shut(world, replace(TEA, body="x" * (1 << 21)))
    with pytest.raises(ProxyError, match="for up to an hour"):
        shut(world, Front("pause", limit=4000.0))
    assert (state(world).closure, len(state(world).history)) == (None, 1)


def test_while_somebody_deploys_the_edges_are_theirs(world: MemoryWorld) -> None:
    async def try_it() -> None:
        await world.store.acquire(Claim("grace"), world.emit)
        with pytest.raises(LeaseHeld, match="grace"):
            await close(world.world, LAYOUT, TEA, CLAIM, world.emit)

    asyncio.run(try_it())
    assert front(world) is None


# ----------------------------------------------------------------------------------------------
# Under a person's closure
# ----------------------------------------------------------------------------------------------


def test_a_deploy_a_rollback_and_a_failure_leave_it_on(world: MemoryWorld) -> None:
    shut(world)
    up(world, goal("v2"))
    assert (front(world), world.serving()) == (TEA, {V2})
    notes = [e.text for e in world.events if isinstance(e, Note)]
    assert notes[-1] == "maintenance is on, by tester, and stays on: `pilotage live` ends it"
    planned = [e.plan for e in world.events if isinstance(e, Planned)][-1]
    assert "and this leaves it on: `pilotage live`" in planned.notes[-1]
    asyncio.run(rollback(world.world, goal("v1"), CLAIM, world.emit))
    assert (front(world), world.serving()) == (TEA, {V1})
    world.target.unfit.add(V3)
    with pytest.raises(Unhealthy):
        up(world, goal("v3"))
    assert (front(world), world.serving()) == (TEA, {V1})
    up(world, goal("v1"))
    assert front(world) == TEA


def test_a_switch_that_is_taken_back_keeps_it() -> None:
    roles = tuple(replace(role, hosts=("h0", "h1")) for role in goal("v1").layout.roles)
    world = MemoryWorld(("h0", "h1"))
    up(world, goal("v1", roles=roles))
    asyncio.run(close(world.world, goal("v1", roles=roles).layout, TEA, CLAIM, world.emit))
    world.proxy.rejecting.add("h1")
    with pytest.raises(ProxyError):
        up(world, goal("v2", roles=roles))
    assert {r.front for r in world.proxy.routes.values()} == {TEA}
    assert world.serving() == {V1}


def test_a_new_host_is_closed_as_well() -> None:
    world = MemoryWorld(("h0", "h1"))
    one = tuple(replace(role, hosts=("h0",)) for role in goal("v1").layout.roles)
    both = tuple(replace(role, hosts=("h0", "h1")) for role in goal("v1").layout.roles)
    up(world, goal("v1", roles=one))
    asyncio.run(close(world.world, goal("v1", roles=one).layout, TEA, CLAIM, world.emit))
    up(world, goal("v2", roles=both))
    assert world.proxy.routes["h1"].active
    assert {r.front for r in world.proxy.routes.values()} == {TEA}


def test_an_edge_that_lost_it_is_closed_again_by_the_next_deploy(world: MemoryWorld) -> None:
    shut(world)
    world.proxy.routes["localhost"] = replace(world.proxy.routes["localhost"], front=None)
    up(world, goal("v1"))
    assert front(world) == TEA


# ----------------------------------------------------------------------------------------------
# A deploy with downtime
# ----------------------------------------------------------------------------------------------


def test_with_downtime_it_ends_open(world: MemoryWorld) -> None:
    up(world, goal("v2"), downtime=True)
    assert (front(world), state(world).closure, world.serving()) == (None, None, {V2})
    spec = state(world).spec
    assert spec is not None
    assert spec.downtime
    assert spec.finished_at


def test_it_fails_and_stays_closed_and_says_where_it_stands(world: MemoryWorld) -> None:
    world.target.unstartable.add(V2)
    with pytest.raises(StartFailed) as caught:
        up(world, goal("v2"), downtime=True)
    assert caught.value.state.endswith("nothing runs; the edges stay closed: maintenance is on")
    assert f"pilotage rollback {V1}" in caught.value.next
    assert front(world) == page.maintenance()
    assert world.running() == []
    with pytest.raises(Refused) as refused:
        live(world)
    assert refused.value.next == (
        f"`pilotage deploy --version {V2}` goes on with the deploy, "
        f"`pilotage rollback {V1}` goes back"
    )
    with pytest.raises(Refused, match="nobody would answer the held requests"):
        shut(world, Front("pause"))

    world.target.unstartable.clear()
    up(world, goal("v2"))
    assert (front(world), world.serving()) == (None, {V2})


def test_rolled_back_in_the_middle_the_old_release_is_live_again(world: MemoryWorld) -> None:
    world.target.unstartable.add(V2)
    with pytest.raises(StartFailed):
        up(world, goal("v2"), downtime=True)
    asyncio.run(rollback(world.world, goal("v1"), CLAIM, world.emit))
    assert (front(world), state(world).closure, world.serving()) == (None, None, {V1})


def test_a_rollback_that_fails_in_the_middle_stays_closed(world: MemoryWorld) -> None:
    world.target.unstartable |= {V1, V2}
    with pytest.raises(StartFailed):
        up(world, goal("v2"), downtime=True)
    with pytest.raises(StartFailed) as caught:
        asyncio.run(rollback(world.world, goal("v1"), CLAIM, world.emit))
    assert "nothing runs; the edges stay closed" in caught.value.state
    assert front(world) is not None


def test_live_on_failure_brings_the_old_release_back(world: MemoryWorld) -> None:
    world.target.unfit.add(V2)
    with pytest.raises(Unhealthy) as caught:
        up(world, goal("v2"), downtime=True, live_on_failure=True)
    assert f"release {V1} serves as before" in caught.value.state
    assert (front(world), state(world).closure, world.serving()) == (None, None, {V1})
    spec = state(world).spec
    assert spec is not None
    assert spec.aborted_reason


def test_live_on_failure_with_an_old_release_that_does_not_start(world: MemoryWorld) -> None:
    world.target.unstartable |= {V1, V2}
    with pytest.raises(StartFailed) as caught:
        up(world, goal("v2"), downtime=True, live_on_failure=True)
    assert "the way back failed as well" in caught.value.state
    assert "the edges stay closed: maintenance is on" in caught.value.state
    assert front(world) is not None
    world.target.unstartable.clear()
    with pytest.raises(Refused, match="was aborted before"):
        up(world, goal("v2"))
    assert (front(world), world.serving()) == (None, {V1})


def test_a_failure_before_the_edges_are_closed_is_no_outage(world: MemoryWorld) -> None:
    world.target.unfetchable.add("v2")
    with pytest.raises(TargetError) as caught:
        up(world, goal("v2"), downtime=True)
    assert f"release {V1} serves" in caught.value.state
    assert (front(world), world.serving()) == (None, {V1})


def test_a_person_takes_an_unfinished_closure_over(world: MemoryWorld) -> None:
    world.target.unstartable.add(V2)
    with pytest.raises(StartFailed):
        up(world, goal("v2"), downtime=True)
    shut(world)
    world.target.unstartable.clear()
    up(world, goal("v2"))
    assert (front(world), world.serving()) == (TEA, {V2})
    live(world)
    assert front(world) is None


# ----------------------------------------------------------------------------------------------
# The page
# ----------------------------------------------------------------------------------------------


def test_whatever_a_message_says_is_text() -> None:
    made = page.maintenance("<script>alert('tea')</script> & {braces}")
    assert "<script>" not in made.body
    assert "&lt;script&gt;alert(&#x27;tea&#x27;)&lt;/script&gt; &amp; {braces}" in made.body
    assert (made.status, made.retry_after) == (503, 120)
