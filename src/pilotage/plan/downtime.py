"""A deploy with downtime: close the edges, stop everything, change the whole schema, start, open.

For a change that no old code lives through beside the new: a contract half that must come before an
expand half, an old release that would not fit in between. The planner imagines the world once
everything is stopped, and asks it the same questions as ever: what a contract half can be proven by, which
instances are missing, and what a running release would meet on the way.
"""

from __future__ import annotations

from dataclasses import replace

from pilotage import page
from pilotage.model import (
    Closure,
    Endpoint,
    HalfRef,
    Instance,
    Kind,
    Observed,
    Ships,
    Spec,
    version_key,
)
from pilotage.plan.framework import at_standstill
from pilotage.plan.goal import Goal
from pilotage.plan.halves import (
    Halves,
    contract_step,
    held_refs,
    in_band,
    pending_expands,
    required_of,
)
from pilotage.plan.plan import Plan
from pilotage.plan.rule import (
    blocked,
    closed_edges,
    expand_first,
    misfits,
    point_of_no_return,
    stays_held,
    strangers,
)
from pilotage.plan.running import hosts_of, of_kind, own_instances, reconcile
from pilotage.proof import evidence, prove
from pilotage.steps import (
    Adopt,
    ApplyHalf,
    AwaitReplicas,
    Backfill,
    CloseEdges,
    Contract,
    Drain,
    EnsureProxy,
    Fetch,
    Step,
    Stop,
)


def plan_downtime(observed: Observed, goal: Goal, spec: Spec) -> Plan:
    """The way to the release of ``goal`` through a moment in which nothing runs."""
    old = doomed(observed, goal)
    after = stopped(observed, old)
    halves = all_halves(observed, after, goal, spec)
    running = reconcile(after, goal.release, goal.layout, goal.policy)
    old_web = of_kind(old, Kind.TRAFFIC)
    web = (*of_kind(goal.layout.wanted(goal.release), Kind.TRAFFIC), *old_web)
    replicas = goal.policy.replicas
    steps: tuple[Step, ...] = (
        Fetch(goal.release.revision),
        *_closing(observed, after, hosts_of(web)),
        *((Drain(old_web, goal.policy.drain),) if old_web else ()),
        *((Stop(old),) if old else ()),
        *halves.steps,
        *((AwaitReplicas(replicas),) if replicas and halves.expands else ()),
        *(step for step in running if not isinstance(step, EnsureProxy)),
    )
    return Plan(
        verb="deploy",
        release=goal.release,
        spec=spec,
        steps=steps,
        notes=(*halves.notes, *strangers(observed), *closed_edges(observed)),
        refusals=(*halves.refusals, *misfits(observed, goal.release, steps)),
        held=halves.held,
        evidence=evidence(observed),
        point_of_no_return=point_of_no_return(observed, spec, steps),
        downtime=True,
        migrations=goal.files,
    )


def needs_downtime(observed: Observed, goal: Goal, spec: Spec) -> bool:
    """Whether there is something to stop for: an outage without need helps nobody.

    Not before anything ever ran; and not to contract halves under the release that they belong to.
    """
    if observed.schema.fresh and not observed.alive:
        return False
    old = doomed(observed, goal)
    if old or observed.closed_by_deploy:
        return True
    own = {instance.id for instance in own_instances(observed, goal.layout)}
    missing = [i for i in goal.layout.wanted(goal.release) if i.id not in own]
    halves = all_halves(observed, stopped(observed, old), goal, spec)
    return bool(halves.expands or (halves.steps and missing))


def doomed(observed: Observed, goal: Goal) -> tuple[Instance, ...]:
    """What is stopped: every instance of the service but those that are wanted already."""
    wanted = {
        (i.role, i.host, i.index, i.release, i.config) for i in goal.layout.wanted(goal.release)
    }
    return tuple(
        i
        for i in own_instances(observed, goal.layout)
        if (i.role, i.host, i.index, i.release, i.config) not in wanted
    )


def stopped(observed: Observed, old: tuple[Instance, ...]) -> Observed:
    """The world as it will be once the edges are closed and ``old`` has ended.

    The database sessions of a release end with its last instance; those of one that has none stay.
    """
    gone = {instance.id for instance in old}
    left = tuple(i for i in observed.instances if i.id not in gone)
    over = {i.release for i in old} - {i.release for i in left if i.alive}
    schema, state = observed.schema, observed.state
    closure = state.closure or Closure(page.maintenance(), by="deploy")
    sessions = schema.sessions
    if sessions is not None:
        sessions = tuple(s for s in sessions if s.release not in over)
    return replace(
        observed,
        state=replace(state, closure=closure),
        instances=left,
        routes={
            host: replace(
                route,
                active=_without(route.active, gone),
                draining=_without(route.draining, gone),
                trial=_without(route.trial, gone),
                front=closure.front,
            )
            for host, route in observed.routes.items()
        },
        schema=replace(
            schema,
            registered=tuple(r for r in schema.registered if r.instance not in gone),
            sessions=sessions,
        ),
    )


