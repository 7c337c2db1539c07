"""Who gets new requests: the switch, the way back from one that failed, and the draining after it.

Every route that comes into force here has the front that the deploy state wants (`pilotage.edges`): a
switch moves the requests behind it, and never opens an edge that is closed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace

from pilotage.edges import wanted_front
from pilotage.errors import EdgeUnreachable, LeaseLost, PilotageError, ProxyError, Unhealthy
from pilotage.events import Drained, Note, Switched
from pilotage.model import Endpoint, Instance, Kind, Route
from pilotage.record import mark_switched
from pilotage.run import Run, begun, judge, together
from pilotage.steps import Canary, Switch
from pilotage.watch import begin, watch


async def switch(run: Run, step: Switch) -> str:
    """Send new requests to the new instances on every host; if one does not confirm, switch back."""
    async with begun(require_fitting(run)) as fitting:
        addresses, before = await addresses_and_routes(run)
        await fitting
    hosts = tuple(dict.fromkeys(instance.host for instance in step.instances))
    require_answers(hosts, before)
    routes = {host: new_route(step, host, before[host], addresses) for host in hosts}
    # Beside what each edge is given first: the answers are waited for before any route comes into force.
    async with begun(healthy_now(run, *step.instances)) as healthy:
        moments = await apply_routes(run, routes, before, healthy)
    skew = (max(moments) - min(moments)) * 1000 if moments else 0.0
    if not step.rest:
        await mark_switched(run)
    run.emit(Switched(release=step.release, hosts=tuple(routes), skew_ms=skew, rest=step.rest))
    return f"confirmed by {len(routes)} host(s) within {skew:.1f} ms" if len(routes) > 1 else ""


async def canary(run: Run, step: Canary) -> str:
    """Give the new instances their share on every host that serves, and watch how they answer."""
    await ready_to_switch(run, step)
    addresses, before = await addresses_and_routes(run)
    routes = {
        host: trial_route(step, host, before[host], addresses)
        for host in dict.fromkeys(i.host for i in step.instances)
        if host in before and before[host].active
    }
    start = await begin(run, step)
    await apply_routes(run, routes, before)
    return await watch(run, step, start)


async def addresses_and_routes(run: Run) -> tuple[dict[str, str | None], dict[str, Route]]:
    """Where every living instance listens, and the routes in force."""
    view, routes = await asyncio.gather(run.world.target.observe(), run.world.proxy.observe())
    return {i.id: i.address for i in view.instances if i.alive}, dict(routes)


def require_answers(hosts: tuple[str, ...], routes: Mapping[str, Route]) -> None:
    """Raise `EdgeUnreachable` when an edge does not say what it does: there would be no way back from there."""
    silent = [host for host in hosts if host not in routes]
    if silent:
        raise EdgeUnreachable(
            "the edge does not answer, so nothing was switched anywhere",
            where=", ".join(silent),
            state="no request was moved",
            next="see that the host and its edge are up; then run the command again",
        )


async def ready_to_switch(run: Run, step: Canary) -> None:
    """Right before requests are sent there: the release fits the schema, and every new instance is healthy."""
    await require_fitting(run)
    await healthy_now(run, *step.instances)


async def require_fitting(run: Run) -> None:
    """Raise `Misfit` when the release does not fit the schema as it is now."""
    schema = await run.world.schema.view()
    judge(run.plan.release, schema.announced)


async def healthy_now(run: Run, *instances: Instance) -> None:
    """Ask each once."""

    async def one(instance: Instance) -> None:
        await run.world.target.check(instance, limit=0)

    await together(one(instance) for instance in instances)


def new_route(step: Switch, host: str, before: Route, addresses: dict[str, str | None]) -> Route:
    """The route of a host after the switch: new instances active, living old ones draining."""
    active = endpoints(step, host, addresses)
    draining = drained(before.endpoints, active, addresses)
    return replace(before, active=active, draining=draining, trial=(), share=0.0)


def trial_route(step: Canary, host: str, before: Route, addresses: dict[str, str | None]) -> Route:
    """The route of a host in a canary. What was on trial before, and is not now, drains."""
    trial = endpoints(step, host, addresses)
    draining = drained((*before.trial, *before.draining), (*before.active, *trial), addresses)
    return replace(before, draining=draining, trial=trial, share=step.share)


def endpoints(
    step: Switch | Canary, host: str, addresses: dict[str, str | None]
) -> tuple[Endpoint, ...]:
    """Where the instances of a step listen on a host."""
    found = []
    for instance in step.instances:
        if instance.host != host:
            continue
        address = addresses.get(instance.id)
        if address is None:
            raise Unhealthy(f"{instance.id} was gone just before the switch", where=host)
        found.append(Endpoint(instance.id, instance.release, address))
    return tuple(found)


def drained(
    old: tuple[Endpoint, ...], kept: tuple[Endpoint, ...], addresses: dict[str, str | None]
) -> tuple[Endpoint, ...]:
    """Those of the old endpoints that live, and get no new request any more."""
    stay = {endpoint.instance for endpoint in kept}
    return tuple(
        e for e in dict.fromkeys(old) if e.instance not in stay and e.instance in addresses
    )


class _NotAlone(ProxyError):
    """A host did not switch because another one could not, or an instance is not healthy."""


async def apply_routes(
    run: Run,
    routes: dict[str, Route],
    before: dict[str, Route],
    condition: asyncio.Future[None] | None = None,
) -> list[float]:
    """Apply on all hosts at once; a host that fails takes every host back to where it was.

    Each host first puts in force what its route needs; the routes follow when all have. So a host that
    refuses, or is lost, before that keeps every one from switching, and the rest is one file a host.
    ``condition``: the routes wait for it as well; what it raises is raised, and keeps every host from
    switching. A route that is in force already is not applied again. Returns when each host confirmed.
    """
    proxy, front = run.world.proxy, await wanted_front(run.world)
    fronted = {host: replace(route, front=front) for host, route in routes.items()}
    changes = {host: route for host, route in fronted.items() if before.get(host) != route}
    everyone = asyncio.Barrier(max(len(changes), 1))

    async def ready() -> None:
        if condition is not None:
            await asyncio.wait({condition})
            if condition.exception() is not None:
                raise _NotAlone("a new instance is not healthy")
        try:
            await everyone.wait()
        except asyncio.BrokenBarrierError as broken:
            raise _NotAlone("another host was not ready to switch") from broken

    async def one(host: str, route: Route) -> float:
        try:
            return await proxy.apply(host, route, token=run.token, ready=ready)
        except BaseException:
            await everyone.abort()
            raise

    results = await asyncio.gather(
        *(one(host, route) for host, route in changes.items()), return_exceptions=True
    )
    failures = [result for result in results if isinstance(result, BaseException)]
    if condition is not None and not any(isinstance(it, LeaseLost) for it in failures):
        await condition
    if not failures:
        return [result for result in results if isinstance(result, float)]
    # A lost lease is the whole truth: whoever has it now changes the routes.
    failure = min(failures, key=lambda it: (not isinstance(it, LeaseLost), type(it) is _NotAlone))
    if isinstance(failure, PilotageError) and not isinstance(failure, LeaseLost):
        failure.state = await restore_routes(run, {host: before[host] for host in changes})
    raise failure


async def restore_routes(run: Run, before: Mapping[str, Route]) -> str:
    """Put the old routes back where they are not in force, on all hosts at once.

    Says where that is not certain: a host that does not answer may have switched.
    """
    now, front = await run.world.proxy.observe(), await wanted_front(run.world)
    wanted = {host: replace(old, front=front or old.front) for host, old in before.items()}
    changes = {host: route for host, route in wanted.items() if now.get(host) != route}
    results = await asyncio.gather(
        *(run.world.proxy.apply(host, route, token=run.token) for host, route in changes.items()),
        return_exceptions=True,
    )
    unsure = []
    for host, result in zip(changes, results, strict=True):
        if isinstance(result, PilotageError):
            unsure.append(host)
        elif isinstance(result, BaseException):
            raise result
    if unsure:
        return (
            f"whether {', '.join(unsure)} switched is unknown; every other host has its old route"
        )
    return "every host has its old route"


async def drain(run: Run, instances: tuple[Instance, ...], limit: float) -> str | None:
    """Send old instances no new request, wait for those in flight, then take them out of the route."""
    routes, wanted = await run.world.proxy.observe(), await wanted_front(run.world)
    ids = {instance.id for instance in instances}
    served = {instance.host for instance in instances if instance.kind is Kind.TRAFFIC}
    left_over = [
        f"the edge of {host} does not answer, so what is in flight there is not known"
        for host in sorted(served - routes.keys())
    ]

    async def one(host: str, route: Route) -> None:
        front = wanted or route.front  # nobody looked who would answer, were it opened here
        draining = tuple(e for e in route.endpoints if e.instance in ids)
        keep = tuple(e for e in route.draining if e.instance not in ids)
        active = tuple(e for e in route.active if e.instance not in ids)
        trial = tuple(e for e in route.trial if e.instance not in ids)
        share = route.share if trial else 0.0
        left = replace(route, active=active, trial=trial, share=share, front=front)
        if (active, trial) != (route.active, route.trial):
            shut = replace(left, draining=(*keep, *draining))
            await run.world.proxy.apply(host, shut, token=run.token)
        if draining:
            began = time.monotonic()
            busy = await run.world.proxy.drain(host, draining, limit=limit)
            run.emit(Drained(host=host, seconds=time.monotonic() - began, left=busy))
            if busy:
                left_over.append(f"{busy} request(s) still in flight on {host} after {limit:g} s")
            await run.world.proxy.apply(host, replace(left, draining=keep), token=run.token)

    await together(one(host, route) for host, route in routes.items())
    for line in left_over:
        run.emit(Note(text=line, level="warning"))
    return "; ".join(left_over) or None
