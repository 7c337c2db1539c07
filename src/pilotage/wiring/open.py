"""Config → the four ports of a `World`, for ``target: local``."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pilotage.config import Config, DatabaseConfig, RoleConfig
from pilotage.errors import ConfigError
from pilotage.events import Emit
from pilotage.host.fence import Fence
from pilotage.migrate.base import Engine, Schema
from pilotage.migrate.none import NoSchema
from pilotage.model import Role
from pilotage.observe import World
from pilotage.plan import Layout, Policy
from pilotage.proxy.envoy import EnvoyProxy, EnvoySettings
from pilotage.secret import Secret
from pilotage.source import GitSource
from pilotage.store import Store
from pilotage.targets.base import Document
from pilotage.targets.local import (
    AliveHealth,
    CommandHealth,
    Health,
    HttpHealth,
    LocalPrepare,
    LocalRole,
    LocalService,
    LocalTarget,
    default_host,
)
from pilotage.verdict import Limits
from pilotage.wiring.frameworks import bare_engine, command_schema, learn
from pilotage.wiring.project import Project, Use

if TYPE_CHECKING:
    from pilotage.config.config import BackfillConfig
    from pilotage.migrate.engines.schema import CommandSchema
    from pilotage.migrate.settings import BackfillSettings

STATE_DIR = ".pilotage"


@asynccontextmanager
async def open_project(config: Config, *, emit: Emit, use: Use) -> AsyncIterator[Project]:
    """The project of a configuration; its database sessions are closed at the end.

    Raises
    ------
    ConfigError
        It asks for what this version cannot do, or (to plan and to act) lacks a secret.
    """
    _supported(config)
    state_dir = state_dir_of(config)
    host = _host(state_dir, use)
    async with AsyncExitStack() as stack:
        schema, document, dialect, engine = await _schema(config, host, stack)
        source = GitSource(root=config.root, state_dir=state_dir)
        target = LocalTarget(_service(config, state_dir, host, use), source, emit)
        settings = EnvoySettings(
            state_dir=state_dir, host=host, port=config.proxy.port, service=config.service
        )
        project = Project(
            config=config,
            use=use,
            world=World(
                target=target,
                proxy=EnvoyProxy(settings, emit),
                schema=schema,
                store=Store(document or target.state, floor=Fence(state_dir).highest),
                engine=engine,
            ),
            target=target,
            source=source,
            layout=_layout(config, host, use),
            policy=_policy(config),
            emit=emit,
            dialect=dialect,
            notes=_notes(config, use, state_dir),
        )
        if engine is not None:
            await learn(project)
        yield project


def state_dir_of(config: Config) -> Path:
    """``.pilotage/`` beside the configuration; a destination has a directory of its own in it."""
    state_dir = config.root / STATE_DIR
    return state_dir / "destinations" / config.destination if config.destination else state_dir


def _host(state_dir: Path, use: Use) -> str:
    """This machine's name; only a verb that acts writes it down."""
    if use is Use.ACT or (state_dir / "host").exists():
        return default_host(state_dir)
    return socket.gethostname()


# ----------------------------------------------------------------------------------------------
# What this version can do
# ----------------------------------------------------------------------------------------------


def _supported(config: Config) -> None:
    """Refuse what the configuration may say and this version does not do yet."""
    where = str(config.path)
    if config.target != "local":
        raise ConfigError(
            f"`target: {config.target}` is not built yet in this version of pilotage",
            where=where,
            key="target",
            next="`target: local` runs the service as processes of this machine",
        )
    traffic = [role.name for role in config.roles if role.traffic]
    if len(traffic) > 1:
        raise ConfigError(
            f"`target: local` has one edge, and {len(traffic)} roles ask for traffic: "
            f"{', '.join(traffic)}",
            where=where,
            key="servers",
            next=f"set `proxy: false` on all but one (the primary role is {config.primary})",
        )
    if config.proxy.ssl:
        raise ConfigError(
            "`proxy.ssl` is not built yet for `target: local`",
            where=where,
            key="proxy.ssl",
            next="set `ssl: false`, and end HTTPS in front of the edge",
        )
    migrations = config.migrations
    if migrations and migrations.run != "direct":
        raise ConfigError(
            f"`migrations.run: {migrations.run}` is not built yet in this version",
            where=where,
            key="migrations.run",
            next="`run: direct` is the one that is",
        )
    if config.rollout.strategy != "fleet":
        raise ConfigError(
            f"`rollout.strategy: {config.rollout.strategy}` is not built yet in this version",
            where=where,
            key="rollout.strategy",
            next="take `strategy` out: the whole fleet is switched at once",
        )


