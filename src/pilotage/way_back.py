"""Executes a plan. Where that fails, goes back to what was before, or says where everything stands."""

from __future__ import annotations

from dataclasses import replace

from pilotage.errors import (
    EdgeUnreachable,
    HostError,
    LeaseLost,
    Misfit,
    PilotageError,
    ProxyError,
    TargetError,
    Worse,
)
from pilotage.events import Planned
from pilotage.execute import execute
from pilotage.observe import observe
from pilotage.plan import Goal, Plan, as_before, plan_return, plan_undo, serves
from pilotage.plan.booting import VERBS
from pilotage.plan.rule import join_places, way_back
from pilotage.run import Run, StepError
from pilotage.standstill import stands
from pilotage.steps import Canary, Check, Confirm, Start, Step, Switch, Watch


async def carry_out(run: Run, goal: Goal, *, live_on_failure: bool) -> None:
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
    if run.plan.verb == "return":
        error.state = error.state or "what ran before still runs; nothing old was stopped"
        error.next = error.next or "mend it, then run the command again"
        return
    if spec.from_ == spec.to:
        await _undo(run, goal, error)
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


async def _undo(run: Run, goal: Goal, error: PilotageError) -> None:
    """Take back what was started of a release that ran already."""
    observed = await observe(run.world)
    undo = plan_undo(observed, run.plan, goal)
    try:
        await execute(replace(run, plan=undo.plan))
    except StepError as second:
        error.state = f"and what was started could not be stopped: {second.error.what}"
        error.next = (
            "see `pilotage status`; `pilotage deploy` brings everything to where it should be"
        )
        return
    if undo.gone:
        where = join_places(undo.gone)
        error.state = (
            f"what ran before of {where} had ended already, and only the new one is there; "
            "everything else is as it was"
        )
    else:
        error.state = "what ran before is as it was; what was started is stopped again"
    mend = "mend it" if run.plan.verb in VERBS else "mend the configuration"
    error.next = error.next or f"{mend}, then run the command again"
