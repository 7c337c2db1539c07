"""Plans where the migrations are a framework's own: a prefix of its order, and never past the rule."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.linear import LINEAR, chain, rows
from tests.unit.world import ROLES

from pilotage.errors import Blocked, Misfit
from pilotage.migrate.migration import Framework, Migrations
from pilotage.model import (
    Applied,
    DeployState,
    Half,
    HalfRef,
    Host,
    Instance,
    Kind,
    Life,
    Observed,
    Registration,
    Release,
    SchemaView,
    Ships,
    Spec,
    contract,
    expand,
    fits,
)
from pilotage.plan import Goal, Layout, Policy, plan_contract, plan_deploy, plan_rollback
from pilotage.plan.playing import halves_of
from pilotage.steps import Contract, RunFramework, Start, Stop


def release(name: str, files: Migrations) -> Release:
    return Release(name, name, files.ships(), deployed_at=1.0)


def goal(name: str, files: Migrations, **policy: object) -> Goal:
    return Goal(
        release(name, files),
        Layout("shop", ROLES, {}),
        Policy(**policy),  # type: ignore[arg-type]
        files,
    )


def running(old: Release | None, view: SchemaView, *more: Release) -> Observed:
    """A world in which ``old`` serves, and every release of ``more`` still runs."""
    every = (*((old,) if old else ()), *more)
    return Observed(
        state=DeployState(
            releases=every,
            hosts=("localhost",),
            spec=Spec(to=old.id, finished_at=1.0) if old else None,
        ),
        hosts=(Host("localhost"),),
        instances=tuple(
            Instance(
                f"shop-web-{r.id}", "shop", "web", "localhost", r.id, kind=Kind.WORKER, life=Life.RUNNING
            )
            for r in every
        ),
        schema=view,
    )  # fmt: skip


def view(files: Migrations, *applied: str, **more: object) -> SchemaView:
    return SchemaView(rows=rows(files, applied), **more)  # type: ignore[arg-type]


def changes(plan) -> list[object]:
    """The steps on the schema, as the halves that they apply."""
    return [
        (step.kind, *map(str, step.refs))
        for step in plan.steps
        if isinstance(step, (Contract, RunFramework))
    ]


def test_pending_expand_halves_are_one_run_and_a_contract_half_at_the_end_is_held():
    old, new = chain("e1"), chain("e1", "e2", "e3", "c4")
    plan = plan_deploy(running(release("old", old), view(new, "e1")), goal("new", new), now=1.0)
    assert not plan.refusals
    assert changes(plan) == [("RunFramework", "e2/expand", "e3/expand")]
    assert plan.held == (contract("c4"),)
    (step,) = [s for s in plan.steps if isinstance(s, RunFramework)]
    assert step.describe() == "expand e2, e3, by one run of tool"


def test_what_the_release_before_left_held_comes_first_when_it_is_in_the_way():
    old, new = chain("e1", "c2"), chain("e1", "c2", "e3", "c4")
    observed = running(release("old", old), view(new, "e1"))
    plan = plan_deploy(observed, goal("new", new), now=1.0)
    assert not plan.refusals
    assert changes(plan) == [("Contract", "c2/contract"), ("RunFramework", "e3/expand")]
    (before, *_) = [s for s in plan.steps if isinstance(s, Contract)]
    assert not before.optional  # without it the expand half cannot be reached
    assert plan.held == (contract("c4"),)


def test_what_is_held_and_in_nobodys_way_is_optional():
    old, new = chain("e1", "c2"), chain("e1", "c2")
    observed = running(release("old", old), view(new, "e1"))
    (step, *_) = [
        s for s in plan_deploy(observed, goal("new", new), now=1.0).steps if isinstance(s, Contract)
    ]
    assert step.optional


def test_a_contract_half_that_nobody_has_deployed_yet_means_a_stop_over():
    new = chain("e1", "e2", "c3", "e4")
    observed = running(release("old", chain("e1")), view(new, "e1"))
    (refused, *_) = plan_deploy(observed, goal("new", new), now=1.0).refusals
    assert "e4/expand comes after c3/contract in the order of tool" in refused.what
    assert "does not know c3" in refused.what
    assert "first deploy a release whose migrations end with c3" in refused.next
    assert refused.where == "e4.py"


def test_an_older_instance_that_still_runs_blocks_as_ever():
    old, new = chain("e1", "c2"), chain("e1", "c2", "e3")
    observed = running(release("old", old), view(new, "e1"), release("older", chain("e1")))
    (refused, *_) = plan_deploy(observed, goal("new", new), now=1.0).refusals
    assert isinstance(refused, Blocked)
    assert "release older" in refused.what


def test_under_manual_a_person_contracts_first():
    old, new = chain("e1", "c2"), chain("e1", "c2", "e3")
    observed = running(release("old", old), view(new, "e1"))
    (refused, *_) = plan_deploy(observed, goal("new", new, contract="manual"), now=1.0).refusals
    assert refused.next == "pilotage contract"


def test_with_downtime_no_stop_over_is_needed():
    """Once everything is stopped, nothing is left that a contract half could harm."""
    old, new = chain("e1"), chain("e1", "e2", "c3", "e4", "c5")
    observed = running(release("old", old), view(new, "e1"))
    refused = plan_deploy(observed, goal("new", new), now=1.0)
    assert refused.refusals
    assert any("--downtime" in note for note in refused.notes)
    plan = plan_deploy(observed, goal("new", new), now=1.0, downtime=True)
    assert not plan.refusals
    assert changes(plan) == [
        ("RunFramework", "e2/expand"),
        ("Contract", "c3/contract"),
        ("RunFramework", "e4/expand"),
        ("Contract", "c5/contract"),
    ]
    by_hand = plan_deploy(observed, goal("new", new, contract="manual"), now=1.0, downtime=True)
    assert not by_hand.refusals
    assert by_hand.held == (contract("c5"),)


def test_where_nothing_runs_everything_is_reached_run_by_run():
    new = chain("e1", "c2", "e3", "e4", "c5", "e6")
    plan = plan_deploy(running(None, view(new)), goal("new", new), now=1.0)
    assert not plan.refusals
    assert changes(plan) == [
        ("RunFramework", "e1/expand"),
        ("Contract", "c2/contract"),
        ("RunFramework", "e3/expand", "e4/expand"),
        ("Contract", "c5/contract"),
        ("RunFramework", "e6/expand"),
    ]


@pytest.mark.parametrize("at_once", [True, False])
def test_an_empty_database_takes_everything(at_once):
    new = chain("e1", "c2", "e3", framework=replace(LINEAR, at_once=at_once))
    plan = plan_deploy(Observed(schema=view(new, fresh=True)), goal("new", new), now=1.0)
    assert not plan.refusals
    halves = [half for _, *some in changes(plan) for half in some]
    assert halves == ["e1/expand", "c2/contract", "e3/expand"]
    assert len(changes(plan)) == (1 if at_once else 3)


def test_a_set_has_no_order():
    """Rails: no version is after another, so no contract half is in the way of anything."""
    made = {m.version: replace(m, after=()) for m in chain("e1", "c2", "e3")}
    new = Migrations(made, LINEAR)
    plan = plan_deploy(
        running(release("old", chain("e1")), view(new, "e1")), goal("new", new), now=1.0
    )
    assert changes(plan) == [("RunFramework", "e3/expand")]
    assert plan.held == (contract("c2"),)


def test_a_branch_waits_for_its_own_ancestors_alone():
    made = dict(chain("e1", "c2", "e3").by_version)
    made["e9"] = replace(made["e3"], version="e9", after=("e1",))
    new = Migrations(made, LINEAR)
    blocked = plan_deploy(
        running(release("old", chain("e1")), view(new, "e1")), goal("new", new), now=1.0
    )
    assert "e3/expand comes after c2" in blocked.refusals[0].what
    without = Migrations({v: m for v, m in made.items() if v != "e3"}, LINEAR)
    plan = plan_deploy(
        running(release("old", chain("e1")), view(without, "e1")), goal("new", without), now=1.0
    )
    assert changes(plan) == [("RunFramework", "e9/expand")]


def test_contract_by_hand_follows_the_order():
    files = chain("e1", "c2", "c3", "e4")
    observed = running(release("now", files), view(files, "e1"))
    wanted = goal("now", files)
    assert changes(plan_contract(observed, wanted)) == [("Contract", "c2/contract", "c3/contract")]
    (refused, *_) = plan_contract(observed, wanted, only=(contract("c3"),)).refusals
    assert "c3/contract may not run before c2/contract" in refused.what


# ----------------------------------------------------------------------------------------------
# Without a status, and by hand
# ----------------------------------------------------------------------------------------------

BLIND = Framework("the framework", "bin/migrate", known=False, always=True)


def test_without_a_status_the_command_runs_for_each_new_release_and_nothing_is_guaranteed():
    empty = Migrations({}, BLIND)
    observed = running(release("old", empty), SchemaView(known=False))
    plan = plan_deploy(observed, goal("new", empty), now=1.0)
    assert changes(plan) == [("RunFramework",)]
    assert "nothing is guaranteed" in plan.notes[0]
    (step,) = [s for s in plan.steps if isinstance(s, RunFramework)]
    assert step.describe() == "run the framework for the release: bin/migrate"
    again = plan_deploy(observed, goal("old", empty), now=1.0)
    assert not changes(again)


def test_without_a_status_a_rollback_is_refused_unless_forced():
    empty = Migrations({}, BLIND)
    observed = running(release("now", empty), SchemaView(known=False), release("old", empty))
    back = goal("old", empty)
    (refused,) = plan_rollback(observed, back, now=1.0).refusals
    assert isinstance(refused, Misfit)
    assert "--force" in refused.next
    assert not plan_rollback(observed, back, now=1.0, force=True).refusals


def test_force_does_not_force_what_is_known_not_to_fit():
    now, old = chain("e1", "c2"), chain("e1")
    observed = running(release("now", now), view(now, "e1", "c2"))
    plan = plan_rollback(observed, goal("old", old), now=1.0, force=True)
    assert "c2/contract" in plan.refusals[0].what


def test_packages_are_looked_after_although_no_file_is_pending():
    files = chain("e1", framework=replace(LINEAR, always=True))
    observed = running(release("old", files), view(files, "e1"))
    assert changes(plan_deploy(observed, goal("new", files), now=1.0)) == [("RunFramework",)]
    more = chain("e1", "e2", framework=replace(LINEAR, always=True))
    assert changes(plan_deploy(observed, goal("new", more), now=1.0)) == [
        ("RunFramework", "e2/expand")
    ]


def test_a_version_that_was_run_by_hand_is_what_a_release_knows_it_as():
    loose = Applied(expanded=frozenset({"e1"}), loose=frozenset({"x2"}))
    assert fits(Ships(expands=frozenset({"e1", "x2"})), loose)
    assert fits(Ships(expands=frozenset({"e1"}), contracts=frozenset({"x2"})), loose)
    stranger = fits(Ships(expands=frozenset({"e1"})), loose)
    assert not stranger
    assert "does not know x2, which somebody ran by hand" in stranger.describe()
    assert loose.has(expand("x2"))
    assert loose.has(contract("x2"))


# ----------------------------------------------------------------------------------------------
# Any chain, any releases
# ----------------------------------------------------------------------------------------------


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Migrations, Observed, Goal]:
    """A chain, releases that ship prefixes of it, some of which run, and a schema they all fit."""
    names = tuple(
        f"{half}{number}" for number, half in enumerate(draw(st.lists(st.sampled_from("eec"), min_size=1, max_size=8)))
    )  # fmt: skip
    files = chain(*names)
    cuts = sorted(draw(st.lists(st.integers(0, len(names)), min_size=1, max_size=3)))
    releases = [release(f"r{cut}", chain(*names[:cut])) for cut in dict.fromkeys(cuts)]
    top = draw(st.integers(cuts[0], len(names)))
    applied = names[:top]
    runs = [r for r in releases if fits(r.ships, _applied(files, applied))]
    serving = runs[-1] if runs else None
    target = chain(*names[: draw(st.integers(1, len(names)))])
    observed = running(serving, view(files, *applied), *runs[:-1])
    return files, observed, goal("goal", target, contract=draw(st.sampled_from(("next", "auto"))))


def _applied(files: Migrations, names: tuple[str, ...]) -> Applied:
    return SchemaView(rows=rows(files, names)).applied


@given(worlds())
@settings(max_examples=300, deadline=None)
def test_no_plan_leaves_the_order_or_the_rule(world):
    files, observed, wanted = world
    plan = plan_deploy(observed, wanted, now=1.0)
    if plan.refusals:
        return
    applied = observed.schema.applied
    alive = {i.id: observed.ships(i.release) for i in observed.alive}
    assert all(fits(ships, applied) for ships in alive.values())
    for step in plan.steps:
        refs: tuple[HalfRef, ...] = getattr(step, "refs", ())
        for ref in refs:
            for before in files.ancestors(ref.version):
                half = Half.CONTRACT if before.startswith("c") else Half.EXPAND
                done = applied.has(HalfRef(before, half)) or HalfRef(before, half) in refs
                assert done, f"{step.describe()}: {before} would be applied on the way"
        applied = applied.plus(*halves_of(step))
        if isinstance(step, Start):
            alive |= {i.id: wanted.release.ships for i in step.instances}
        if isinstance(step, Stop):
            for instance in step.instances:
                alive.pop(instance.id, None)
        for name, ships in alive.items():
            assert fits(ships, applied), f"{step.describe()}: {name}"


def test_registrations_elsewhere_do_not_matter_here():
    """`Observed.ships` also knows releases that only registered: they count like recorded ones."""
    files = chain("e1", "c2")
    old = Registration("i", "other", "gone", "old", chain("e1").ships(), Kind.WORKER)
    observed = running(release("now", files), view(files, "e1", registered=(old,)))
    plan = plan_contract(observed, goal("now", files))
    assert plan.refusals
