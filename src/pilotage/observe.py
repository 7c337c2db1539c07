"""Gathers `Observed` from a target, a proxy, a schema and a store.

The order of the questions is part of the rule. An instance is recorded on its host before it
registers in the schema, so the schema is asked *before* the target: a registration whose host answers
and does not know the instance is then a ghost for certain. And what a contract half must prove, it
proves by an observation made after its intents were written (`pilotage.deploy`).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from pilotage.hooks import Hooks, none
from pilotage.migrate.base import Engine, Schema
from pilotage.model import Observed
from pilotage.proxy.base import Proxy
from pilotage.store import Store
from pilotage.targets.base import Target


@dataclass(frozen=True, slots=True)
class World:
    """The ports through which pilotage sees and changes anything.

    ``engine`` is there where the migrations are a framework's own, run by its own command. ``hooks``: the
    project's programs that are steps of a deploy.
    """

    target: Target
    proxy: Proxy
    schema: Schema
    store: Store
    engine: Engine | None = None
    hooks: Hooks = field(default_factory=none)


async def observe(world: World, *, token: int | None = None) -> Observed:
    """What is, now. ``token``: with authority, as `pilotage.targets.base.Target.observe` and the proxy's have it."""
    state = await world.store.read()
    schema = await world.schema.view()
    view, routes = await asyncio.gather(
        world.target.observe(token=token), world.proxy.observe(token=token)
    )
    return Observed(
        state=state, hosts=view.hosts, instances=view.instances, routes=routes, schema=schema
    )


async def without_database(world: World) -> Observed:
    """What the target and the proxy show, when the schema or the store cannot be asked.

    Nothing may be decided by it: it knows neither what is wanted nor what fits.
    """
    routes = await world.proxy.observe()
    view = await world.target.observe()
    return Observed(hosts=view.hosts, instances=view.instances, routes=routes)
