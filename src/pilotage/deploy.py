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
    LeaseLost,
    PilotageError,
    Refused,
    StalePlan,
)
from pilotage.events import Emit, Ended, Judged, Note, Planned, Switched, skew_ms
from pilotage.execute import start_gate
from pilotage.model import DeployState, HalfRef, Kind, Observed, Release, Ships
from pilotage.observe import World, observe
from pilotage.plan import (
    Goal,
    Plan,
    as_before,
    plan_boot,
    plan_contract,
    plan_deploy,
    plan_rollback,
    plan_stop,
)
from pilotage.plan.booting import Where
from pilotage.record import begin, end, is_aborted
from pilotage.release_command import settle
from pilotage.run import Counts, Run, judge
from pilotage.steps import Canary, Watch
from pilotage.store import Claim, Lease, hold
from pilotage.targets.base import Job, OnOutput
from pilotage.way_back import carry_out

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
                stopped=tuple(row for row in state.stopped if row.host != host),
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
    entry = await begin(run, goal, claim)
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
        await carry_out(replace(run, emit=emit), goal, live_on_failure=live_on_failure)
        if run.plan.verb == "return":
            outcome, detail = "aborted", run.plan.spec.aborted_reason or ""
    except LeaseLost as error:
        outcome, detail, ours = "interrupted", error.what, False
        raise
    except PilotageError as error:
        outcome, detail = ("aborted" if await is_aborted(run) else "failed"), error.what
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
            await asyncio.shield(end(run, ended))