def _notes(config: Config, use: Use, state_dir: Path) -> tuple[str, ...]:
    """What a plan does not know that was made without running a command or writing a file."""
    if use is Use.LOOK:
        return ()
    notes = []
    if not all(config.digest_is_certain(role.name) for role in config.roles):
        commands = "; ".join(config.not_run)
        notes.append(
            f"values of the configuration come from commands that were not run ({commands}), so "
            "every instance looks as if it had to be replaced; --allow-erb-commands runs them"
        )
    if not (state_dir / "host").exists():
        notes.append(
            "the first deploy from here gives this machine its name in the inventory, so its plan "
            "will have another fingerprint than this one"
        )
    return tuple(notes)


# ----------------------------------------------------------------------------------------------
# The database
# ----------------------------------------------------------------------------------------------


def database_of(config: Config) -> DatabaseConfig | None:
    """The database that the migrations change, and that keeps pilotage's tables."""
    if config.migrations is None or config.migrations.database is None:
        return None
    return config.databases[config.migrations.database]


async def _schema(
    config: Config, host: str, stack: AsyncExitStack
) -> tuple[Schema, Document | None, str | None, Engine | None]:
    """The schema, the document of the Store when that is in the database, the dialect, and whose
    migrations they are when they are not ours."""
    database, migrations = database_of(config), config.migrations
    if database is None or migrations is None:
        engine = bare_engine(config, host) if migrations and migrations.framework else None
        return NoSchema(known=engine is None), None, None, engine
    from pilotage.migrate.runner import RunnerSettings, SqlSchema

    in_database = config.state == "database"
    # Tokens of different Stores cannot be compared: each Store has a fence of its own.
    domain = "database" if in_database else f"target:{host}"
    schema: SqlSchema | CommandSchema
    if migrations.framework is not None:
        schema = command_schema(config, database, host, domain=domain)
    else:
        schema = SqlSchema(
            url=database.url,
            migration_url=database.migration_url,
            stream=migrations.stream,
            service=config.service,
            settings=RunnerSettings(
                lock_timeout=migrations.lock_timeout,
                timeout=migrations.timeout,
                backfill=_backfill(migrations.backfill),
                # Before the first dump there is none yet: a database then begins with the migrations.
                schema_file=migrations.schema if _is_there(migrations.schema) else None,
                seed_file=migrations.seed,
            ),
            replicas=database.replicas,
            domain=domain,
        )
    await stack.enter_async_context(schema)
    document = schema.document() if in_database else None
    return schema, document, schema.dialect, None if isinstance(schema, SqlSchema) else schema


def _backfill(config: BackfillConfig) -> BackfillSettings:
    from pilotage.migrate.settings import BackfillSettings

    return BackfillSettings(**dataclasses.asdict(config))


def _is_there(path: Path | None) -> bool:
    return path is not None and path.is_file()


# ----------------------------------------------------------------------------------------------
# The target
# ----------------------------------------------------------------------------------------------


def _service(config: Config, state_dir: Path, host: str, use: Use) -> LocalService:
    roles = {role.name: _role(config, role, use) for role in config.roles}
    prepare = None
    if config.local.prepare:
        prepare = LocalPrepare(config.local.prepare, _env(config, config.primary, use))
    return LocalService(config.service, state_dir, host, roles, prepare)


def _env(config: Config, role: str, use: Use) -> Mapping[str, str | Secret]:
    """The environment of a role; not asked for where nothing is going to be started."""
    return {} if use is Use.LOOK else config.env(role)


def _role(config: Config, role: RoleConfig, use: Use) -> LocalRole:
    return LocalRole(
        cmd=role.cmd or "",
        env=_env(config, role.name, use),
        traffic=role.traffic,
        stop_timeout=role.stop_timeout,
        health=_health(config, role),
    )


def _health(config: Config, role: RoleConfig) -> Health:
    if role.traffic:
        check = role.proxy.healthcheck
        return HttpHealth(
            path=check.path,
            host=check.host,
            status=check.status,
            interval=check.interval,
            timeout=check.timeout,
            limit=config.deploy_timeout,
        )
    health = role.health
    if health.cmd:
        return CommandHealth(
            health.cmd,
            interval=health.interval,
            timeout=health.timeout,
            limit=config.deploy_timeout,
        )
    return AliveHealth(health.delay)


def _layout(config: Config, host: str, use: Use) -> Layout:
    roles = tuple(
        Role(
            name=role.name,
            hosts=(host,),
            instances=role.instances,
            traffic=role.traffic,
            overlap=role.overlap,
        )
        for role in config.roles
    )
    digests = {} if use is Use.LOOK else {r.name: config.digest(r.name) for r in config.roles}
    return Layout(config.service, roles, digests)


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
        limits=Limits(
            max_error_rate=rollout.max_error_rate,
            max_p99_ratio=rollout.max_p99_ratio,
            min_requests=rollout.min_requests,
        ),
    )
