"""Plans that watch: where a canary and a watch stand, when there is none, and what a crash leaves."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.test_plan import ADD, BASE, NOW, V, after, goal, migration, v

from pilotage.model import (
    Closure,
    Endpoint,
    Front,
    Instance,
    Kind,
    Life,
    Observed,
    Route,
    Spec,
)
from pilotage.plan import Goal, Plan, current, plan_deploy, plan_rollback
from pilotage.steps import Canary, Confirm, Open, Step, Switch, Watch
from pilotage.verdict import Limits

LIMITS = Limits(max_p99_ratio=2.0)
WATCHED = {"verify": 10.0, "canary": (0.05, 0.25), "step": 30.0, "limits": LIMITS}
TWO = after(2, "1", "2")


def three(**policy: object) -> Goal:
    return goal("v3", BASE, ADD, **{**WATCHED, **policy})


def deploying(observed: Observed, wanted: Goal | None = None) -> Plan:
    return plan_deploy(observed, wanted or three(), now=NOW)


def watching(plan: Plan) -> list[str]:
    """Kinds of the steps that move or watch traffic, canaries with their share."""
    told = (Canary, Switch, Watch, Confirm)
    return [_short(step) for step in plan.steps if isinstance(step, told)]


def _short(step: Step) -> str:
    return f"Canary {step.share:g}" if isinstance(step, Canary) else step.kind


WHOLE = ["Canary 0.05", "Canary 0.25", "Switch", "Watch", "Confirm"]


def in_canary(share: float, *, spec: Spec | None = None) -> Observed:
    """Release 3 is on trial beside release 2."""
    wanted = three()
    new = tuple(
        replace(i, life=Life.RUNNING, address=f"n:{n}")
        for n, i in enumerate(wanted.layout.wanted(wanted.release))
        if i.kind is Kind.TRAFFIC
    )
    trial = tuple(Endpoint(i.id, i.release, i.address or "") for i in new)
    route = replace(TWO.routes["localhost"], trial=trial, share=share)
    state = TWO.state.with_release(wanted.release)
    return replace(
        TWO,
        instances=(*TWO.instances, *new),
        routes={"localhost": route},
        state=replace(state, spec=spec or Spec(to=V[3], from_=V[2], started_at=1.0)),
    )


def test_the_whole_way() -> None:
    lines = [step.describe() for step in deploying(TWO).steps]
    assert lines == [
        "fetch v3 where it will run",
        "make sure that the proxy runs",
        "start 2 × web of v3, without traffic",
        "wait until 2 × web healthy",
        f"CANARY 5 % of new requests to {V[3]} on localhost, watched for 30 s: "
        f"at most 1 % errors, p99 at most 2 × that of {V[2]}",
        f"CANARY 25 % of new requests to {V[3]} on localhost, watched for 30 s: "
        f"at most 1 % errors, p99 at most 2 × that of {V[2]}",
        f"SWITCH new requests to {V[3]} on localhost",
        f"watch {V[3]} for 10 s: at most 1 % errors, p99 at most 2 × that of {V[2]}, "
        "or the traffic goes back",
        "verify the switch: every new instance is still healthy",
        "start 1 × worker of v3",
        "wait until 1 × worker healthy",
        f"stop 1 × worker of {V[2]}",
        "drain 2 × web, at most 30 s",
        f"stop 2 × web of {V[2]}",
        f"record {V[3]} as what runs now",
    ]


def test_no_watch_and_no_canary_where_none_is_asked_for() -> None:
    assert watching(deploying(TWO, three(verify=0.0, canary=()))) == ["Switch", "Confirm"]
    assert watching(deploying(TWO, three(verify=0.0)))[-2:] == ["Switch", "Confirm"]


def test_a_first_deploy_has_nothing_to_compare_with() -> None:
    plan = plan_deploy(Observed(hosts=TWO.hosts), goal("v1", **WATCHED), now=NOW)
    assert watching(plan) == ["Switch", "Watch", "Confirm"]
    (watch,) = [step for step in plan.steps if isinstance(step, Watch)]
    assert watch.against is None
    assert (
        watch.describe() == f"watch {V[1]} for 10 s: at most 1 % errors, or the traffic goes back"
    )


def test_a_rollback_is_watched_and_has_no_canary() -> None:
    plan = plan_rollback(TWO, goal("v1", BASE, **WATCHED), now=NOW)
    assert watching(plan) == ["Switch", "Watch", "Confirm"]


def test_a_changed_configuration_has_no_canary() -> None:
    plan = plan_deploy(TWO, goal("v2", BASE, ADD, config="other", **WATCHED), now=NOW)
    assert watching(plan) == ["Switch", "Watch", "Confirm"]


def test_healing_a_worker_watches_nothing() -> None:
    observed = replace(TWO, instances=tuple(i for i in TWO.instances if i.kind is Kind.TRAFFIC))
    plan = plan_deploy(observed, goal("v2", BASE, ADD, **WATCHED), now=NOW)
    assert watching(plan) == ["Switch", "Confirm"]


@pytest.mark.parametrize(
    ("share", "stages"),
    [
        (0.05, WHOLE),
        (0.25, WHOLE[1:]),
        (0.1, WHOLE[1:]),
        (0.5, WHOLE[2:]),
    ],
)
def test_after_a_crash_the_share_in_force_is_watched_anew(share: float, stages: list[str]) -> None:
    observed = in_canary(share)
    assert current(observed) == V[2], "the old release serves"
    plan = deploying(observed)
    assert plan.spec.attempt == 2
    assert plan.spec.from_ == V[2]
    assert watching(plan) == stages


def test_hosts_of_different_shares_begin_with_the_smallest() -> None:
    observed = in_canary(0.25)
    hosts = ("localhost", "other")
    roles = tuple(replace(r, hosts=hosts) for r in three().layout.roles if r.traffic)
    plan = deploying(observed, goal("v3", BASE, ADD, roles=roles, **WATCHED))
    assert watching(plan) == WHOLE[1:], "a host that serves nothing has no say"
    there = Route(TWO.routes["localhost"].active)
    plan = deploying(
        replace(observed, routes={**observed.routes, "other": there}),
        goal("v3", BASE, ADD, roles=roles, **WATCHED),
    )
    assert watching(plan) == WHOLE


def test_instances_that_are_not_those_on_trial_begin_anew() -> None:
    wanted = goal("v3", BASE, ADD, config="other", **WATCHED)
    assert watching(plan_deploy(in_canary(0.25), wanted, now=NOW)) == WHOLE


def test_a_switch_that_has_begun_is_not_taken_back_to_a_canary() -> None:
    begun = in_canary(0.25)
    route = begun.routes["localhost"]
    both = replace(
        begun, routes={"localhost": replace(route, active=route.trial, trial=(), share=0.0)}
    )
    assert watching(deploying(both)) == ["Switch", "Watch", "Confirm"]


def test_what_was_verified_is_not_watched_again() -> None:
    spec = Spec(to=V[3], from_=V[2], started_at=1.0, switched_at=2.0, verified_at=3.0)
    begun = in_canary(0.25, spec=spec)
    route = begun.routes["localhost"]
    switched = replace(
        begun, routes={"localhost": Route(active=route.trial, draining=route.active)}
    )
    assert watching(deploying(switched)) == ["Switch", "Confirm"]
    unverified = replace(
        switched, state=replace(switched.state, spec=replace(spec, verified_at=None))
    )
    assert watching(deploying(unverified)) == ["Switch", "Watch", "Confirm"]


def test_no_canary_beside_a_release_of_which_nothing_lives() -> None:
    dead = tuple(replace(i, life=Life.DEAD) for i in TWO.instances)
    assert watching(deploying(replace(TWO, instances=dead))) == ["Switch", "Watch", "Confirm"]


def test_no_watch_while_the_edges_are_closed() -> None:
    front = Front("maintenance")
    closed = replace(TWO, state=replace(TWO.state, closure=Closure(front, "person")))
    plan = deploying(closed)
    assert watching(plan) == ["Switch", "Confirm"]
    assert "the edges are closed: no request comes, so nothing is watched" in plan.notes
    route = replace(TWO.routes["localhost"], front=front)
    assert watching(deploying(replace(TWO, routes={"localhost": route}))) == ["Switch", "Confirm"]


def test_rollback_in_a_canary_only_takes_the_trial_away() -> None:
    plan = plan_rollback(in_canary(0.05), goal("v2", BASE, ADD, **WATCHED), now=NOW)
    assert watching(plan) == ["Switch", "Confirm"]
    assert [step.describe() for step in plan.steps][-3:] == [
        "drain 2 × web, at most 30 s",
        f"stop 2 × web of {V[3]}",
        f"record {V[2]} as what runs now",
    ]


def test_an_aborted_canary_goes_back_unwatched() -> None:
    spec = Spec(to=V[3], from_=V[2], started_at=1.0, aborted_reason="it answered worse")
    plan = deploying(in_canary(0.05, spec=spec))
    assert plan.verb == "return"
    assert watching(plan) == ["Switch", "Confirm"]
    assert plan.steps[-1].describe() == f"record {V[2]} as what runs now"


def test_another_release_in_the_middle_of_a_canary_is_compared_with_what_serves() -> None:
    plan = plan_deploy(in_canary(0.25), goal("v4", BASE, ADD, **WATCHED), now=NOW)
    assert watching(plan) == WHOLE
    assert {s.against for s in plan.steps if isinstance(s, (Canary, Watch))} == {V[2]}


def test_new_data_is_opened_before_the_first_share() -> None:
    breaks = migration("5", "expand", breaks_old=True)
    wanted = goal("v3", BASE, ADD, breaks, **WATCHED)
    plan = deploying(TWO, wanted)
    kinds = [step.kind for step in plan.steps]
    assert kinds.index("Open") < kinds.index("Canary")
    assert isinstance(plan.steps[plan.point_of_no_return or 0], Open)
    assert any(f"{V[2]} meets new data that it cannot read" in note for note in plan.notes)


def test_steps_tell_machines_what_is_asked() -> None:
    canary, *_ = (step for step in deploying(TWO).steps if isinstance(step, Canary))
    told = canary.to_json()
    assert (told["share"], told["against"], told["seconds"]) == (0.05, V[2], 30.0)
    assert told["limits"] == {
        "max_error_rate": 0.01,
        "max_p99_ratio": 2.0,
        "min_requests": 50,
    }
    assert told["instances"] == [i.id for i in canary.instances]


def test_the_fingerprint_knows_what_is_asked() -> None:
    first = deploying(TWO).fingerprint
    assert deploying(TWO, three(verify=20.0)).fingerprint != first
    assert deploying(TWO, three(limits=Limits(min_requests=10))).fingerprint != first


def test_a_stray_instance_is_no_part_of_a_canary() -> None:
    stray = Instance("x", "shop", "web", "localhost", V[1], kind=Kind.TRAFFIC)
    plan = deploying(replace(TWO, instances=(*TWO.instances, stray)))
    for step in plan.steps:
        if isinstance(step, Canary):
            assert {i.release for i in step.instances} == {V[3]}
    assert watching(plan) == WHOLE
    assert v(2).release.id == V[2]
