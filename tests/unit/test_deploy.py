"""The verbs on a world in memory: order, failure, the way back, and running again."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from tests.unit.world import CLAIM, MemoryWorld, goal, up

from pilotage.deploy import deploy, rollback
from pilotage.errors import (
    LeaseLost,
    Misfit,
    PilotageError,
    ProxyError,
    Refused,
    StalePlan,
    StartFailed,
    TargetError,
    Unhealthy,
)
from pilotage.events import Ended, Event, InstanceStarted, InstanceStopped, Note, Switched
from pilotage.model import Role, Route, Ships, release_id
from pilotage.plan import Goal
from pilotage.store import Claim

V1, V2, V3 = release_id("v1"), release_id("v2"), release_id("v3")


def back(world: MemoryWorld, wanted: Goal) -> None:
    asyncio.run(rollback(world.world, wanted, CLAIM, world.emit))


def all_of(release: str) -> list[str]:
    return [f"web@{release}", f"web@{release}", f"worker@{release}"]


def test_a_first_deploy() -> None:
    world = MemoryWorld()
    up(world, goal("v1"))
    assert world.running() == all_of(V1)
    assert world.serving() == {V1}
    state = asyncio.run(world.store.read())
    assert state.spec is not None
    assert (state.spec.to, state.spec.from_) == (V1, None)
    assert state.spec.finished_at
    assert state.lease is None
    assert state.hosts == ("localhost",)
    assert [(h.verb, h.outcome) for h in state.history] == [("deploy", "done")]


def test_after_a_first_deploy_that_failed_nothing_is_brought_back() -> None:
    world, one, two = MemoryWorld(), goal("v1"), goal("v2")
    for wanted in (one, two):
        world.target.unfit.update(i.id for i in wanted.layout.wanted(wanted.release))
        with pytest.raises(Unhealthy) as failed:
            up(world, wanted)
        assert failed.value.state == "nothing serves: there was no release before"
        assert world.running() == []


def test_the_order_of_a_deploy() -> None:
    world = MemoryWorld()
    up(world, goal("v1"))
    world.events.clear()
    up(world, goal("v2"))

    def word(event: Event) -> str | None:
        match event:
            case InstanceStarted(role=role, release=release):
                return f"start {role} {release}"
            case Switched(release=release):
                return f"switch {release}"
            case InstanceStopped(instance=instance):
                return f"stop {instance.split('-')[1]} {instance.split('-')[3]}"
        return None

    story = [w for w in map(word, world.events) if w]
    assert story == [
        f"start web {V2}",
        f"start web {V2}",
        f"switch {V2}",
        f"start worker {V2}",
        f"stop worker {V1}",
        f"stop web {V1}",
        f"stop web {V1}",
    ]
    assert world.running() == all_of(V2)


def test_a_role_without_overlap_stops_first() -> None:
    roles = (
        Role("web", ("localhost",), traffic=True),
        Role("clock", ("localhost",), overlap=False),
    )
    world = MemoryWorld()
    up(world, goal("v1", roles=roles))
    world.events.clear()
    up(world, goal("v2", roles=roles))
    story = [
        type(e).__name__ + " " + e.instance.split("-")[1]
        for e in world.events
        if isinstance(e, (InstanceStarted, InstanceStopped))
    ]
    assert story == [
        "InstanceStarted web",
        "InstanceStopped clock",
        "InstanceStarted clock",
        "InstanceStopped web",
    ]


def test_deploying_what_runs_does_nothing() -> None:
    world = MemoryWorld()
    up(world, goal("v1"))
    before = world.target.everything()
    world.events.clear()
    up(world, goal("v1"))
    assert world.target.everything() == before
    assert any(isinstance(e, Note) and "nothing to do" in e.text for e in world.events)


def test_deploying_the_same_revision_heals_a_dead_instance() -> None:
    world = MemoryWorld()
    up(world, goal("v1"))
    victim = next(i for i in world.target.everything() if i.role == "web")
    world.target.kill(victim.id)
    assert world.running() == [f"web@{V1}", f"worker@{V1}"]
    up(world, goal("v1"))
    assert world.running() == all_of(V1)
    healed = {e.address for r in world.proxy.routes.values() for e in r.active}
    assert victim.address not in healed
    assert len(healed) == 2


def test_a_changed_configuration_replaces_the_instances_of_the_same_release() -> None:
    world = MemoryWorld()
    up(world, goal("v1", config="aaaaaaaaaaaa"))
    up(world, goal("v1", config="bbbbbbbbbbbb"))
    assert {i.config for i in world.target.everything()} == {"bbbbbbbbbbbb"}
    assert world.running() == all_of(V1)


@pytest.mark.parametrize("trouble", ["unfit", "unstartable"])
def test_a_release_that_does_not_come_up_leaves_the_old_one(trouble: str) -> None:
    world = MemoryWorld()
    up(world, goal("v1"))
    getattr(world.target, trouble).add(V2)
    with pytest.raises((Unhealthy, StartFailed)) as failed:
        up(world, goal("v2"))
    assert f"release {V1} serves as before" in failed.value.state
    assert world.running() == all_of(V1)
    assert world.serving() == {V1}
    spec = asyncio.run(world.store.read()).spec
    assert spec is not None
    assert spec.aborted_reason
    assert spec.wanted == V1


def test_an_aborted_release_is_taken_up_only_again() -> None:
    world = MemoryWorld()
    up(world, goal("v1"))
    world.target.unfit.add(V2)
    with pytest.raises(Unhealthy):
        up(world, goal("v2"))
    world.target.unfit.clear()
    with pytest.raises(Refused, match="was aborted before"):
        up(world, goal("v2"))
    assert world.serving() == {V1}
    up(world, goal("v2"), again=True)
    assert world.running() == all_of(V2)
    spec = asyncio.run(world.store.read()).spec
    assert spec is not None
    assert (spec.from_, spec.attempt, spec.aborted_reason) == (V1, 2, None)


def test_a_worker_that_fails_after_the_switch_takes_everything_back() -> None:
    world = MemoryWorld()
    up(world, goal("v1"))
    world.target.unfit.add(f"shop-worker-localhost-{V2}-0")
    with pytest.raises(Unhealthy) as failed:
        up(world, goal("v2"))
    assert any(isinstance(e, Switched) and e.release == V2 for e in world.events)
    assert "serves as before" in failed.value.state
    assert world.running() == all_of(V1)
    assert world.serving() == {V1}


def test_a_host_that_does_not_confirm_takes_every_host_back() -> None:
    hosts = ("a", "b", "c")
    roles = (Role("web", hosts, traffic=True),)
    world = MemoryWorld(hosts)
    up(world, goal("v1", roles=roles))
    world.proxy.rejecting.add("b")
    with pytest.raises(ProxyError):
        up(world, goal("v2", roles=roles))
    assert {e.release for r in world.proxy.routes.values() for e in r.active} == {V1}
    assert world.running() == [f"web@{V1}"] * 3


FLEET = ("a", "b", "c")
FLEET_ROLES = (Role("web", FLEET, traffic=True),)


def fleet_at_v1() -> MemoryWorld:
    """Three hosts that serve the first release."""
    world = MemoryWorld(FLEET)
    up(world, goal("v1", roles=FLEET_ROLES))
    return world


def releases_by_host(world: MemoryWorld) -> dict[str, set[str]]:
    return {host: {e.release for e in r.active} for host, r in world.proxy.routes.items()}


def test_nothing_old_is_stopped_and_nothing_switched_before_every_host_is_ready() -> None:
    world = fleet_at_v1()
    apply, story = world.proxy.apply, []

    async def told(host: str, route: Route, **more: object) -> float:
        alive = [i for i in world.target.everything() if i.alive]
        if {e.release for e in route.active} == {V2} and not route.draining:
            story.append("take out")
        else:
            story.append("switch")
            assert {(i.host, i.release) for i in alive} == {(h, r) for h in FLEET for r in (V1, V2)}
            assert all(world.target.healthy(i.id) for i in alive)
        return await apply(host, route, **more)

    world.proxy.apply = told  # type: ignore[method-assign,assignment]
    up(world, goal("v2", roles=FLEET_ROLES))
    assert story == ["switch"] * 3 + ["take out"] * 3
    switched = [e for e in world.events if isinstance(e, Switched) and e.release == V2]
    assert [e.hosts for e in switched] == [FLEET]


def test_a_host_whose_edge_does_not_say_what_it_does_keeps_the_others_from_switching() -> None:
    world = fleet_at_v1()
    observe, apply = world.proxy.observe, world.proxy.apply

    async def silent(*, token: int | None = None) -> dict[str, Route]:
        routes = await observe(token=token)
        return {host: route for host, route in routes.items() if host != "c"}

    async def never(host: str, route: Route, **more: object) -> float:
        raise AssertionError(f"{host} was switched")

    world.proxy.observe = silent  # type: ignore[method-assign,assignment]
    world.proxy.apply = never  # type: ignore[method-assign,assignment]
    with pytest.raises(ProxyError, match="nothing was switched anywhere") as failed:
        up(world, goal("v2", roles=FLEET_ROLES))
    assert failed.value.where == "c"
    assert releases_by_host(world) == {host: {V1} for host in FLEET}
    assert world.running().count(f"web@{V1}") == 3
    world.proxy.observe, world.proxy.apply = observe, apply  # type: ignore[method-assign]
    up(world, goal("v2", roles=FLEET_ROLES), again=True)
    assert releases_by_host(world) == {host: {V2} for host in FLEET}


@pytest.mark.parametrize("error", [ProxyError, TargetError])
def test_a_host_that_goes_away_as_it_switches_is_unknown_and_the_others_go_back(
    error: type[PilotageError],
) -> None:
    world = fleet_at_v1()
    apply = world.proxy.apply

    async def lost(host: str, route: Route, **more: object) -> float:
        if host == "c" and world.target.answers("c"):
            await apply(host, route, **more)
            world.target.take_away("c")
            raise error("the link broke", where="c")
        return await apply(host, route, **more)

    world.proxy.apply = lost  # type: ignore[method-assign,assignment]
    with pytest.raises(error) as failed:
        up(world, goal("v2", roles=FLEET_ROLES))
    assert releases_by_host(world) == {"a": {V1}, "b": {V1}, "c": {V2}}
    assert f"web@{V2}" in world.running(), "what may have the requests of that host goes on running"
    assert world.running().count(f"web@{V1}") == 3, "and nothing old was stopped"
    assert "c" in failed.value.state
    world.target.bring_back("c")
    world.proxy.apply = apply  # type: ignore[method-assign]
    up(world, goal("v1", roles=FLEET_ROLES))
    assert releases_by_host(world) == {host: {V1} for host in FLEET}
    assert world.running() == [f"web@{V1}"] * 3


def test_a_deployer_that_lost_its_lease_as_it_switched_takes_nothing_back() -> None:
    world = fleet_at_v1()
    apply = world.proxy.apply

    async def overtaken(host: str, route: Route, **more: object) -> float:
        if host == "b":
            await more["ready"]()
            raise LeaseLost("another deployer was here", where=host)
        return await apply(host, route, **more)

    world.proxy.apply = overtaken  # type: ignore[method-assign,assignment]
    with pytest.raises(LeaseLost):
        up(world, goal("v2", roles=FLEET_ROLES))
    assert releases_by_host(world) == {"a": {V2}, "b": {V1}, "c": {V2}}
    assert len(world.running()) == 6


def test_a_host_that_is_not_ready_keeps_every_host_from_switching() -> None:
    world = fleet_at_v1()
    apply, seen = world.proxy.apply, []

    async def told(host: str, route: Route, **more: object) -> float:
        if {e.release for e in route.active} == {V2}:
            seen.append(releases_by_host(world))
            if host == "c":
                raise ProxyError("its endpoints were refused", where="c")
        return await apply(host, route, **more)  # type: ignore[arg-type]

    world.proxy.apply = told  # type: ignore[method-assign,assignment]
    with pytest.raises(ProxyError, match="its endpoints were refused") as failed:
        up(world, goal("v2", roles=FLEET_ROLES))
    assert seen == [{host: {V1} for host in FLEET}] * 3
    assert releases_by_host(world) == {host: {V1} for host in FLEET}
    assert world.running() == [f"web@{V1}"] * 3
    assert "serves as before" in failed.value.state


def test_rollback_goes_back_and_the_rule_refuses_a_misfit() -> None:
    world = MemoryWorld()
    up(world, goal("v1"))
    up(world, goal("v2"))
    back(world, goal("v1"))
    assert world.running() == all_of(V1)
    misfit = goal("v3")
    misfit = replace(misfit, release=replace(misfit.release, ships=Ships(expands=frozenset("9"))))
    before = world.target.everything()
    with pytest.raises(Misfit, match="needs 9/expand"):
        back(world, misfit)
    assert world.target.everything() == before


def test_a_plan_that_nobody_read_is_stale() -> None:
    world = MemoryWorld()
    with pytest.raises(StalePlan):
        up(world, goal("v1"), expect="0123456789ab")
    assert world.running() == []


def test_a_deployer_that_lost_its_lease_touches_nothing_more() -> None:
    world = MemoryWorld()
    up(world, goal("v1"))
    check = world.target.check

    async def slow_check(*args: object, **kwargs: object) -> float:
        world.target.state.advance(60)
        await world.store.acquire(Claim("other"), world.emit)
        return await check(*args, **kwargs)  # type: ignore[arg-type]

    world.target.check = slow_check  # type: ignore[method-assign,assignment]
    with pytest.raises(LeaseLost):
        up(world, goal("v2"))
    assert world.serving() == {V1}
    state = asyncio.run(world.store.read())
    assert state.lease is not None
    assert state.lease.owner == "other"
    ended = [e.outcome for e in world.events if isinstance(e, Ended)]
    assert ended[-1] == "interrupted"


def test_an_interrupted_deploy_is_finished_by_the_same_command() -> None:
    world = MemoryWorld()
    up(world, goal("v1"))
    check = world.target.check

    async def hang(*args: object, **kwargs: object) -> float:
        await asyncio.Event().wait()
        return 0.0

    async def interrupted() -> None:
        world.target.check = hang  # type: ignore[method-assign,assignment]
        task = asyncio.create_task(deploy(world.world, goal("v2"), CLAIM, world.emit))
        while not any(isinstance(e, InstanceStarted) and e.release == V2 for e in world.events):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(interrupted())
    world.target.check = check  # type: ignore[method-assign]
    state = asyncio.run(world.store.read())
    assert state.lease is None
    assert state.history[-1].outcome == "interrupted"
    assert world.serving() == {V1}
    up(world, goal("v2"))
    assert world.running() == all_of(V2)
    spec = asyncio.run(world.store.read()).spec
    assert spec is not None
    assert (spec.from_, spec.attempt) == (V1, 2)


def test_rollback_in_the_middle_of_a_deploy_means_back_to_from() -> None:
    world = MemoryWorld()
    up(world, goal("v1"))
    start = world.target.start

    class Killed(BaseException):
        pass

    async def killed(*args: object, **kwargs: object) -> object:
        await start(*args, **kwargs)  # type: ignore[arg-type]
        raise Killed

    world.target.start = killed  # type: ignore[method-assign,assignment]
    with pytest.raises(Killed):
        up(world, goal("v2"))
    world.target.start = start  # type: ignore[method-assign]
    back(world, goal("v1"))
    assert world.running() == all_of(V1)
    assert world.serving() == {V1}
