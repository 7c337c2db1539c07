"""What a deploy writes down: what is wanted, the moments of that on the way, and how it ended."""

from __future__ import annotations

from dataclasses import replace

from pilotage.errors import PilotageError
from pilotage.events import Note
from pilotage.model import DeployState, HistoryEntry, Release, Stopped
from pilotage.plan import Goal, Plan
from pilotage.plan.booting import VERBS
from pilotage.run import Run
from pilotage.steps import Check, Finish, Start, Stop, Switch
from pilotage.store import Claim

HISTORY_LENGTH = 200
_RELEASES_KEPT = 100


async def begin(run: Run, goal: Goal, claim: Claim) -> HistoryEntry:
    """Write down what is wanted, before anything happens."""
    plan, now = run.plan, await run.world.store.now()
    moving = (Finish, Start, Switch, Stop)
    # Of the same release as before: what is wanted stays as it was written.
    moves = plan.verb not in VERBS and any(isinstance(step, moving) for step in plan.steps)
    hosts = [host for role in goal.layout.roles for host in role.hosts]

    def change(state: DeployState) -> DeployState:
        if plan.verb in ("deploy", "rollback"):
            known = state.release(goal.release.id)
            deployed = known.deployed_at if known else None
            state = state.with_release(replace(goal.release, deployed_at=deployed))
        entry = _entry(state, plan, claim, now)
        before = {row.place for row in state.stopped}
        more = (Stopped(*place, claim.owner, now) for place in plan.stopped if place not in before)
        return replace(
            state,
            spec=plan.spec if moves else state.spec,
            hosts=tuple(dict.fromkeys((*state.hosts, *hosts))),
            stopped=(*state.stopped, *more),
            releases=trimmed(state),
            history=(*map(_closed, state.history), entry)[-HISTORY_LENGTH:],
        )

    state = await run.world.store.update(change, token=run.token)
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
    recorded = [r for r in state.releases if r.how == "recorded"][-_RELEASES_KEPT:]
    return tuple(r for r in state.releases if r.how != "recorded" or r in recorded)


async def mark_switched(run: Run) -> None:
    """Every host has confirmed: the new release serves."""
    now = await run.world.store.now()

    def change(state: DeployState) -> DeployState:
        if state.spec is None or state.spec.aborted_reason or state.spec.switched_at:
            return state
        return replace(state, spec=replace(state.spec, switched_at=now))

    await run.world.store.update(change, token=run.token)


async def mark_verified(run: Run) -> None:
    """The new instances were still healthy after the switch."""
    now = await run.world.store.now()

    def change(state: DeployState) -> DeployState:
        if state.spec is None or state.spec.aborted_reason:
            return state
        return replace(state, spec=replace(state.spec, verified_at=now))

    await run.world.store.update(change, token=run.token)


async def finish(run: Run, release: str | None) -> None:
    """Everything that the spec row wants is so."""
    now = await run.world.store.now()

    def change(state: DeployState) -> DeployState:
        if state.spec is not None:
            switched = state.spec.switched_at or (None if state.spec.aborted_reason else now)
            spec = replace(state.spec, switched_at=switched, finished_at=now)
            state = replace(state, spec=spec)
        known = state.release(release)
        if known is not None and known.deployed_at is None:
            state = state.with_release(replace(known, deployed_at=now))
        return state

    await run.world.store.update(change, token=run.token)


async def end(run: Run, entry: HistoryEntry) -> None:
    """Close the entry of the history. A deployer that lost its lease leaves that to the next one."""
    try:
        ended = replace(entry, ended_at=await run.world.store.now())
        started = _started(run.plan) if ended.outcome == "done" else ()

        def change(state: DeployState) -> DeployState:
            rows = (ended if row.id == entry.id else row for row in state.history)
            stopped = (row for row in state.stopped if row.place not in started)
            return replace(state, history=tuple(rows), stopped=tuple(stopped))

        await run.world.store.update(change, token=run.token)
    except PilotageError as error:
        run.emit(Note(text=f"the history was not written: {error.what}", level="warning"))


def _started(plan: Plan) -> set[tuple[str, str]]:
    """The places (host, role) where what runs was seen healthy: nobody means them to be stopped any more."""
    checks = (step for step in plan.steps if isinstance(step, Check))
    return {(i.host, i.role) for step in checks for i in step.instances}


async def is_aborted(run: Run) -> bool:
    """Whether what is wanted was given up; False where that cannot be asked."""
    try:
        spec = (await run.world.store.read()).spec
    except PilotageError:
        return False
    return spec is not None and spec.aborted_reason is not None
