"""The plans of the verbs: deploy, rollback, contract, and the return of an aborted deploy."""

from __future__ import annotations

from dataclasses import replace

from pilotage.model import HalfRef, Observed, Release, Spec
from pilotage.plan.downtime import needs_downtime, plan_downtime
from pilotage.plan.framework import contract_refusals, release_phase
from pilotage.plan.goal import Goal, Layout
from pilotage.plan.groups import notes as group_notes
from pilotage.plan.groups import unreadable
from pilotage.plan.halves import (
    contract_step,
    contracts_after,
    contracts_before,
    held_refs,
    in_band,
    pending_expands,
)
from pilotage.plan.hooks import with_hooks
from pilotage.plan.parts import indivisible, unknown
from pilotage.plan.plan import Plan
from pilotage.plan.rule import (
    blocked,
    closed_edges,
    in_order,
    join_places,
    misfits,
    point_of_no_return,
    strangers,
    unknown_fit,
)
from pilotage.plan.running import left_out, own_instances, reconcile, retire
from pilotage.plan.trial import notes
from pilotage.proof import Proof, evidence, prove
from pilotage.steps import AwaitReplicas, Contract, Fetch, Start, Step


def plan_deploy(
    observed: Observed, goal: Goal, *, now: float, again: bool = False, downtime: bool = False
) -> Plan:
    """The way from what is to the release of ``goal``.

    When that release was aborted before, the plan is the way back, unless ``again``. ``downtime``: stop
    everything first; when there is nothing to stop for, the plan is the ordinary one.
    """
    spec = deploy_spec(observed, goal.release, now=now, again=again, downtime=downtime)
    if spec.aborted_reason:
        return plan_return(observed, goal, spec=spec)
    if spec.downtime and needs_downtime(observed, goal, spec) and not goal.layout.only:
        return with_hooks(plan_downtime(observed, goal, spec), goal.hooks)
    plan = with_hooks(_plan_staged(observed, goal, spec), goal.hooks)
    if plan.refusals and not plan_downtime(observed, goal, spec).refusals:
        way_out = "`pilotage deploy --downtime` can do it: it stops everything first"
        return replace(plan, notes=(*plan.notes, way_out))
    return plan


def _plan_staged(observed: Observed, goal: Goal, spec: Spec) -> Plan:
    """Old and new code side by side, and no request lost."""
    if goal.migrations.framework:
        before, pending = release_phase(observed, goal, spec)
    else:
        before, pending = contracts_before(observed, goal, spec), pending_expands(observed, goal)
    running = reconcile(observed, goal.release, goal.layout, goal.policy, spec=spec)
    left = left_out(observed, goal.release, goal.layout)
    after = contracts_after(observed, goal, busy=bool(running), partial=bool(left))
    replicas = goal.policy.replicas if _starts(running) else 0
    replay = (AwaitReplicas(replicas),) if replicas else ()
    steps = (*before.steps, *pending.steps, *replay, *running, *after.steps)
    if pending.steps or running:
        steps = (Fetch(goal.release.revision), *steps)
    return Plan(
        verb="deploy",
        release=goal.release,
        spec=spec,
        steps=steps,
        notes=(
            *before.notes,
            *strangers(observed),
            *notes(observed, spec, steps),
            *_mixed(observed, goal, steps),
            *unknown(observed, goal),
            *closed_edges(observed),
        ),
        refusals=(
            *before.refusals,
            *pending.refusals,
            *misfits(observed, goal.release, steps),
            *indivisible(observed, goal, spec, steps),
        ),
        held=in_order({*before.held, *after.held} - _contracted(steps)),
        evidence=evidence(observed),
        point_of_no_return=point_of_no_return(observed, spec, steps),
        migrations=goal.files,
        left=left,
    )


def _mixed(observed: Observed, goal: Goal, steps: tuple[Step, ...]) -> list[str]:
    """What is said of two releases that serve side by side for longer than a switch takes."""
    barred = unreadable(observed, goal.release, own_instances(observed, goal.layout))
    return group_notes(steps, goal.policy.rolling, barred)


def _contracted(steps: tuple[Step, ...]) -> set[HalfRef]:
    """The contract halves that the steps themselves apply."""
    return {ref for step in steps if isinstance(step, Contract) for ref in step.refs}


def plan_rollback(observed: Observed, goal: Goal, *, now: float, force: bool = False) -> Plan:
    """The way back to a release whose code must fit the schema as it is *now*.

    ``force``: a person answers for it where nobody can say whether it fits. What is known not to fit
    is refused all the same.
    """
    old = observed.state.spec
    closed = observed.closed_by_deploy
    spec = Spec(
        to=goal.release.id,
        from_=current(observed),
        direction="rollback",
        started_at=now,
        downtime=closed,
    )
    if old and old.direction == "rollback" and old.to == spec.to and not old.finished_at:
        spec = replace(old, attempt=old.attempt + 1, aborted_reason=None)
    steps = reconcile(observed, goal.release, goal.layout, goal.policy, spec=spec)
    if steps:
        steps = (Fetch(goal.release.revision), *steps)
    plan = Plan(
        verb="rollback",
        release=goal.release,
        spec=spec,
        steps=steps,
        notes=(*strangers(observed), *_mixed(observed, goal, steps), *closed_edges(observed)),
        refusals=(
            *misfits(observed, goal.release, steps),
            *(() if force or observed.schema.known else (unknown_fit(goal.release),)),
        ),
        held=held_refs(observed, goal.release.ships),
        evidence=evidence(observed),
        downtime=closed,
        migrations=goal.files,
    )
    return with_hooks(plan, goal.hooks)


