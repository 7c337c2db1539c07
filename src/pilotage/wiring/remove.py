"""Takes a service off its hosts: its instances, its edge, its files. The database stays."""

from __future__ import annotations

import time
from dataclasses import replace

from pilotage.errors import TargetError
from pilotage.events import Emit, InstanceStopped
from pilotage.model import DeployState
from pilotage.store import Claim, hold
from pilotage.wiring.project import Project


async def remove(project: Project, claim: Claim, emit: Emit) -> list[str]:
    """Stop and delete; returns what was done, in lines.

    Raises
    ------
    LeaseHeld
        Somebody deploys; nothing was touched.
    TargetError
        Something does not end; what was stopped before it is stopped.
    """
    world = project.world
    async with hold(world.store, claim, emit) as lease:
        known = (await world.schema.view()).exists
        if known:
            await world.schema.claim(token=lease.token)
        here = {host.name for host in (await world.target.observe()).hosts}
        done = await _stop_everything(project, lease.token, emit)
        if known:
            registered = (await world.schema.view()).registered
            await world.schema.deregister(r.instance for r in registered if r.host in here)

        def forget(state: DeployState) -> DeployState:
            hosts = tuple(name for name in state.hosts if name not in here)
            return replace(state, spec=None, hosts=hosts, closure=None)

        await world.store.update(forget, token=lease.token)
    done += await project.place.wipe()
    if project.dialect:
        done.append(
            "the database stays, with its data, its schema and the history of its migrations"
        )
    return done


async def is_clean(project: Project) -> bool:
    """Whether every host answers, none has an instance, and none ever saw a deployer."""
    view = await project.world.target.observe()
    return (
        all(host.reachable for host in view.hosts)
        and not view.instances
        and await project.world.target.highest() == 0
    )


async def remove_here(project: Project, emit: Emit) -> list[str]:
    """`remove` when the database is gone: no deploy lock is taken, and nothing is written there.

    Whoever deploys at the same moment is refused at his next step, as after a take-over.
    """
    token = await project.world.target.highest() + 1
    done = await _stop_everything(project, token, emit)
    done += await project.place.wipe()
    done.append(
        "the database was not asked: should it come back, it has this host in its inventory"
    )
    return done


async def _stop_everything(project: Project, token: int, emit: Emit) -> list[str]:
    """The edge first, then every instance, then the checkouts; what was done, in lines."""
    world = project.world
    await world.proxy.remove(token=token)
    view = await world.target.observe()
    unknown = [host.detail for host in view.hosts if not host.reachable]
    if unknown:
        raise TargetError(
            f"what runs there cannot be read: {unknown[0]}",
            state="the edge is stopped; instances may run",
            next="mend what is named, then `pilotage remove -y` again",
        )
    for instance in view.instances:
        began = time.monotonic()
        killed = await world.target.stop(instance, token=token)
        seconds = time.monotonic() - began
        emit(InstanceStopped(instance=instance.id, seconds=seconds, killed=killed))
    await project.source.prune(())
    return [
        "the edge is gone: nothing listens any more",
        f"{len(view.instances)} instance(s) stopped",
    ]
