"""The schema of a configuration, and the document of the Store where that is in the database."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from pilotage.audit import Table
from pilotage.config import Config, DatabaseConfig
from pilotage.errors import ConfigError, PilotageError
from pilotage.migrate.base import Engine, Schema
from pilotage.migrate.none import NoSchema
from pilotage.shell.base import Shell
from pilotage.targets.base import Document
from pilotage.wiring.first import prepared_by_image
from pilotage.wiring.frameworks import bare_engine, command_schema
from pilotage.wiring.place import Ask, Place
from pilotage.wiring.way import Urls, direct, through

if TYPE_CHECKING:
    from pilotage.config.config import BackfillConfig
    from pilotage.migrate.engines.schema import CommandSchema
    from pilotage.migrate.settings import BackfillSettings


def database_of(config: Config) -> DatabaseConfig | None:
    """The database that the migrations change, and that keeps pilotage's tables."""
    if config.migrations is None or config.migrations.database is None:
        return None
    return config.databases[config.migrations.database]


def imports_of(config: Config) -> tuple[str, ...]:
    """The modules that `open_schema` imports, which take as long as a host takes to let us in."""
    database = database_of(config)
    if database is None:
        return ()
    from pilotage.migrate.dialects import dialect_name

    try:
        name = dialect_name(database.migration_url or database.url)
    except PilotageError:
        return ()  # who opens it says what is wrong with it
    return ("pilotage.migrate.runner", f"pilotage.migrate.dialects.{name}")


async def open_schema(
    config: Config, place: Place, stack: AsyncExitStack, *, reached: bool = False
) -> tuple[Schema, Document | None, str | None, Engine | None]:
    """`open_schema_of` at a place. ``reached``: this machine reaches the database, whatever leads there else."""
    return await open_schema_of(
        config, place.host, place.shells, stack, ask=place.ask, reached=reached
    )


async def open_schema_of(
    config: Config,
    host: str,
    shells: Mapping[str, Shell],
    stack: AsyncExitStack,
    *,
    ask: Ask | None = None,
    reached: bool = False,
) -> tuple[Schema, Document | None, str | None, Engine | None]:
    """The schema, the document of the Store when that is in the database, the dialect, and whose
    migrations they are when they are not ours.

    ``host``: the primary one; ``shells``: those through which the database may be reached; ``ask``: runs a status
    command, without which nobody asks what such a one says is applied. ``reached``: none of them is needed.
    """
    database, migrations = database_of(config), config.migrations
    if database is None or migrations is None:
        engine = bare_engine(config, host) if migrations and migrations.framework else None
        unseen = engine is not None or prepared_by_image(config)
        return NoSchema(known=not unseen), None, None, engine
    from pilotage.migrate.runner import RunnerSettings, SqlSchema

    urls = direct(database) if reached else await _urls(config, database, host, shells, stack)
    in_database = config.state == "database"
    # Tokens of different Stores cannot be compared: each Store has a fence of its own.
    domain = "database" if in_database else f"target:{host}"
    schema: SqlSchema | CommandSchema
    if migrations.framework is not None:
        schema = command_schema(config, urls, host, ask, domain=domain)
    else:
        schema = SqlSchema(
            url=urls.url,
            migration_url=urls.migration_url,
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
            replicas=urls.replicas,
            domain=domain,
        )
    await stack.enter_async_context(schema)
    document = schema.document() if in_database else None
    return schema, document, schema.dialect, None if isinstance(schema, SqlSchema) else schema


async def _urls(
    config: Config,
    database: DatabaseConfig,
    primary: str,
    shells: Mapping[str, Shell],
    stack: AsyncExitStack,
) -> Urls:
    """How this machine reaches the database."""
    if database.via is None:
        return direct(database)
    host = primary if database.via == "primary" else database.via
    shell = shells.get(host)
    if shell is None:
        raise ConfigError(
            f"`via: {database.via}` is no host of the service"
            if shells
            else f"`via: {database.via}` leads through a host, and `target: {config.target}` has none",
            where=database.where,
            key=f"databases.{database.name}.via",
            next=f"`primary`, or one of: {', '.join(shells)}" if shells else "take it out",
        )
    return await through(shell, database, stack)


def audit_of(schema: Schema) -> Table | None:
    """The audit in the database; None where there is none."""
    if isinstance(schema, NoSchema):
        return None
    from pilotage.migrate.database import DatabaseSchema

    return schema.audit() if isinstance(schema, DatabaseSchema) else None


def _backfill(config: BackfillConfig) -> BackfillSettings:
    from pilotage.migrate.settings import BackfillSettings

    return BackfillSettings(**dataclasses.asdict(config))


def _is_there(path: Path | None) -> bool:
    return path is not None and path.is_file()