def plan_contract(
    observed: Observed, goal: Goal, *, only: tuple[HalfRef, ...] | None = None
) -> Plan:
    """Apply the contract halves that the running release ships and that are still held.

    ``only``: these and no others, out-of-band ones included.
    """
    held = held_refs(observed, goal.release.ships)
    refs = only if only is not None else in_band(held, goal.files)
    refs = tuple(ref for ref in refs if not observed.schema.applied.has(ref))
    proof = prove(observed, refs, consumers=goal.policy.consumers) if refs else Proof((), ())
    missing = contract_refusals(observed, refs, goal.files)
    return Plan(
        verb="contract",
        release=goal.release,
        spec=observed.state.spec or Spec(to=goal.release.id),
        steps=(contract_step(refs, goal.files, optional=False),) if refs else (),
        notes=closed_edges(observed),
        refusals=(*missing, *((blocked(proof, refs),) if proof.blockers else ())),
        held=tuple(ref for ref in held if ref not in refs),
        evidence=evidence(observed),
        point_of_no_return=0 if refs else None,
        migrations=goal.files,
    )


def plan_return(observed: Observed, goal: Goal, *, spec: Spec) -> Plan:
    """Back to the release that served before, because ``spec`` was aborted; what was stopped stays so."""
    origin = observed.state.release(spec.from_)
    stopped: tuple[tuple[str, str], ...] = ()
    if origin is None:
        steps = retire(observed, spec.to, goal.layout, goal.policy)
    else:
        stopped = _stopped(observed, origin, goal.layout)
        layout = _with_places_of(observed, spec.to, goal.layout).without(stopped)
        steps = reconcile(observed, origin, layout, goal.policy, any_config=True)
    return Plan(
        verb="return",
        release=origin or goal.release,
        spec=spec,
        steps=steps,
        notes=(f"{spec.to} was aborted: {spec.aborted_reason}",),
        refusals=misfits(observed, origin, steps) if origin else (),
        evidence=evidence(observed),
        downtime=observed.closed_by_deploy,
        stopped=stopped,
    )


def _stopped(observed: Observed, release: Release, layout: Layout) -> tuple[tuple[str, str], ...]:
    """Where a person stopped what ran, and nothing of the release was started since."""
    own = own_instances(observed, layout)
    runs = {(i.host, i.role) for i in own if i.release == release.id}
    places = {(i.host, i.role) for i in layout.wanted(release)}
    return tuple(row.place for row in observed.state.stopped if row.place in places - runs)


def as_before(plan: Plan, goal: Goal) -> str:
    """What runs at the end of a way back, in words."""
    origin = plan.spec.from_
    if origin is None:
        return "nothing serves: there was no release before"
    if not plan.stopped:
        return f"release {origin} serves as before"
    if not goal.layout.without(plan.stopped).wanted(plan.release):
        return f"release {origin} is stopped, as it was before (`pilotage app start` starts it)"
    return (
        f"release {origin} runs as before; what was stopped then stays so: {join_places(plan.stopped)} "
        "(`pilotage app start` starts it)"
    )


def _with_places_of(observed: Observed, release: str, layout: Layout) -> Layout:
    """The way back concerns every place that a release came to, in whichever run that was."""
    if not layout.only:
        return layout
    there = {(i.host, i.role) for i in own_instances(observed, layout) if i.release == release}
    return replace(layout, only=layout.only | there)


def _starts(steps: tuple[Step, ...]) -> bool:
    """Whether any of the steps starts an instance."""
    return any(isinstance(step, Start) for step in steps)


def serves(observed: Observed) -> str:
    """Which release serves, in words; which ones on which hosts, where that is not one.

    Where nothing is known of routes, as the spec row has it.
    """
    where = served_where(observed)
    if len(where) > 1:
        parts = (f"release {name} serves on {', '.join(hosts)}" for name, hosts in where.items())
        return f"the fleet is MIXED: {', '.join(parts)}"
    serving = current(observed)
    return f"release {serving} serves" if serving else "nothing serves"


def served_where(observed: Observed) -> dict[str, list[str]]:
    """Release → the hosts on which it has the requests that no trial gets."""
    found: dict[str, list[str]] = {}
    for host, route in observed.routes.items():
        for name in dict.fromkeys(e.release for e in route.active):
            found.setdefault(name, []).append(host)
    return found


def current(observed: Observed) -> str | None:
    """The release that serves: by the routes where they agree, else by the spec row."""
    routed = {e.release for route in observed.routes.values() for e in route.active}
    if len(routed) == 1:
        return routed.pop()
    spec = observed.state.spec
    if spec is None:
        return None
    if spec.finished_at or spec.switched_at:
        return spec.wanted
    return spec.from_


def deploy_spec(
    observed: Observed, release: Release, *, now: float, again: bool, downtime: bool = False
) -> Spec:
    """The spec row for deploying ``release``: the one that is there taken up, or a new one.

    An aborted one is returned as it is (``aborted_reason`` set) unless ``again``. Once a deploy with
    downtime has begun, whatever is deployed before its end is one as well: nothing runs, and it is in
    no order that a schema goes through beside running code.
    """
    old = observed.state.spec
    begun = old is not None and old.downtime and old.finished_at is None
    downtime = downtime or begun or observed.closed_by_deploy
    if old and old.to == release.id and old.direction == "deploy":
        if old.aborted_reason and not again:
            return old
        if old.aborted_reason or old.finished_at:
            origin = old.from_ if old.aborted_reason else current(observed)
            return Spec(
                to=old.to,
                from_=origin,
                attempt=old.attempt + 1,
                started_at=now,
                downtime=downtime,
            )
        return replace(old, attempt=old.attempt + 1, downtime=downtime)
    return Spec(to=release.id, from_=current(observed), started_at=now, downtime=downtime)
