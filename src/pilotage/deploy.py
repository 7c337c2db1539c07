"""The verbs, each a short story: take the lease, observe, plan, write down what is wanted, execute.

When something goes wrong on the way, what was wanted is changed in the same place (the spec row is
marked as aborted) and the way back is planned like any other way.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

from pilotage.edges import reminder
from pilotage.errors import (
    EdgeUnreachable,
    HostError,
    LeaseLost,
    Misfit,
    PilotageError,
    ProxyError,
    Refused,
    StalePlan,
    TargetError,
    Worse,
)
from pilotage.events import Emit, Ended, Judged, Note, Planned, Switched, skew_ms
from pilotage.execute import execute, start_gate
from pilotage.model import DeployState, HalfRef, HistoryEntry, Kind, Observed, Release, Ships
from pilotage.observe import World, observe
from pilotage.plan import (
    Goal,
    Plan,
    as_before,
    plan_boot,
    plan_contract,
    plan_deploy,
    plan_return,
    plan_rollback,
    plan_stop,
    plan_unboot,
    serves,
)
from pilotage.plan.booting import VERBS, Where
from pilotage.plan.rule import way_back
from pilotage.release_command import settle
from pilotage.run import Counts, Run, StepError, judge
from pilotage.standstill import stands
from pilotage.steps import Canary, Check, Confirm, Finish, Start, Step, Stop, Switch, Watch
from pilotage.store import Claim, Lease, hold
from pilotage.targets.base import Job, OnOutput

HISTORY_LENGTH = 200
RELEASES_KEPT = 100

Planner = Callable[[Observed, float], Plan]


async def deploy(
    world: World,
    goal: Goal,
    claim: Claim,
    emit: Emit,
    *,
    again: bool = False,
    expect: str | None = None,
    downtime: bool = False,
    live_on_failure: bool = False,
) -> Plan:
    """Bring the service and its schema to the release of ``goal``; returns the plan that was run.

    ``again``: take up a release that was aborted before. ``expect``: the fingerprint of the plan
    that a person has read; any other plan is refused. ``downtime``: close the edges and stop
    everything first. When such a deploy fails the edges stay closed; ``live_on_failure``: unless the
    release before can be brought back.

    Raises
    ------
    Refused
        The rule, the lease, or an earlier abort forbids it: nothing was touched.
    DeployError
        It failed; ``state`` says what serves now.
    """

    def plan(observed: Observed, now: float) -> Plan:
        return plan_deploy(observed, goal, now=now, again=again, downtime=downtime)

    done = await _under_lease(
        world, goal, claim, emit, plan, expect=expect, live_on_failure=live_on_failure
    )
    if done.verb == "return":
        raise Refused(
            f"release {done.spec.to} was aborted before: {done.spec.aborted_reason}",
            state=as_before(done, goal),
            next="deploy a new revision that mends it, or this one again with --again",
        )
    return done


async def rollback(
    world: World,
    goal: Goal,
    claim: Claim,
    emit: Emit,
    *,
    expect: str | None = None,
    force: bool = False,
) -> Plan:
    """Go back to a release whose code fits the schema as it is now.

    ``force``: a person says that it does where nobody else can.
    """

    def plan(observed: Observed, now: float) -> Plan:
        return plan_rollback(observed, goal, now=now, force=force)

    return await _under_lease(world, goal, claim, emit, plan, expect=expect)


async def boot(
    world: World, goal: Goal, where: Where, claim: Claim, emit: Emit, *, renew: str | None = None
) -> Plan:
    """Start what of the release that serves does not run at these places; with ``renew`` all of it anew.

    ``renew``: a word that no instance has in its id yet.

    Raises
    ------
    Refused
        The release does not fit the schema, or a deploy is unfinished: nothing was touched.
    DeployError
        It failed; what ran before runs.
    """

    def plan(observed: Observed, now: float) -> Plan:
        return plan_boot(observed, goal, where, renew=renew)

    return await _under_lease(world, goal, claim, emit, plan, expect=None)


async def stop(
    world: World, goal: Goal, where: Where, claim: Claim, emit: Emit, *, stale: bool = False
) -> Plan:
    """End what runs at these places; ``stale``: only what is of another release than the one that serves.

    Edges stay, and answer 503 where nothing is left. `boot` and every deploy start it again.
    """

    def plan(observed: Observed, now: float) -> Plan:
        return plan_stop(observed, goal, where, stale=stale)

    return await _under_lease(world, goal, claim, emit, plan, expect=None)


async def contract(
    world: World,
    goal: Goal,
    claim: Claim,
    emit: Emit,
    *,
    only: tuple[HalfRef, ...] | None = None,
    expect: str | None = None,
) -> Plan:
    """Apply held contract halves of the running release, with the full proof."""

    def plan(observed: Observed, now: float) -> Plan:
        return plan_contract(observed, goal, only=only)

    return await _under_lease(world, goal, claim, emit, plan, expect=expect)


async def console(world: World, release: Release, job: Job, output: OnOutput) -> int:
    """Run one command of a release in an instance of its own, through the start gate.

    Needs no lease. A contract half sees the console, and waits for it or is refused. One that is
    detached stays registered: the next deploy finds out that it has ended.
    """
    gate = start_gate(world, job.instance, release)
    launched = False
    try:
        status = await world.target.run_once(job, token=None, gate=gate, output=output)
        launched = job.detached
    finally:
        if not launched:
            await asyncio.shield(world.schema.deregister((job.instance.id,)))
    return status


async def require_entry(world: World, release: Release) -> None:
    """Refuse to run a command in an instance of ``release`` that runs, where a new one might not start.

    Raises
    ------
    Misfit
        The release does not fit the schema.
    """
    judge(release, (await world.schema.view()).announced, kind=Kind.CONSOLE)


async def forget_host(world: World, host: str, claim: Claim, emit: Emit) -> None:
    """A person says that a host is gone for good, with everything that ran on it."""
    async with hold(world.store, claim, emit) as lease:
        registered = (await world.schema.view()).registered
        gone = tuple(r.instance for r in registered if r.host == host)
        await world.schema.deregister(gone, token=lease.token)

        def forget(state: DeployState) -> DeployState:
            return replace(
                state,
                hosts=tuple(name for name in state.hosts if name != host),
                stopped=tuple(place for place in state.stopped if place[0] != host),
            )

        await world.store.update(forget, token=lease.token)


# ----------------------------------------------------------------------------------------------
# One run
# ----------------------------------------------------------------------------------------------


async def _under_lease(
    world: World,
    goal: Goal,
    claim: Claim,
    emit: Emit,
    planner: Planner,
    *,
    expect: str | None,
    live_on_failure: bool = False,
) -> Plan:
    """Lease, look, plan, refuse or run."""
    await world.schema.prepare()
    async with hold(world.store, claim, emit) as lease:
        observed = await look(world, lease, emit)
        plan = planner(observed, await world.store.now())
        if expect is not None and plan.fingerprint != expect:
            raise StalePlan(
                f"the plan is {plan.fingerprint} now, not {expect}: the world has changed",
                state="nothing was touched",
                next="read `pilotage plan` again",
            )
        emit(Planned(plan=plan))
        if plan.refusals:
            raise plan.refusals[0]
        origin = observed.state.release(plan.spec.from_)
        before = await _answered(world, plan)
        run = Run(world, plan, goal.policy, lease, emit, origin, before)
        if plan.steps:
            await _recorded(run, goal, claim, live_on_failure=live_on_failure)
        else:
            emit(Note(text="nothing to do: what is, is what is wanted"))
        closure = (await world.store.read()).closure
        if closure is not None:
            emit(Note(text=reminder(closure), level="warning"))
    return plan


async def _answered(world: World, plan: Plan) -> Counts:
    """What the release that serves has answered so far, where the plan compares with it."""
    origin = plan.spec.from_
    compared = any(isinstance(step, (Canary, Watch)) for step in plan.steps)
    return await world.proxy.measure(origin) if origin and compared else {}


async def look(world: World, lease: Lease, emit: Emit) -> Observed:
    """Observe with authority: whatever an earlier deployer had in flight is over after this.

    A framework's command that it left running is waited for. Intents that it left are withdrawn (a
    contract half that began has its row instead), and releases that run without a record are recorded
    as *seen*.
    """
    await world.schema.claim(token=lease.token)
    if world.engine:
        await settle(world, await observe(world, token=lease.token), token=lease.token, emit=emit)
        await world.schema.claim(token=lease.token)
    left = [intent.ref for intent in (await world.schema.view()).intents]
    if left:
        await world.schema.withdraw(left, token=lease.token)
    observed = await observe(world, token=lease.token)
    strangers = {i.release for i in observed.alive if observed.ships(i.release) is None}
    if strangers:
        ships = Ships(contracts=observed.schema.applied.contracted)

        def record(state: DeployState) -> DeployState:
            for name in sorted(strangers):
                state = state.with_release(Release(name, name, ships=ships, how="seen"))
            return state

        state = await world.store.update(record, token=lease.token)
        observed = replace(observed, state=state)
    return observed


async def _recorded(run: Run, goal: Goal, claim: Claim, *, live_on_failure: bool) -> None:
    """Run a plan between the first and the last line of its entry in the history."""
    began = time.monotonic()
    entry = await _begin(run, goal, claim)
    switched: list[Switched] = []
    judged: list[str] = []

    def emit(event: object) -> None:
        if isinstance(event, Switched):
            switched.append(event)
        if isinstance(event, Judged):
            judged.append(f"{event.finding}: {event.why}")
        run.emit(event)  # type: ignore[arg-type]

    outcome, detail, ours = "done", "", True
    try:
        await _carry_out(replace(run, emit=emit), goal, live_on_failure=live_on_failure)
        if run.plan.verb == "return":
            outcome, detail = "aborted", run.plan.spec.aborted_reason or ""
    except LeaseLost as error:
        outcome, detail, ours = "interrupted", error.what, False
        raise
    except PilotageError as error:
        outcome, detail = ("aborted" if await _is_aborted(run) else "failed"), error.what
        raise
    except asyncio.CancelledError:
        outcome, detail = "interrupted", "the deployer was interrupted"
        raise
    finally:
        ended = replace(
            entry,
            outcome=outcome,
            detail=detail,
            skew_ms=skew_ms(switched),
            verdict=(judged or [""])[-1],
        )
        seconds = time.monotonic() - began
        run.emit(Ended(verb=run.plan.verb, outcome=outcome, seconds=seconds, detail=detail))
        if ours:
            await asyncio.shield(_end(run, ended))


async def _carry_out(run: Run, goal: Goal, *, live_on_failure: bool) -> None:
    """Execute; when the new release is at fault before anything old was stopped, go back.

    Once the edges are closed for a deploy with downtime they stay so, whatever fails: going back is
    then no way to where everything was, and only done when it was asked for.
    """
    try:
        await execute(run)
    except StepError as failed:
        error = failed.error
        judged = isinstance(failed.step, (Start, Check, Canary, Switch, Watch, Confirm))
        # That a host is lost says nothing against the release: it is taken up when the host is back.
        at_fault = judged and not isinstance(error, (HostError, EdgeUnreachable))
        at_fault = at_fault or _between_switches(run.plan, failed.step)
        if run.plan.downtime and not isinstance(error, LeaseLost) and await _is_closed(run):
            spec = run.plan.spec
            if live_on_failure and run.plan.verb == "deploy" and spec.from_ not in (None, spec.to):
                await _go_back(run, goal, error)
            await _tell_standstill(run, error)
        elif at_fault and isinstance(error, (TargetError, ProxyError, Misfit, Worse)):
            await _go_back(run, goal, error)
        else:
            await _tell_state(run, error)
        raise error from error.__cause__


def _between_switches(plan: Plan, step: Step) -> bool:
    """Whether hosts have switched before a step and others had not: where it fails, the fleet is mixed."""
    switches = [index for index, each in enumerate(plan.steps) if isinstance(each, Switch)]
    return bool(switches) and switches[0] < plan.steps.index(step) <= switches[-1]


async def _tell_state(run: Run, error: PilotageError) -> None:
    """An error that changed nothing about who serves says who does, when that can be asked."""
    error.next = error.next or "mend it, then run the command again: it goes on from here"
    try:
        observed = await observe(run.world)
    except PilotageError:
        return
    told = serves(observed)
    if silent := [host.name for host in observed.hosts if not host.reachable]:
        told += f" on the hosts that answer (no answer from {', '.join(silent)})"
    error.state = f"{error.state}; {told}" if error.state else told


async def _is_closed(run: Run) -> bool:
    try:
        return (await run.world.store.read()).closure is not None
    except PilotageError:
        return True


async def _tell_standstill(run: Run, error: PilotageError) -> None:
    """Say exactly where a deploy with downtime stands, when that can be asked."""
    aborted, back = False, None
    try:
        observed = await observe(run.world)
        where = stands(observed, run.plan)
        if run.plan.verb == "deploy" and run.plan.spec.from_ != run.plan.spec.to:
            back = way_back(observed, run.plan.spec.from_)
        aborted = observed.state.spec is not None and bool(observed.state.spec.aborted_reason)
    except PilotageError as second:
        where = f"the edges are closed; where it stands could not be asked: {second.what}"
    error.state = f"{error.state}; {where}" if error.state else where
    or_back = f", or go back with `pilotage rollback {back}`" if back else ""
    if not aborted:
        mend = error.next or "mend it"
        error.next = f"{mend}; then run the command again, it goes on from here{or_back}"


async def _go_back(run: Run, goal: Goal, error: PilotageError) -> None:
    """Mark the spec as aborted, and bring back the release that served before.

    Returns so that the caller raises ``error``, whose ``state`` then says what serves.
    """
    spec = run.plan.spec
    if run.plan.verb in VERBS:
        await _unboot(run, error)
        return
    if run.plan.verb == "return" or spec.from_ == spec.to:
        if isinstance(error, Worse) and spec.from_ == spec.to:
            error.state = (
                "the instances with the new configuration have the requests; the old ones still run"
            )
            error.next = "mend the configuration, then deploy again"
        error.state = error.state or "what ran before still runs; nothing old was stopped"
        error.next = error.next or "mend it, then run the command again"
        return
    observed = await observe(run.world)
    now = observed.state.spec or spec
    aborted = replace(now, aborted_reason=error.what, finished_at=None)
    plan = plan_return(observed, goal, spec=aborted)
    if plan.refusals:
        error.state = f"the way back is barred: {plan.refusals[0].what}"
        error.next = "mend what failed, then run the command again: only forward is possible"
        return
    await run.world.store.update(lambda s: replace(s, spec=aborted), token=run.token)
    run.emit(Planned(plan=plan))
    try:
        await execute(replace(run, plan=plan))
    except StepError as second:
        error.state = f"and the way back failed as well: {second.error.what}"
        error.next = ""
        await _tell_state(run, error)
        error.next = "run the command again: it goes on with the way back"
        return
    error.state = as_before(plan, goal)
    error.next = error.next or "deploy a revision that mends it, or this one again with --again"


async def _unboot(run: Run, error: PilotageError) -> None:
    """Take back what a boot started."""
    try:
        await execute(replace(run, plan=plan_unboot(run.plan, run.policy.drain)))
    except StepError as second:
        error.state = f"and what was started could not be stopped: {second.error.what}"
        error.next = (
            "see `pilotage status`; `pilotage deploy` brings everything to where it should be"
        )
        return
    error.state = "what ran before is as it was; what was started is stopped again"
    error.next = error.next or "mend it, then run the command again"


async def _begin(run: Run, goal: Goal, claim: Claim) -> HistoryEntry:
    """Write down what is wanted, before anything happens."""
    plan, now = run.plan, await run.world.store.now()
    moving = (Finish, Start, Switch, Stop)
    # Of the same release as before: what is wanted stays as it was written.
    moves = plan.verb not in VERBS and any(isinstance(step, moving) for step in plan.steps)
    hosts = [host for role in goal.layout.roles for host in role.hosts]

    def begin(state: DeployState) -> DeployState:
        if plan.verb in ("deploy", "rollback"):
            known = state.release(goal.release.id)
            deployed = known.deployed_at if known else None
            state = state.with_release(replace(goal.release, deployed_at=deployed))
        entry = _entry(state, plan, claim, now)
        return replace(
            state,
            spec=plan.spec if moves else state.spec,
            hosts=tuple(dict.fromkeys((*state.hosts, *hosts))),
            stopped=tuple(dict.fromkeys((*state.stopped, *plan.stopped))),
            releases=trimmed(state),
            history=(*map(_closed, state.history), entry)[-HISTORY_LENGTH:],
        )

    state = await run.world.store.update(begin, token=run.token)
    return state.history[-1]


def _entry(state: DeployState, plan: Plan, claim: Claim, now: float) -> HistoryEntry:
    last = state.history[-1].id if state.history else 0
    return HistoryEntry(
        id=last + 1,
        verb=plan.verb,
        who=claim.owner,
        from_=plan.spec.from_ if plan.verb != "contract" else plan.release.id,
        to=plan.spec.to,
        started_at=now,
    )


def _closed(row: HistoryEntry) -> HistoryEntry:
    """An entry of a deployer that never came back to say how it ended."""
    return replace(row, outcome="interrupted") if row.outcome == "running" else row


def trimmed(state: DeployState) -> tuple[Release, ...]:
    """The newest records; never one that was only seen, since its instance may still run."""
    recorded = [r for r in state.releases if r.how == "recorded"][-RELEASES_KEPT:]
    return tuple(r for r in state.releases if r.how != "recorded" or r in recorded)


async def _end(run: Run, entry: HistoryEntry) -> None:
    """Close the entry of the history. A deployer that lost its lease leaves that to the next one."""
    try:
        ended = replace(entry, ended_at=await run.world.store.now())
        started = _started(run.plan) if ended.outcome == "done" else ()

        def end(state: DeployState) -> DeployState:
            rows = (ended if row.id == entry.id else row for row in state.history)
            stopped = (place for place in state.stopped if place not in started)
            return replace(state, history=tuple(rows), stopped=tuple(stopped))

        await run.world.store.update(end, token=run.token)
    except PilotageError as error:
        run.emit(Note(text=f"the history was not written: {error.what}", level="warning"))


def _started(plan: Plan) -> set[tuple[str, str]]:
    """The places (host, role) where what runs was seen healthy: nobody means them to be stopped any more."""
    checks = (step for step in plan.steps if isinstance(step, Check))
    return {(i.host, i.role) for step in checks for i in step.instances}


async def _is_aborted(run: Run) -> bool:
    try:
        spec = (await run.world.store.read()).spec
    except PilotageError:
        return False
    return spec is not None and spec.aborted_reason is not None
