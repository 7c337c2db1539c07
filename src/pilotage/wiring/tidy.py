"""Removes what nothing needs any more, at the end of a deploy: checkouts, containers, images."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from pilotage.errors import LeaseHeld, PilotageError
from pilotage.events import Emit, Note, ignore
from pilotage.model import Observed
from pilotage.store import Claim, hold
from pilotage.wiring.project import Project


async def prune(
    project: Project,
    claim: Claim,
    emit: Emit,
    *,
    hosts: Collection[str] | None = None,
    retain: int | None = None,
) -> None:
    """Keep what runs, what is wanted, and the last ``retain_containers`` releases; remove the rest.

    ``hosts``: what is on these alone. ``retain``: as many as this instead.

    Under the deploy lock, so that no deploy starts from what is being removed.

    Raises
    ------
    LeaseHeld
        Somebody deploys; nothing was touched.
    TargetError
        Not all that is old could be removed.
    """
    async with hold(project.world.store, claim, emit) as lease:
        lines = await _remove(project, lease.token, hosts, retain)
    for line in lines:
        emit(Note(text=line))


async def tidy(project: Project, claim: Claim, emit: Emit) -> None:
    """`prune` after a deploy, which is done: what cannot be removed now is left to the next one."""
    try:
        async with hold(project.world.store, replace(claim, wait=0.0), ignore) as lease:
            lines = await _remove(project, lease.token)
    except LeaseHeld:
        return
    except PilotageError as error:
        emit(Note(text=f"not all that is old was removed: {error.what}", level="warning"))
        return
    for line in lines:
        emit(Note(text=line))


async def _remove(
    project: Project,
    token: int,
    hosts: Collection[str] | None = None,
    retain: int | None = None,
) -> tuple[str, ...]:
    """What was removed, in lines."""
    retain = project.config.retain_containers if retain is None else retain
    keep = kept(await _seen(project), retain)
    removed = await project.source.prune(keep) if hosts is None else ()
    told = await project.place.tidy(keep, token, retain=retain, hosts=hosts)
    if removed:
        told = (f"removed {len(removed)} old checkout(s): {', '.join(removed)}", *told)
    return told


async def _seen(project: Project) -> Observed:
    """What is, but for routes; of hosts what this command saw last, where it did."""
    world = project.world
    state, schema = await world.store.read(), await world.schema.view()
    view = await (project.place.seen or world.target.observe)()
    return Observed(state=state, hosts=view.hosts, instances=view.instances, schema=schema)


def kept(observed: Observed, recent: int) -> set[str]:
    """The revisions whose checkouts stay."""
    state = observed.state
    ids = {instance.release for instance in observed.alive}
    if state.spec:
        ids |= {state.spec.to, state.spec.from_ or ""}
    deployed = [entry.to for entry in reversed(state.history) if entry.outcome == "done"]
    ids |= set(list(dict.fromkeys(deployed))[:recent])
    return {release.revision for release in state.releases if release.id in ids}
