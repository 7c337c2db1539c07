"""Closes and opens the edges: what they do instead of passing requests on is what the state says.

The state is written first, the edges follow, and each must confirm. So after a crash between the two,
whoever comes next knows what is wanted: the same verb again, or a deploy, brings the edges to it. Whatever
changes a route asks here for the front that it must have (`pilotage.traffic`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace

from pilotage.errors import PilotageError, ProxyError, Refused, Unhealthy
from pilotage.events import EdgesClosed, EdgesOpened, Emit, Note
from pilotage.model import Closure, DeployState, Front, Instance, Observed, fits
from pilotage.observe import World, observe
from pilotage.run import Run
from pilotage.steps import CloseEdges, OpenEdges

VERBS = ("maintenance", "pause", "live", "resume")
"""What a person does to the edges (`pilotage.maintenance`)."""


async def wanted_front(world: World) -> Front | None:
    """What the edges should do instead of passing requests on; None: pass them on."""
    closure = (await world.store.read()).closure
    return closure.front if closure else None


async def shut(world: World, *, token: int) -> None:
    """Close what the state wants closed. Nothing is opened here: nobody looked who would answer."""
    if await wanted_front(world) is not None:
        await show(world, token=token)


async def show(world: World, *, token: int, hosts: Iterable[str] = ()) -> tuple[str, ...]:
    """Bring the edge of every host that answers to the front that the state wants.

    ``hosts``: these must be among them. Returns the hosts on which the front is in force now.

    Raises
    ------
    ProxyError
        A host did not confirm it; ``state`` says which ones did.
    """
    front = await wanted_front(world)
    routes = await world.proxy.observe()
    changes = {h: replace(r, front=front) for h, r in routes.items() if r.front != front}
    results = await asyncio.gather(
        *(world.proxy.apply(host, route, token=token) for host, route in changes.items()),
        return_exceptions=True,
    )
    failed = {
        host: result
        for host, result in zip(changes, results, strict=True)
        if isinstance(result, BaseException)
    }
    done = tuple(host for host in routes if host not in failed)
    silent = [host for host in hosts if host not in routes]
    for error in failed.values():
        if not isinstance(error, ProxyError):
            raise error
    if failed or silent:
        raise _unconfirmed(failed, silent, done, front)
    return done


def _unconfirmed(
    failed: Mapping[str, BaseException],
    silent: list[str],
    done: tuple[str, ...],
    front: Front | None,
) -> ProxyError:
    reasons = [
        f"{host}: {e.what if isinstance(e, PilotageError) else e}" for host, e in failed.items()
    ]
    reasons += [f"{host}: its edge does not answer" for host in silent]
    what = "closed" if front else "open"
    return ProxyError(
        f"not every edge is {what}: {'; '.join(reasons)}",
        state=f"it is written down that they are to be {what}; "
        f"confirmed by {', '.join(done) or 'none'}",
        next="run the command again once the host answers",
    )


# ----------------------------------------------------------------------------------------------
# The steps of a deploy with downtime
# ----------------------------------------------------------------------------------------------


async def close_edges(run: Run, step: CloseEdges) -> str | None:
    """Write down that the deploy closes the edges, unless a person has; then have every host confirm."""
    now = await run.world.store.now()
    mine = Closure(step.front, by="deploy", who=run.lease.owner, since=now)

    def close(state: DeployState) -> DeployState:
        return state if state.closure else replace(state, closure=mine)

    state = await run.world.store.update(close, token=run.token)
    hosts = await show(run.world, token=run.token, hosts=step.hosts)
    assert state.closure is not None
    run.emit(EdgesClosed(mode=state.closure.front.mode, by=state.closure.by, hosts=hosts))
    return None


async def open_edges(run: Run, step: OpenEdges) -> str | None:
    """Open what a deploy closed, or was left closed, when somebody is there to answer.

    A person's closure stays.
    """
    closure = (await run.world.store.read()).closure
    if closure is not None and closure.by != "deploy":
        return f"{closure.describe()}, and it stays on"
    await require_served(await observe(run.world), run.world, run.emit, step.hosts)
    await run.world.store.update(lambda s: replace(s, closure=None), token=run.token)
    hosts = await show(run.world, token=run.token, hosts=step.hosts)
    run.emit(EdgesOpened(hosts=hosts))
    return None


async def require_served(
    observed: Observed,
    world: World,
    emit: Emit,
    hosts: Iterable[str],
    *,
    patient: bool = False,
) -> None:
    """Refuse to open where nobody would answer: each host needs a healthy instance of a fitting release.

    ``patient``: an instance may still become healthy, within its configured limit.

    Raises
    ------
    Refused
        A host has no instance to send requests to, or one that does not fit the schema.
    Unhealthy
        None of a host's instances is healthy.
    """
    known = {instance.id: instance for instance in observed.instances}
    for host in hosts:
        route = observed.routes.get(host)
        active = [known[e.instance] for e in route.active if e.instance in known] if route else []
        if not active:
            raise Refused(
                "no instance is there to send requests to",
                where=host,
                state="the edges stay closed",
                next="`pilotage deploy` starts one; see `pilotage status`",
            )
        for instance in active:
            fit = fits(observed.ships(instance.release), observed.schema.announced)
            if not fit:
                raise Refused(
                    f"{instance.id} does not fit the schema: it {fit.describe()}",
                    where=host,
                    state="the edges stay closed",
                    next="deploy a release that fits; see `pilotage status`",
                )
        await _one_healthy(world, emit, active, patient=patient)


async def _one_healthy(
    world: World, emit: Emit, instances: list[Instance], *, patient: bool
) -> None:
    """At least one is healthy; those that are not are named."""
    sick = await _sick(world, instances, limit=0)
    if len(sick) == len(instances) and patient:
        sick = await _sick(world, instances, limit=None)
    if len(sick) == len(instances):
        error = sick[0]
        error.state = "the edges stay closed"
        raise error
    for error in sick:
        emit(Note(text=error.what, level="warning"))


async def _sick(world: World, instances: list[Instance], *, limit: float | None) -> list[Unhealthy]:
    results = await asyncio.gather(
        *(world.target.check(instance, limit=limit) for instance in instances),
        return_exceptions=True,
    )
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, Unhealthy):
            raise result
    return [result for result in results if isinstance(result, Unhealthy)]


def reminder(closure: Closure) -> str:
    """What a deploy says at its end, when the edges are still closed."""
    if closure.by == "deploy":
        return f"{closure.describe()}, which is unfinished; see `pilotage status`"
    return f"{closure.describe()}, and stays on: `{closure.ended_by}` ends it"
