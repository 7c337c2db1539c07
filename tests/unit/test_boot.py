"""Booting, starting and stopping what serves, on a world in memory: the rule, failure, and what a deploy sees."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from tests.unit.test_plan import after, v
from tests.unit.world import CLAIM, MemoryWorld, goal, up

from pilotage import deploy as verbs
from pilotage.cli.standing import standing
from pilotage.errors import Refused, Unhealthy, UsageError
from pilotage.model import Spec, release_id
from pilotage.observe import observe
from pilotage.plan import Goal, Plan, current, plan_boot, plan_stop
from pilotage.steps import Switch
from pilotage.wiring.selected import variables

V1, V2 = release_id("v1"), release_id("v2")
EVERYWHERE = frozenset({("localhost", "web"), ("localhost", "worker")})
WEB = frozenset({("localhost", "web")})


def boot(world: MemoryWorld, wanted: Goal, *, where=EVERYWHERE, renew: str | None = None) -> Plan:
    return asyncio.run(verbs.boot(world.world, wanted, where, CLAIM, world.emit, renew=renew))


def stop(world: MemoryWorld, wanted: Goal, *, where=EVERYWHERE, stale: bool = False) -> Plan:
    return asyncio.run(verbs.stop(world.world, wanted, where, CLAIM, world.emit, stale=stale))


def ids(world: MemoryWorld) -> set[str]:
    return {i.id for i in asyncio.run(observe(world.world)).alive}


def test_boot_changes_every_instance_and_no_release():
    world, wanted = MemoryWorld(), goal("v1")
    up(world, wanted)
    before = ids(world)
    boot(world, wanted, renew="a1")
    assert ids(world) == {f"{name}-a1" for name in before}
    assert world.serving() == {V1}
    assert not boot(world, wanted).steps, "start finds all of it running"
    state = asyncio.run(world.store.read())
    assert state.spec is not None
    assert (state.spec.to, state.spec.from_) == (V1, None)
    assert [entry.verb for entry in state.history] == ["deploy", "boot"]
    plan = asyncio.run(verbs.deploy(world.world, wanted, CLAIM, world.emit))
    assert not plan.steps, "a deploy has nothing to do after it"


def test_boot_of_one_role_leaves_the_others_alone():
    world, wanted = MemoryWorld(), goal("v1")
    up(world, wanted)
    worker = {name for name in ids(world) if "worker" in name}
    boot(world, wanted, where=WEB, renew="a1")
    assert worker <= ids(world)
    assert sum(name.endswith("-a1") for name in ids(world)) == 2


def test_a_boot_that_fails_takes_back_what_it_started():
    world, wanted = MemoryWorld(), goal("v1")
    up(world, wanted)
    before = ids(world)
    first = plan_boot(asyncio.run(observe(world.world)), wanted, WEB, renew="b2")
    world.target.unfit.add(next(s for s in first.steps if isinstance(s, Switch)).instances[0].id)
    with pytest.raises(Unhealthy) as failed:
        boot(world, wanted, renew="b2")
    assert failed.value.state == "what ran before is as it was; what was started is stopped again"
    assert ids(world) == before
    assert world.serving() == {V1}


def test_what_is_stopped_is_seen_started_again_and_started_by_a_deploy():
    world, wanted = MemoryWorld(), goal("v1")
    up(world, wanted)
    stop(world, wanted)
    assert ids(world) == set()
    assert world.serving() == set()
    stands = standing(asyncio.run(observe(world.world)))
    assert (stands.state, stands.next) == (
        f"release {V1} is stopped: nothing serves",
        "pilotage app start",
    )
    assert not stop(world, wanted).steps
    boot(world, wanted, where=WEB)
    assert world.running() == [f"web@{V1}"] * 2
    boot(world, wanted)
    assert world.running() == [f"web@{V1}"] * 2 + [f"worker@{V1}"]
    stop(world, wanted)
    up(world, goal("v2"))
    assert world.serving() == {V2}


def test_a_deploy_that_fails_leaves_stopped_what_was_stopped():
    world, one, two = MemoryWorld(), goal("v1"), goal("v2")
    up(world, one)
    stop(world, one)
    world.target.unfit.update(i.id for i in two.layout.wanted(two.release) if i.role == "worker")
    for _ in range(2):  # the second is asked for what was aborted: the way back has nothing to do
        with pytest.raises((Unhealthy, Refused)) as failed:
            up(world, two)
        assert failed.value.state == (
            f"release {V1} is stopped, as it was before (`pilotage app start` starts it)"
        )
        assert ids(world) == set()
        assert world.serving() == set()
    assert current(asyncio.run(observe(world.world))) == V1, "what `app start` would start"
    boot(world, one)
    assert world.serving() == {V1}
    with pytest.raises(Unhealthy) as failed:
        asyncio.run(verbs.deploy(world.world, two, CLAIM, world.emit, again=True))
    assert failed.value.state == f"release {V1} serves as before"
    assert world.running() == [f"web@{V1}"] * 2 + [f"worker@{V1}"], "what was started counts again"


def test_what_was_stopped_in_one_place_stays_so_when_a_deploy_fails():
    world, one, two = MemoryWorld(), goal("v1"), goal("v2")
    up(world, one)
    stop(world, one, where=frozenset({("localhost", "worker")}))
    world.target.unfit.update(i.id for i in two.layout.wanted(two.release) if i.role == "worker")
    with pytest.raises(Unhealthy) as failed:
        up(world, two)
    assert failed.value.state == (
        f"release {V1} runs as before; what was stopped then stays so: worker on localhost "
        "(`pilotage app start` starts it)"
    )
    assert world.running() == [f"web@{V1}"] * 2
    assert world.serving() == {V1}


def test_a_deploy_that_comes_to_its_end_forgets_what_was_stopped():
    world, one, two, three = MemoryWorld(), goal("v1"), goal("v2"), goal("v3")
    up(world, one)
    stop(world, one)
    up(world, two)
    world.target.unfit.update(i.id for i in three.layout.wanted(three.release))
    with pytest.raises(Unhealthy) as failed:
        up(world, three)
    assert failed.value.state == f"release {V2} serves as before"
    assert world.running() == [f"web@{V2}"] * 2 + [f"worker@{V2}"]


def test_a_host_that_is_forgotten_has_nothing_stopped():
    world, one = MemoryWorld(), goal("v1")
    up(world, one)
    stop(world, one)
    assert [it.place for it in asyncio.run(world.store.read()).stopped] == sorted(EVERYWHERE)
    asyncio.run(verbs.forget_host(world.world, "localhost", CLAIM, world.emit))
    assert asyncio.run(world.store.read()).stopped == ()


def test_what_died_and_was_not_stopped_is_brought_back():
    world, one, two = MemoryWorld(), goal("v1"), goal("v2")
    up(world, one)
    for name in ids(world):
        world.target.kill(name)
    world.target.unfit.update(i.id for i in two.layout.wanted(two.release))
    with pytest.raises(Unhealthy):
        up(world, two)
    assert world.serving() == {V1}


def test_stale_is_only_what_another_release_left():
    observed = after(2, "1/expand", "2/expand")
    old = tuple(replace(i, id=f"{i.id}-old", release=release_id("v1")) for i in observed.instances)
    both = replace(observed, instances=(*observed.instances, *old))
    plan = plan_stop(both, v(2), EVERYWHERE, stale=True)
    doomed = {i.id for step in plan.steps for i in getattr(step, "instances", ())}
    assert doomed == {i.id for i in old}
    assert not plan_stop(observed, v(2), EVERYWHERE, stale=True).steps


def test_a_release_that_does_not_fit_is_not_booted():
    # Somebody contracted what it reads, by hand.
    observed = after(2, "1/expand", "2/expand", "3/expand", "3/contract")
    for renew in (None, "a1"):
        plan = plan_boot(replace(observed, instances=()), v(2), EVERYWHERE, renew=renew)
        assert any("does not fit the schema" in refusal.what for refusal in plan.refusals)


def test_an_unfinished_deploy_is_finished_first():
    observed = after(2, "1/expand", "2/expand")
    state = replace(observed.state, spec=Spec(to=V2, from_=V1))
    plan = plan_boot(replace(observed, state=state), v(2), EVERYWHERE, renew="a1")
    assert isinstance(plan.refusals[0], Refused)
    assert "is unfinished" in plan.refusals[0].what


def test_variables_of_a_command_line():
    assert variables(("A=b=c", "EMPTY=")) == {"A": "b=c", "EMPTY": ""}
    for wrong in ("A", "=b"):
        with pytest.raises(UsageError):
            variables((wrong,))
