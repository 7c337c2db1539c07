"""A deploy to some hosts while another one, that was not selected, does not answer."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.test_plan import FILES, NOW, V, after, rows
from tests.unit.world import CLAIM, MemoryWorld, goal, migration

from pilotage.deploy import deploy
from pilotage.errors import Unhealthy
from pilotage.migrate.migration import Migration
from pilotage.model import (
    Host,
    Instance,
    Kind,
    Observed,
    Registration,
    Role,
    SchemaView,
    contract,
    release_id,
)
from pilotage.observe import observe
from pilotage.plan import Goal, Plan, plan_deploy, serves
from pilotage.steps import ApplyHalf, Start, Switch

HOSTS = ("a", "b")
ROLES = (Role("web", HOSTS, traffic=True), Role("job", ("b",)))
V1, V2, V3 = release_id("v1"), release_id("v2"), release_id("v3")


def on_a(wanted: Goal) -> Goal:
    return replace(wanted, layout=replace(wanted.layout, only=frozenset({("a", "web")})))


async def without_b() -> MemoryWorld:
    """The first release serves on both hosts; then the second is gone, and nobody asks it any more."""
    made = MemoryWorld(HOSTS)
    await deploy(made.world, goal("v1", roles=ROLES), CLAIM, made.emit)
    made.target.take_away("b")
    made.proxy.hosts.remove("b")
    return made


async def test_the_deploy_goes_on_and_the_next_whole_one_ends_it() -> None:
    made = await without_b()
    two = goal("v2", roles=ROLES)
    plan = await deploy(made.world, on_a(two), CLAIM, made.emit)
    assert {(i.host, i.role) for i in plan.left} == {("b", "web"), ("b", "job")}
    assert any(note.startswith("b does not answer and was not selected") for note in plan.notes)
    state = await made.world.store.read()
    assert state.spec is not None
    assert (state.spec.from_, state.spec.switched_at, state.spec.finished_at) == (V1, None, None)

    made.target.bring_back("b")
    made.proxy.hosts.append("b")
    assert serves(await observe(made.world)).startswith("the fleet is MIXED: ")
    await deploy(made.world, two, CLAIM, made.emit)
    assert made.serving() == {V2}
    assert made.running() == [f"job@{V2}", f"web@{V2}", f"web@{V2}"]
    state = await made.world.store.read()
    assert state.spec is not None
    assert state.spec.finished_at is not None


async def test_one_release_after_the_other_and_the_way_back() -> None:
    made = await without_b()
    await deploy(made.world, on_a(goal("v2", roles=ROLES)), CLAIM, made.emit)
    three = goal("v3", roles=ROLES)
    made.target.unfit.update(i.id for i in three.layout.wanted(three.release))
    with pytest.raises(Unhealthy) as failed:
        await deploy(made.world, on_a(three), CLAIM, made.emit)
    assert failed.value.state == f"release {V2} serves as before"
    route = (await made.world.proxy.observe())["a"]
    assert {e.release for e in route.active} == {V2}
    state = await made.world.store.read()
    assert state.spec is not None
    assert state.spec.finished_at is None, "what became of the other host is not known"


# -- with a schema -----------------------------------------------------------------------------


def v(number: int, *more: Migration) -> Goal:
    return on_a(goal(f"v{number}", *FILES[number], *more, roles=ROLES))


def seen(number: int, *halves: str, there: int | None = None) -> Observed:
    """Release ``number`` serves on the first host; the second is silent, and ``there`` is registered on it."""
    wanted = v(number)
    observed = after(number, *halves, by=wanted)
    here = tuple(i for i in observed.instances if i.host == "a")
    registered: tuple[Registration, ...] = ()
    if there is not None:
        other = v(there).release
        lost = Instance("shop-web-b", "shop", "web", "b", other.id, kind=Kind.TRAFFIC)
        registered = (Registration.of(lost, other),)
    return replace(
        observed,
        hosts=(Host("a"), Host("b", reachable=False)),
        state=replace(observed.state, hosts=HOSTS),
        instances=here,
        routes={"a": replace(observed.routes["localhost"], active=())},
        schema=replace(observed.schema, registered=registered),
    )


def planned(observed: Observed, wanted: Goal) -> Plan:
    return plan_deploy(observed, wanted, now=NOW)


def test_halves_that_add_run_and_halves_that_remove_are_held() -> None:
    plan = planned(seen(3, "1", "2", "3/expand", there=3), v(4))
    assert not plan.refusals
    assert [s.ref.version for s in plan.steps if isinstance(s, ApplyHalf)] == ["4"]
    assert plan.held == (contract("3"), contract("4"))
    assert any("3/contract stays held: host b does not answer" in note for note in plan.notes)
    for step in plan.steps:
        if isinstance(step, (Start, Switch)):
            assert {i.host for i in step.instances} == {"a"}


def test_what_the_release_requires_to_be_removed_is_refused() -> None:
    needs = migration("5", "expand", requires=frozenset({contract("3")}))
    refused, *_ = planned(seen(3, "1", "2", "3/expand", there=3), v(4, needs)).refusals
    assert "3/contract may not run yet: host b does not answer" in refused.what


def test_what_is_new_and_cannot_be_read_is_not_written_while_a_host_is_unknown() -> None:
    breaking = migration("5", "expand", breaks_old=True)
    wanted = v(4, breaking)
    # Even when nobody is registered there.
    for there in (None, 3):
        refused = planned(seen(3, "1", "2", "3/expand", there=there), wanted).refusals
        assert any("nobody knows what runs on b" in r.what for r in refused), refused
        assert "bring b back" in refused[-1].next
    # Once it is allowed, what is registered there counts: a release that reads it is no hindrance.
    applied = rows("1", "2", "3/expand", "4", "5")
    opened = tuple(
        replace(row, opened_at=3.0 if row.ref.version == "5" else None) for row in applied
    )
    observed = seen(4, there=3)
    observed = replace(observed, schema=replace(observed.schema, rows=opened))
    (refused,) = planned(observed, wanted).refusals
    assert f"{V[3]} cannot read what {wanted.release.id} writes" in refused.what
    (only,) = observed.schema.registered
    knows = replace(only, ships=wanted.release.ships, release="elsewhere")
    observed = replace(observed, schema=replace(observed.schema, registered=(knows,)))
    assert not any("cannot read" in r.what for r in planned(observed, wanted).refusals)


def test_a_new_database_whose_halves_need_their_proof_wants_every_host() -> None:
    fresh = Observed(
        hosts=(Host("a"), Host("b", reachable=False)),
        schema=SchemaView(fresh=True, dialect="postgresql"),
    )
    (refused,) = planned(fresh, v(4)).refusals
    assert "nobody knows what runs on b" in refused.what
    assert not planned(fresh, v(2)).refusals
