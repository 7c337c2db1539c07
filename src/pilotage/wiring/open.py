"""Config → an open `Project`: the four ports of a `World`, and how the service should look."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib import import_module
from pathlib import Path

from pilotage.audit import Audit
from pilotage.config import Config
from pilotage.errors import ConfigError
from pilotage.events import Emit
from pilotage.hooks import Hooks, none
from pilotage.observe import World
from pilotage.plan import Policy, Rolling
from pilotage.run import begun
from pilotage.source import GitSource
from pilotage.store import Store
from pilotage.verdict import Limits
from pilotage.wiring.database import audit_of, database_of, imports_of, open_schema
from pilotage.wiring.first import first_alone, hints
from pilotage.wiring.frameworks import learn
from pilotage.wiring.place import Opening
from pilotage.wiring.project import Project
from pilotage.wiring.use import Use

STATE_DIR = ".pilotage"


@asynccontextmanager
async def open_project(
    config: Config,
    *,
    emit: Emit,
    use: Use,
    hooks: Hooks | None = None,
    selected: Collection[str] | None = None,
) -> AsyncIterator[Project]:
    """The project of a configuration; its database sessions are closed at the end.

    ``hooks``: the programs that are steps of a deploy; None: there are none. ``selected``: the hosts that are
    acted on, so that others need not answer; None: all of them.

    Raises
    ------
    ConfigError
        It asks for what this version cannot do, or (to plan and to act) lacks a secret.
    """
    _supported(config)
    state_dir = state_dir_of(config)
    source = GitSource(root=config.root, state_dir=state_dir)
    async with AsyncExitStack() as stack:
        opening = _opening(config, use, selected)
        modules = imports_of(config)
        async with begun(asyncio.to_thread(lambda: [*map(import_module, modules)])):
            place = await stack.enter_async_context(opening(config, source, emit=emit, use=use))
        schema, document, dialect, engine = await open_schema(
            config, place, stack, reached=use is Use.DATABASE
        )
        project = Project(
            config=config,
            use=use,
            world=World(
                target=place.target,
                proxy=place.proxy,
                schema=schema,
                store=Store(document or place.target.state, floor=place.target.highest),
                engine=engine,
                hooks=hooks or none(config.root),
            ),
            place=place,
            source=source,
            policy=_policy(config),
            emit=emit,
            audit=Audit(place.audit, audit_of(schema), emit),
            dialect=dialect,
            notes=(*_notes(config, use), *hints(config), *place.notes),
        )
        if engine is not None:
            await learn(project)
        yield project


def _opening(config: Config, use: Use, selected: Collection[str] | None) -> Opening:
    """What opens the place of a target; what a target needs is imported for it alone."""
    if use is Use.DATABASE:
        from pilotage.wiring.apart import open_apart

        return open_apart
    if config.target == "local":
        from pilotage.wiring.local import open_local

        return open_local
    from pilotage.wiring.docker import open_docker

    return partial(open_docker, selected=selected)


def state_dir_of(config: Config) -> Path:
    """``.pilotage/`` beside the configuration; a destination has a directory of its own in it."""
    state_dir = config.root / STATE_DIR
    return state_dir / "destinations" / config.destination if config.destination else state_dir


def _supported(config: Config) -> None:
    """Refuse what the configuration may say and this version does not do yet."""
    where = str(config.path)
    if config.target == "kubernetes":
        raise ConfigError(
            "`target: kubernetes` is not built yet in this version of pilotage",
            where=where,
            key="target",
            next="`target: docker` runs the service on hosts, `target: local` on this machine",
        )


def _notes(config: Config, use: Use) -> tuple[str, ...]:
    """What a plan does not know that was made without running a command."""
    uncertain = use in (Use.PLAN, Use.ACT) and not all(
        config.digest_is_certain(role.name) for role in config.roles
    )
    if not uncertain:
        return ()
    commands = "; ".join(config.not_run)
    return (
        f"values of the configuration come from commands that were not run ({commands}), so "
        "every instance looks as if it had to be replaced; --allow-erb-commands runs them",
    )


def _policy(config: Config) -> Policy:
    migrations, database, rollout = config.migrations, database_of(config), config.rollout
    return Policy(
        contract=migrations.contract if migrations else "next",
        soak=migrations.soak if migrations else 0.0,
        drain=config.drain_timeout,
        consumers=config.consumers,
        replicas=len(database.written_replicas) if database else 0,
        verify=rollout.verify,
        canary=rollout.canary,
        step=rollout.step,
        first=first_alone(config),
        limits=Limits(
            max_error_rate=rollout.max_error_rate,
            max_p99_ratio=rollout.max_p99_ratio,
            min_requests=rollout.min_requests,
        ),
        rolling=Rolling(rollout.limit or "1", rollout.wait)
        if rollout.strategy == "rolling"
        else None,
    )
