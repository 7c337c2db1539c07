"""What a detached run on a Docker host is given: an image with pilotage in it, the files, the URLs.

Its container has no key to any host, no secret but the URLs of the database, and none of the role's
environment. So it gets a configuration of its own, with what the run of a half needs.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from pilotage.config import Config, DatabaseConfig
from pilotage.detached import job
from pilotage.errors import CommandFailed, ConfigError, UsageError
from pilotage.events import Emit
from pilotage.image import Delivery, local_port
from pilotage.model import Half, HalfRef, Instance
from pilotage.secret import Secret
from pilotage.shell.base import Shell
from pilotage.targets.base import Job
from pilotage.targets.docker.names import job_name
from pilotage.wiring.database import database_of
from pilotage.wiring.images import login_of
from pilotage.wiring.project import Project

FOLDER = "/pilotage"
"""Where a container finds its project."""

_CONFIG = "config/deploy.yml"
_URL, _MIGRATION_URL, _REPLICA_URL = "RUN_DATABASE_URL", "RUN_MIGRATION_URL", "RUN_REPLICA_URL_"
_OFF = ("replication_lag", "lock_wait", "long_transaction", "dead_rows")
_NOT_THERE = frozenset({"image", "schema", "seed", "database", "path", "stream"})


@dataclass(frozen=True, slots=True)
class HostRun:
    """A detached run in a container on ``host``. ``files``: of its project, by their paths in it."""

    host: str
    shell: Shell
    job: Job
    files: Mapping[str, bytes]
    docker: str = "docker"

    async def hand_over(self) -> None:
        """Put the files into its container, which is there and does not run yet.

        Raises
        ------
        HostError
            Docker would not take them.
        """
        name = job_name(self.job.instance)
        await self.shell.run((self.docker, "cp", "-", f"{name}:/"), input=tar_of(self.files))


def host_of(config: Config, first: str) -> str:
    """The host that a detached run gets: the one that leads to the database, else the ``first``."""
    database = database_of(config)
    via = database.via if database else None
    return first if via in (None, "primary") else via


def require_runnable(config: Config, ref: HalfRef, *, instead: str) -> str:
    """The image for a detached run of a half on Docker hosts. ``instead``: runs it in a terminal.

    Raises
    ------
    ConfigError
        None is configured, or the deploy lock is kept on a host, which a container has no key to.
    UsageError
        It is a contract half, whose proof is a look at every host.
    """
    nothing = "nothing was begun"
    stays = f"start `{instead}` in tmux or screen, on a machine that stays on"
    if ref.half is Half.CONTRACT:
        raise UsageError(
            "a contract half must look at every host, and a container of ours has no key to any",
            state=nothing,
            next=f"{stays}; when it is cut off, the same command goes on where it was",
        )
    image = config.migrations.image if config.migrations else None
    if image is None:
        raise ConfigError(
            "on a Docker host a detached run is a container with pilotage in it, and the "
            "configuration names no image for it",
            where=str(config.path),
            key="migrations.image",
            state=nothing,
            next=f"name one (`pip install pilotage` on any Python image makes it); or {stays}",
        )
    if config.state == "target":
        raise ConfigError(
            "the deploy lock is kept on a host, which a detached run has no key to",
            where=str(config.path),
            key="state",
            state=nothing,
            next=f"set `state: database`; or {stays}",
        )
    return image


async def host_run(
    project: Project,
    instance: Instance,
    ref: HalfRef,
    sha: str,
    *,
    image: str,
    options: tuple[str, ...],
) -> HostRun:
    """A detached run of a half as it is in a commit. ``options``: of its ``migrate run``.

    Raises
    ------
    SecretMissing
        A URL of the database has no value.
    """
    config = project.config
    database, migrations = database_of(config), config.migrations
    assert database is not None
    assert migrations is not None
    found = await project.source.read_folder(sha, migrations.folder) or {}
    files = {
        str(PurePosixPath(migrations.folder) / name): data
        for name, data in found.items()
        if name.endswith(".sql")
    }
    files[_CONFIG] = json.dumps(configuration(config, database), indent=2).encode()
    command = ("pilotage", "migrate", "run", str(ref), "--no-hosts", *options)
    return HostRun(
        instance.host,
        project.place.shells[instance.host],
        job(instance, sha, command, folder=FOLDER, env=_urls(database), image=image),
        files,
    )


def configuration(config: Config, database: DatabaseConfig) -> dict[str, Any]:
    """What ``deploy.yml`` says in the container: how halves run, and where the database is."""
    assert config.migrations is not None
    section: dict[str, Any] = {}
    if config.file.migrations is not None:
        written = config.file.migrations.model_dump(mode="json", by_alias=True, exclude_unset=True)
        section = {key: value for key, value in written.items() if key not in _NOT_THERE}
    if "backfill" in section:
        # What is `off` is read as None, and so is what has no value.
        section["backfill"] = {
            key: "off" if value is None else value
            for key, value in section["backfill"].items()
            if value is not None or key in _OFF
        }
    urls: dict[str, Any] = {"url": _URL}
    if database.written_migration_url is not None:
        urls["migration_url"] = _MIGRATION_URL
    if database.written_replicas:
        urls["replicas"] = [f"{_REPLICA_URL}{n}" for n, _ in enumerate(database.written_replicas)]
    return {
        "service": config.service,
        "image": config.image,
        # Asked for with an image; nothing is built or pulled by it.
        "registry": {"server": "localhost:5000"},
        "builder": {"arch": "amd64"},
        "servers": {"web": {"hosts": list(config.hosts)}},
        "databases": {"primary": urls},
        "migrations": {
            **section,
            "path": config.migrations.folder,
            "stream": config.migrations.stream,
        },
    }


def _urls(database: DatabaseConfig) -> dict[str, str | Secret]:
    """The environment of the container."""
    env: dict[str, str | Secret] = {_URL: database.url}
    if (migration_url := database.migration_url) is not None:
        env[_MIGRATION_URL] = migration_url
    return env | {f"{_REPLICA_URL}{n}": url for n, url in enumerate(database.replicas)}


async def have_image(config: Config, shell: Shell, image: str, emit: Emit) -> None:
    """Have the image on a host; it is pulled where it is not there.

    Raises
    ------
    TargetError
        It cannot be had.
    """
    try:
        await shell.run(("docker", "image", "inspect", "--format", "{{.Id}}", image))
    except CommandFailed:
        server = config.registry.server if config.registry else None
        delivery = Delivery(
            {shell.host: shell}, emit, login=login_of(config), tunnel=local_port(server)
        )
        await delivery.fetch(image, shell)


def tar_of(files: Mapping[str, bytes]) -> bytes:
    """The files, below `FOLDER`, for ``docker cp``."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for name, data in sorted(files.items()):
            entry = tarfile.TarInfo(f"{FOLDER.lstrip('/')}/{name}")
            entry.size, entry.mode = len(data), 0o644
            tar.addfile(entry, io.BytesIO(data))
    return written.getvalue()
