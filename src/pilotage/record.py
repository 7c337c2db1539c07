"""What a deploy writes down as it goes on: the moments of the spec row, and its end."""

from __future__ import annotations

from dataclasses import replace

from pilotage.model import DeployState
from pilotage.run import Run


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
