"""Where the schema is, what the image ships, and which commands are servers.

A container is told by its environment. Where the image holds ``deploy.yml`` as well, that fills in what the
environment leaves open. ``PILOTAGE_…`` variables win over the file, and the file over what many tools
read (``DATABASE_URL``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pilotage.entrypoint.match import SERVERS, WORKERS
from pilotage.errors import UsageError
from pilotage.health.settings import DEFAULT_FOLDER, Settings
from pilotage.migrate.dialects import dialect_name
from pilotage.migrate.settings import RunnerSettings
from pilotage.model import Release, release_id
from pilotage.secret import Secret

if TYPE_CHECKING:
    from pilotage.config import Config
    from pilotage.migrate.migration import Migrations


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """Patterns of the main server's commands, and of those of the other long-running roles."""

    servers: tuple[str, ...] = SERVERS
    workers: tuple[str, ...] = WORKERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One service's schema, as a container of it sees it.

    ``revision``: what the release was named, or None. ``instance``: the id under which a deploy registered
    this very container. ``stream`` and ``service`` may be None for who only looks.
    """

    url: Secret
    migration_url: Secret | None = None
    service: str | None = None
    stream: str | None = None
    revision: str | None = None
    instance: str | None = None
    folder: Path = DEFAULT_FOLDER
    runner: RunnerSettings = field(default_factory=RunnerSettings)

    @property
    def dialect(self) -> str:
        """``postgresql``, ``mysql`` or ``sqlite``."""
        return dialect_name(self.url)

    def release(self, files: Migrations) -> Release:
        """The release of this image. One that nobody named is named after its migration files: images
        with the same files ship the same, which is all that the rule asks."""
        revision = self.revision
        if revision is None:
            sums = (f"{file} {file.checksum(ref.half)}" for file in files for ref in file.halves())
            revision = hashlib.sha256("\n".join(sums).encode()).hexdigest()
        return Release(release_id(revision), revision, ships=files.ships())

    def named(self) -> tuple[str, str]:
        """Service and stream, which whatever prepares has to know.

        Raises
        ------
        UsageError
            Nobody said.
        """
        if self.service is None or self.stream is None:
            raise UsageError(
                "PILOTAGE_SERVICE is not set, and no deploy.yml names the service: its name is what "
                "everything is recorded under",
                state="nothing was started",
                next="set it in the image: ENV PILOTAGE_SERVICE=shop",
            )
        return self.service, self.stream

    def settings(self, release: Release, *, url: Secret | None = None) -> Settings:
        """What a look at the schema needs."""
        return Settings(
            database=url or self.url,
            stream=self.stream,
            release=release.id,
            instance=self.instance,
            migrations=self.folder,
        )


def commands_of(
    environ: Mapping[str, str],
    config: Config | None,
    *,
    servers: tuple[str, ...] = (),
    workers: tuple[str, ...] = (),
) -> Commands:
    """Options, else the environment, else the roles of the file, else the well-known ones.

    In the file every role that takes traffic is a server, and any other role waits. One without a
    command of its own leaves that to the well-known ones.
    """
    servers = servers or _lines(environ.get("PILOTAGE_SERVER", ""))
    workers = workers or _lines(environ.get("PILOTAGE_WORKER", ""))
    if config is not None:
        roles = config.roles
        servers = servers or tuple(role.cmd for role in roles if role.traffic and role.cmd)
        workers = workers or tuple(role.cmd for role in roles if not role.traffic and role.cmd)
    return Commands(servers=servers or SERVERS, workers=workers or WORKERS)


def _lines(text: str) -> tuple[str, ...]:
    """One pattern a line, or several with ``;`` between them."""
    return tuple(line.strip() for line in text.replace(";", "\n").splitlines() if line.strip())


def place_of(environ: Mapping[str, str], config: Config | None) -> Place:
    """The place that the environment and the file describe.

    Raises
    ------
    UsageError
        No database is named, or its migrations belong to another engine.
    SecretMissing
        The file names a secret that nothing has a value for.
    """
    url, migration_url = Secret(environ.get("DATABASE_URL", "")), None
    service = stream = None
    folder, runner = DEFAULT_FOLDER, RunnerSettings()
    if config is not None:
        service = config.service
        migrations = config.migrations
        if migrations is not None and migrations.database is not None:
            if migrations.engine != "sql":
                raise UsageError(
                    f"`engine: {migrations.engine}` is not run from an entrypoint: only the "
                    "built-in SQL engine is",
                    where=str(config.path),
                    next="deploy with `pilotage deploy`, which runs it once, before the rollout",
                )
            database = config.databases[migrations.database]
            url, migration_url = database.url, database.migration_url
            stream, folder = migrations.stream, migrations.path
            runner = RunnerSettings(
                lock_timeout=migrations.lock_timeout,
                timeout=migrations.timeout,
                schema_file=_existing(migrations.schema),
                seed_file=migrations.seed,
            )
    if given := environ.get("PILOTAGE_MIGRATION_URL"):
        migration_url = Secret(given)
    if not url:
        raise UsageError(
            "DATABASE_URL is not set, and no deploy.yml names a database",
            state="nothing was started",
            next="set DATABASE_URL, or name the database under `databases:`",
        )
    service = environ.get("PILOTAGE_SERVICE") or service
    place = Place(
        url=url,
        migration_url=migration_url,
        service=service,
        stream=environ.get("PILOTAGE_STREAM") or stream or service,
        revision=environ.get("PILOTAGE_RELEASE") or environ.get("KAMAL_VERSION") or None,
        instance=environ.get("PILOTAGE_INSTANCE") or None,
        folder=Path(environ.get("PILOTAGE_MIGRATIONS") or folder),
        runner=runner,
    )
    schema, seed = environ.get("PILOTAGE_SCHEMA"), environ.get("PILOTAGE_SEED")
    if schema or seed:
        files = replace(
            runner,
            schema_file=_existing(Path(schema)) if schema else runner.schema_file,
            seed_file=Path(seed) if seed else runner.seed_file,
        )
        place = replace(place, runner=files)
    return place


def _existing(path: Path | None) -> Path | None:
    """Before the first dump there is no schema file yet: a database then begins with the migrations."""
    return path if path is not None and path.is_file() else None
