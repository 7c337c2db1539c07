"""Who gets new requests: the switch, the way back from one that failed, and the draining after it.

Every route that comes into force here has the front that the deploy state wants (`pilotage.edges`): a
switch moves the requests behind it, and never opens an edge that is closed.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from pilotage.edges import wanted_front
from pilotage.errors import ProxyError, Unhealthy
from pilotage.events import Drained, Note, Switched
from pilotage.model import Endpoint, Instance, Route
from pilotage.record import mark_switched
from pilotage.run import Run, judge, together
from pilotage.steps import Switch


async def switch(run: Run, step: Switch) -> str:
    """Send new requests to the new instances on every host; if one does not confirm, switch back."""
    await ready_to_switch(run, step)
    view = await run.world.target.observe()
    before = dict(await run.world.proxy.observe())
    addresses = {i.id: i.address for i in view.instances if i.alive}
    routes = {
        host: new_route(step, host, before.get(host, Route()), addresses)
        for host in dict.fromkeys(i.host for i in step.instances)
    }
    moments = await apply_routes(run, routes, before)
    skew = (max(moments) - min(moments)) * 1000 if moments else 0.0
    await mark_switched(run)
    run.emit(Switched(release=step.release, hosts=tuple(routes), skew_ms=skew))
    return f"confirmed by {len(routes)} host(s) within {skew:.1f} ms" if len(routes) > 1 else ""


async def ready_to_switch(run: Run, step: Switch) -> None:
    """Right before the switch: the release fits the schema, and every new instance is healthy."""
    schema = await run.world.schema.view()
    judge(run.plan.release, schema.announced)
    await together(healthy_now(run, instance) for instance in step.instances)


async def healthy_now(run: Run, instance: Instance) -> None:
    """Ask once."""
    await run.world.target.check(instance, limit=0)


def new_route(step: Switch, host: str, before: Route, addresses: dict[str, str | None]) -> Route:
    """The route of a host after the switch: new instances active, living old ones draining."""
    active = []
    for instance in step.instances:
        if instance.host != host:
            continue
        address = addresses.get(instance.id)
        if address is None:
            raise Unhealthy(f"{instance.id} was gone just before the switch", where=host)
        active.append(Endpoint(instance.id, instance.release, address))
    new = {endpoint.instance for endpoint in active}
    old = dict.fromkeys((*before.active, *before.draining))
    draining = tuple(e for e in old if e.instance not in new and e.instance in addresses)
    return Route(active=tuple(active), draining=draining)


async def apply_routes(run: Run, routes: dict[str, Route], before: dict[str, Route]) -> list[float]:
    """Apply on all hosts at once; a host that fails takes every host back to where it was.

    A route that is in force already is not applied again. Returns when each host confirmed.
    """
    proxy, front = run.world.proxy, await wanted_front(run.world)
    fronted = {host: replace(route, front=front) for host, route in routes.items()}
    changes = {host: route for host, route in fronted.items() if before.get(host) != route}
    results = await asyncio.gather(
        *(proxy.apply(host, route, token=run.token) for host, route in changes.items()),
        return_exceptions=True,
    )
    failures = [result for result in results if isinstance(result, BaseException)]
    if not failures:
        return [result for result in results if isinstance(result, float)]
    failure = failures[0]
    if isinstance(failure, ProxyError):
        failure.state = await restore_routes(run, {h: before.get(h, Route()) for h in changes})
    raise failure


async def restore_routes(run: Run, before: dict[str, Route]) -> str:
    """Put the old routes back where they are not in force; says where that is not certain."""
    unsure = []
    now, front = await run.world.proxy.observe(), await wanted_front(run.world)
    for host, old in before.items():
        route = replace(old, front=front or old.front)
        if now.get(host, Route()) == route:
            continue
        try:
            await run.world.proxy.apply(host, route, token=run.token)
        except ProxyError:
            unsure.append(host)
    if unsure:
        return f"whether {', '.join(unsure)} switched is unknown"
    return "every host has its old route"


async def drain(run: Run, instances: tuple[Instance, ...], limit: float) -> str | None:
    """Send old instances no new request, wait for those in flight, then take them out of the route."""
    routes, wanted = await run.world.proxy.observe(), await wanted_front(run.world)
    ids = {instance.id for instance in instances}
    left_over: list[str] = []

    async def one(host: str, route: Route) -> None:
        front = wanted or route.front  # nobody looked who would answer, were it opened here
        every = (*route.active, *route.draining)
        draining = tuple(e for e in every if e.instance in ids)
        active = tuple(e for e in route.active if e.instance not in ids)
        keep = tuple(e for e in route.draining if e.instance not in ids)
        if active != route.active:
            shut = replace(route, active=active, draining=(*keep, *draining), front=front)
            await run.world.proxy.apply(host, shut, token=run.token)
        if draining:
            began = time.monotonic()
            left = await run.world.proxy.drain(host, draining, limit=limit)
            run.emit(Drained(host=host, seconds=time.monotonic() - began, left=left))
            if left:
                left_over.append(f"{left} request(s) still in flight on {host} after {limit:g} s")
        if draining:
            without = replace(route, active=active, draining=keep, front=front)
            await run.world.proxy.apply(host, without, token=run.token)

    await together(one(host, route) for host, route in routes.items())
    for line in left_over:
        run.emit(Note(text=line, level="warning"))
    return "; ".join(left_over) or None