def _without(endpoints: tuple[Endpoint, ...], gone: set[str]) -> tuple[Endpoint, ...]:
    return tuple(endpoint for endpoint in endpoints if endpoint.instance not in gone)


def _closing(observed: Observed, after: Observed, hosts: tuple[str, ...]) -> tuple[Step, ...]:
    """An edge on every host, and each closed. Nothing where no role takes requests."""
    closure = after.state.closure
    if not hosts or closure is None:
        return ()
    person = closure.who if closure.by == "person" else ""
    hosts = tuple(dict.fromkeys((*hosts, *observed.routes)))
    return (EnsureProxy(), CloseEdges(hosts, closure.front, person))


# ----------------------------------------------------------------------------------------------
# The schema
# ----------------------------------------------------------------------------------------------


def all_halves(observed: Observed, after: Observed, goal: Goal, spec: Spec) -> Halves:
    """Everything that is pending, in file order, as on a database that nobody uses.

    A contract half is applied when, with everything stopped, its proof will hold. Under `contract:
    manual` only those are that the release itself requires, with the older ones before them.
    """
    if goal.migrations.framework:
        return at_standstill(observed, after, goal, spec)
    pending = pending_expands(observed, goal)
    if observed.schema.fresh:
        return pending
    held = _shipped(observed, goal, spec)
    ready = in_band(held, goal.files)
    required = required_of(ready, goal.release.ships or Ships())
    due = required if goal.policy.contract == "manual" else ready
    due = tuple(ref for ref in due if not _without_expand(observed, pending.steps, ref, goal))
    notes: tuple[str, ...] = ()
    refusals = list(pending.refusals)
    if due:
        proof = prove(after, due, consumers=goal.policy.consumers)
        if proof.blockers and required:
            refusals.append(blocked(proof, required))
        if proof.blockers:
            notes, due = (stays_held(due, proof),), ()
    steps = _in_order(pending.steps, due, frozenset(required), goal)
    return Halves(steps, tuple(r for r in held if r not in due), notes, tuple(refusals))


def _shipped(observed: Observed, goal: Goal, spec: Spec) -> tuple[HalfRef, ...]:
    """Contract halves that the release ships, or covers by a squash, and that are not finished."""
    ships = goal.release.ships or Ships()
    origin = observed.state.release(spec.from_)
    before = held_refs(observed, origin.ships) if origin else ()
    covered = (ref for ref in before if ships.ships_contract(ref.version))
    return tuple(sorted({*held_refs(observed, ships), *covered}))


def _without_expand(
    observed: Observed, pending: tuple[Step, ...], ref: HalfRef, goal: Goal
) -> bool:
    """Whether the expand half of a contract half is neither applied nor about to be."""
    coming = {s.ref.version for s in pending if isinstance(s, ApplyHalf)}
    return ref.version not in coming and bool(expand_first(observed, (ref,), goal.files))


def _in_order(
    pending: tuple[Step, ...],
    due: tuple[HalfRef, ...],
    required: frozenset[HalfRef],
    goal: Goal,
) -> tuple[Step, ...]:
    """Both in the order of their versions; contract halves that follow each other in one step."""
    keyed: list[tuple[tuple[int, str], int, Step]] = []
    for step in pending:
        assert isinstance(step, (ApplyHalf, Adopt, Backfill))
        version = step.ref.version if isinstance(step, ApplyHalf) else step.version
        keyed.append((version_key(version), 0, step))
    for ref in due:
        one = contract_step((ref,), goal.files, optional=ref not in required)
        keyed.append((version_key(ref.version), 1, one))
    steps: list[Step] = []
    for _, _, step in sorted(keyed, key=lambda item: item[:2]):
        last = steps[-1] if steps else None
        if (
            isinstance(step, Contract)
            and isinstance(last, Contract)
            and last.optional is step.optional
        ):
            steps[-1] = replace(last, refs=last.refs + step.refs, names=last.names + step.names)
        else:
            steps.append(step)
    return tuple(steps)
