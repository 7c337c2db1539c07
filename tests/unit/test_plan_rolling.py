"""Plans in which hosts take turns, and those for a part of the places."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.world import CLAIM, MemoryWorld, goal, migration

from pilotage.deploy import deploy, rollback
from pilotage.errors import PilotageError
from pilotage.events import Switched, skew_ms
from pilotage.model import Role, release_id
from pilotage.observe import observe
from pilotage.plan import Goal, Rolling, plan_deploy, serves
from pilotage.plan.groups import groups_of

HOSTS = ("h1", "h2", "h3")
ROLES = (Role("web", HOSTS, traffic=True), Role("job", ("h1", "h2")))
BREAKING = migration("2", "expand", breaks_old=True)
V1, V2 = release_id("v1"), release_id("v2")


async def after(number: int, *wanted: Goal) -> MemoryWorld:
    """A world in which these were deployed."""
    made = MemoryWorld(HOSTS)
    for each in wanted:
        await deploy(made.world, each, CLAIM, made.emit)
    return made


def v(revision: str, limit: str = "1", **policy: object) -> Goal:
    return goal(revision, roles=ROLES, rolling=Rolling(limit, wait=0.0), **policy)


async def steps(made: MemoryWorld, wanted: Goal) -> list[str]:
    plan = plan_deploy(await observe(made.world), wanted, now=1.0)
    assert not plan.refusals, [r.what for r in plan.refusals]
    return [step.describe() for step in plan.steps]


@pytest.mark.parametrize(
    ("busy", "silent", "limit", "groups"),
    [
        ("abcd", "", "1", ["a", "b", "c", "d"]),
        ("abcd", "", "3", ["abc", "d"]),
        ("abcd", "", "50%", ["ab", "cd"]),
        ("abcd", "", "10%", ["a", "b", "c", "d"]),
        ("abcd", "", "100%", ["abcd"]),
        ("bd", "", "1", ["ac", "b", "d"]),
        ("", "", "1", ["abcd"]),
        ("abcd", "b", "2", ["ac", "db"]),
        ("abcd", "b", None, ["abcd"]),
    ],
)
def test_groups(busy: str, silent: str, limit: str | None, groups: list[str]) -> None:
    found = groups_of("abcd", busy, silent, Rolling(limit) if limit else None)
    assert ["".join(group) for group in found] == groups


async def test_hosts_take_turns_and_workers_follow() -> None:
    made = await after(1, v("v1"))
    wanted = replace(v("v2"), policy=replace(v("v2").policy, rolling=Rolling("2", wait=5.0)))
    assert await steps(made, wanted) == [
        "fetch v2 where it will run",
        "make sure that the proxy runs",
        "start 2 × web of v2, without traffic",
        "wait until 2 × web healthy",
        f"SWITCH new requests to {V2} on h1, h2, not yet on h3",
        "verify the switch: every new instance is still healthy",
        "drain 2 × web, at most 30 s",
        f"stop 2 × web of {V1}",
        "wait 5 s before the next hosts",
        "start 1 × web of v2, without traffic",
        "wait until 1 × web healthy",
        f"SWITCH new requests to {V2} on h3",
        "verify the switch: every new instance is still healthy",
        "start 2 × job of v2",
        "wait until 2 × job healthy",
        f"stop 2 × job of {V1}",
        "drain 1 × web, at most 30 s",
        f"stop 1 × web of {V1}",
        f"record {V2} as what runs now",
    ]
    notes = plan_deploy(await observe(made.world), wanted, now=1.0).notes
    assert any("group by group: h1 and h2, then h3" in note for note in notes)


async def test_the_first_deploy_has_no_turns() -> None:
    found = await steps(MemoryWorld(HOSTS), v("v1"))
    assert [line for line in found if "SWITCH" in line] == [
        f"SWITCH new requests to {V1} on h1, h2, h3"
    ]


async def test_turns_end_where_everything_runs_and_the_skew_is_all_of_them() -> None:
    made = await after(1, v("v1"), v("v2"))
    assert made.serving() == {V2}
    assert set(made.running()) == {f"web@{V2}", f"job@{V2}"}
    state = await made.world.store.read()
    assert state.spec is not None
    assert state.spec.switched_at is not None
    switches = [e for e in made.events if isinstance(e, Switched) and e.release == V2]
    assert [e.rest for e in switches] == [("h2", "h3"), ("h3",), ()]
    assert state.history[-1].skew_ms == skew_ms(switches)


async def test_a_failure_in_a_later_turn_takes_every_host_back() -> None:
    made = await after(1, v("v1"))
    real = made.world.target.check

    async def check(instance: object, **more: object) -> float:
        if getattr(instance, "host", "") == "h3" and getattr(instance, "release", "") == V2:
            made.target.unfit.add(V2)
        return await real(instance, **more)  # type: ignore[arg-type]

    made.target.check = check  # type: ignore[method-assign, assignment]
    with pytest.raises(PilotageError) as failed:
        await deploy(made.world, v("v2"), CLAIM, made.emit)
    assert "serves as before" in failed.value.state
    assert made.serving() == {V1}
    assert set(made.running()) == {f"web@{V1}", f"job@{V1}"}


async def test_what_old_code_cannot_read_is_switched_at_once() -> None:
    made = await after(1, v("v1"))
    wanted = goal("v2", BREAKING, roles=ROLES, rolling=Rolling())
    plan = plan_deploy(await observe(made.world), wanted, now=1.0)
    switches = [step.describe() for step in plan.steps if step.kind == "Switch"]
    assert switches == [f"SWITCH new requests to {V2} on h1, h2, h3"]
    assert any("all hosts switch at once" in note for note in plan.notes)


def only(wanted: Goal, *places: tuple[str, str]) -> Goal:
    return replace(wanted, layout=replace(wanted.layout, only=frozenset(places)))


async def test_a_part_leaves_the_rest_and_the_row_open() -> None:
    made = await after(1, v("v1"))
    plan = await deploy(made.world, only(v("v2"), ("h2", "web")), CLAIM, made.emit)
    assert {(i.host, i.role) for i in plan.left} == {
        ("h1", "web"), ("h3", "web"), ("h1", "job"), ("h2", "job"),
    }  # fmt: skip
    observed = await observe(made.world)
    assert serves(observed).startswith("the fleet is MIXED: ")
    assert observed.state.spec is not None
    assert (observed.state.spec.switched_at, observed.state.spec.finished_at) == (None, None)
    await deploy(made.world, v("v2"), CLAIM, made.emit)
    assert made.serving() == {V2}
    assert serves(await observe(made.world)) == f"release {V2} serves"


async def test_a_rollback_ends_a_part() -> None:
    made = await after(1, v("v1"))
    await deploy(made.world, only(v("v2"), ("h2", "web")), CLAIM, made.emit)
    await rollback(made.world, v("v1"), CLAIM, made.emit)
    assert made.serving() == {V1}
    assert set(made.running()) == {f"web@{V1}", f"job@{V1}"}


async def test_the_last_part_ends_the_deploy() -> None:
    made = await after(1, v("v1"))
    await deploy(made.world, only(v("v2"), ("h1", "web"), ("h2", "web")), CLAIM, made.emit)
    rest = only(v("v2"), ("h3", "web"), ("h1", "job"), ("h2", "job"))
    assert (await deploy(made.world, rest, CLAIM, made.emit)).left == ()
    state = await made.world.store.read()
    assert state.spec is not None
    assert state.spec.finished_at is not None


async def test_what_may_not_be_deployed_in_parts() -> None:
    made = await after(1, v("v1"))
    breaking = only(goal("v2", BREAKING, roles=ROLES), ("h1", "web"))
    observed = await observe(made.world)
    refused = plan_deploy(observed, breaking, now=1.0).refusals
    assert any(f"cannot read what {V2} writes" in refusal.what for refusal in refused)
    stopped = plan_deploy(observed, only(v("v2"), ("h1", "web")), now=1.0, downtime=True)
    assert any("downtime stops everything" in refusal.what for refusal in stopped.refusals)
