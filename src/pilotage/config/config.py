"""The configuration, resolved: what the rest of pilotage reads. Made by `pilotage.config.load`.

Everything here is immutable. Secrets are evaluated when they are asked for, so a verb that only looks
at things runs no command and misses no secret that it does not need.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pilotage.config.document import Block
from pilotage.config.frameworks import Framework
from pilotage.config.schema.file import File
from pilotage.config.schema.kamal import (
    Accessory,
    Acme,
    Boot,
    Buffering,
    Builder,
    Certificate,
    Env,
    Logging,
    ProxyLogging,
    ProxyRun,
    Registry,
    Ssh,
    Sshkit,
)
from pilotage.config.schema.own import Engine, Rollout
from pilotage.config.secrets import Secrets
from pilotage.config.validate import did_you_mean, mark_of
from pilotage.errors import UsageError
from pilotage.secret import Secret, reveal

if TYPE_CHECKING:
    from pilotage.model import Role


@dataclass(frozen=True, slots=True)
class RoleHealth:
    """How an instance without traffic shows that it is well. Seconds.

    ``cmd`` is run every ``interval`` until it exits with 0; without it the instance must be alive
    after ``delay``.
    """

    cmd: str | None
    delay: float
    interval: float
    timeout: float


@dataclass(frozen=True, slots=True)
class RoleConfig:
    """One role. ``tags`` holds the tags of each host; ``stop_timeout`` is in seconds."""

    name: str
    hosts: tuple[str, ...]
    cmd: str | None
    instances: int
    overlap: bool
    traffic: bool
    stop_timeout: float
    health: RoleHealth
    options: Mapping[str, Any]
    labels: Mapping[str, str]
    volumes: tuple[str, ...]
    logging: Logging
    asset_path: str | None
    asset_options: str | None
    env: Env
    proxy: ProxyConfig
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def to_model(self) -> Role:
        """The role as the planner sees it."""
        from pilotage.model import Role

        return Role(
            name=self.name,
            hosts=self.hosts,
            instances=self.instances,
            traffic=self.traffic,
            overlap=self.overlap,
        )


@dataclass(frozen=True, slots=True)
class Healthcheck:
    """How the edge asks an instance whether it is ready. Seconds; ``status`` None means any 2xx."""

    path: str
    interval: float
    timeout: float
    host: str | None
    status: int | None


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    """The edge. ``port`` is where it listens, ``app_port`` where a container does."""

    port: int
    app_port: int
    hosts: tuple[str, ...]
    ssl: bool
    certificate: Certificate | None
    acme: Acme
    ssl_redirect: bool
    forward_headers: bool
    response_timeout: float
    path_prefixes: tuple[str, ...]
    strip_path_prefix: bool
    healthcheck: Healthcheck
    buffering: Buffering
    logging: ProxyLogging
    run: ProxyRun


@dataclass(frozen=True, slots=True)
class BackfillConfig:
    """How backfills leave room for others. Seconds; None where a signal is off."""

    batch_time: float
    batch_rows: int
    duty: float | None
    replication_lag: float | None
    lock_wait: float | None
    long_transaction: float | None
    dead_rows: float | None
    wraparound: bool
    pause_when: str | None
    longest_pause: float


@dataclass(frozen=True, slots=True)
class MigrationsConfig:
    """Where the migrations are and how they run. Seconds.

    ``path`` is absolute, in the project; ``folder`` is the same path in the checkout of a revision,
    relative to its root. ``framework`` is there for every engine whose command pilotage runs, with what the
    file leaves out filled in; ``asked_lock_timeout`` is ``lock_timeout`` where the file has it. ``large_table``: rows.
    ``image``: has pilotage in it.
    """

    path: Path
    folder: str
    engine: Engine
    stream: str
    database: str | None
    lock_timeout: float
    timeout: float
    contract: Literal["next", "auto", "manual"]
    soak: float
    schema: Path | None
    seed: Path | None
    backfill: BackfillConfig
    framework: Framework | None = None
    status_command: str | None = None
    asked_lock_timeout: float | None = None
    large_table: int = 10_000_000
    image: str | None = None


@dataclass(frozen=True, slots=True)
class DatabaseConfig:
    """A database. Its URLs are looked up when they are asked for. ``via``: the host that leads to it.

    Raises
    ------
    SecretMissing
        Nothing has the name that the file gives.
    """

    name: str
    written_url: str
    written_migration_url: str | None
    written_replicas: tuple[str, ...]
    via: str | None
    where: str
    _data: Block = field(repr=False)
    _secrets: Secrets = field(repr=False)

    @property
    def url(self) -> Secret:
        """The application's connection."""
        return self._look_up(self.written_url, "url")

    @property
    def migration_url(self) -> Secret | None:
        """The migrator's connection, where it is another."""
        if self.written_migration_url is None:
            return None
        return self._look_up(self.written_migration_url, "migration_url")

    @property
    def replicas(self) -> tuple[Secret, ...]:
        """The read replicas that expand waits for."""
        names = enumerate(self.written_replicas)
        return tuple(self._look_up(name, "replicas", index) for index, name in names)

    def _look_up(self, written: str, key: str, *index: int) -> Secret:
        mark = mark_of(self._data, "databases", self.name, key, *index)
        return self._secrets.url(written, where=str(mark), key=f"databases.{self.name}.{key}")


@dataclass(frozen=True, slots=True)
class LocalConfig:
    """``target: local``: ``prepare`` is run once in the checkout of each revision."""

    prepare: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole configuration of one service at one destination.

    ``path`` is the file, ``root`` the project's folder. ``not_run`` lists the commands that the files
    name and that were not run, as ``file:line: command``: while it has any, values that come from
    them read ``[not run: command]``. ``file`` is the file as it is written, in its long form; ``data``
    says where each of its keys is.
    ``accessory_proxies``: of the accessories that are behind the door, by name.
    """

    path: Path
    root: Path
    destination: str | None
    version: str | None
    service: str
    image: str | None
    target: Literal["local", "docker", "kubernetes"]
    roles: tuple[RoleConfig, ...]
    primary: str
    proxy: ProxyConfig
    rollout: Rollout
    migrations: MigrationsConfig | None
    databases: Mapping[str, DatabaseConfig]
    consumers: tuple[str, ...]
    state: Literal["database", "target"]
    local: LocalConfig
    deploy_timeout: float
    drain_timeout: float
    readiness_delay: float
    hooks_path: Path
    secrets_path: Path
    error_pages_path: Path | None
    accessory_proxies: Mapping[str, ProxyConfig]
    file: File = field(repr=False)
    data: Block = field(repr=False)
    store: Secrets = field(repr=False)
    erb_not_run: tuple[str, ...] = ()

    # ------------------------------------------------------------------ roles

    def role(self, name: str) -> RoleConfig:
        """The role of this name.

        Raises
        ------
        UsageError
            There is none; names the nearest.
        """
        for role in self.roles:
            if role.name == name:
                return role
        hint = did_you_mean(name, (role.name for role in self.roles))
        raise UsageError(f"there is no role `{name}`; {hint}", where=str(self.path))

    @property
    def primary_role(self) -> RoleConfig:
        """The role that gets the traffic and whose first host counts as the first of all."""
        return self.role(self.primary)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts of all roles, each once, in the order of the file."""
        return tuple(dict.fromkeys(host for role in self.roles for host in role.hosts))

    # ------------------------------------------------------------------ environment and secrets

    def env(self, role: str, host: str | None = None) -> dict[str, str | Secret]:
        """The environment of a role's instances on a host.

        Kamal's precedence: the root, then the role, then the tags of the host, in their order; later
        ones win. A clear value wins over a secret of the same name, wherever the two stand.

        Raises
        ------
        SecretMissing
            A secret has no value; names it, the role, the line, and the files looked in.
        """
        values: dict[str, str | Secret] = {}
        for path, layer in self._layers(self.role(role), host):
            for index, entry in enumerate(layer.secret):
                name, _, alias = entry.partition(":")
                where: tuple[str | int, ...] = (*path, "secret", index)
                values[name] = self.secret(alias or name, *where, what=f"the role {role}")
        return values | self.clear_env(role, host)

    def secret(self, name: str, *path: str | int, what: str) -> Secret:
        """The value of a secret that the file names at ``path``; ``what`` says who needs it.

        Raises
        ------
        SecretMissing
            It has none; names the line, and the files looked in.
        """
        mark = mark_of(self.data, *path)
        return self.store.require(name, where=str(mark), key=mark.path, what=what)

    def clear_env(self, role: str, host: str | None = None) -> dict[str, str]:
        """The part of `env` that is no secret."""
        values: dict[str, str] = {}
        for _, layer in self._layers(self.role(role), host):
            values.update(layer.clear)
        return values

    def secret_names(self, role: str, host: str | None = None) -> tuple[str, ...]:
        """What the role names under ``secret``, as it is written: ``NAME`` or ``NAME:SECRET``."""
        layers = self._layers(self.role(role), host)
        return tuple(dict.fromkeys(entry for _, layer in layers for entry in layer.secret))

    def _layers(self, role: RoleConfig, host: str | None) -> list[tuple[tuple[str, ...], Env]]:
        """Each with its path in the file."""
        tags = self.file.env.tags
        names = role.tags.get(host, ()) if host else ()
        return [
            (("env",), self.file.env),
            (("servers", role.name, "env"), role.env),
            *((("env", "tags", name), tags[name]) for name in names if name in tags),
        ]

    @property
    def secrets(self) -> Mapping[str, Secret]:
        """Every secret that is known so far, by name: what must be masked."""
        return self.store.known()

    @property
    def not_run(self) -> tuple[str, ...]:
        """The commands that were not run, as ``file:line: command``."""
        return (*self.erb_not_run, *self.store.not_run())

    def digest_is_certain(self, role: str, host: str | None = None) -> bool:
        """Whether nothing that goes into `digest` waits for a command that was not run."""
        names = [entry.partition(":") for entry in self.secret_names(role, host)]
        waiting = any(self.store.pending(alias or name) for name, _, alias in names)
        return not waiting and not self.erb_not_run

    def digest(self, role: str, host: str | None = None) -> str:
        """12 hexadecimal digits that differ when an instance of the role would differ.

        Covers the command, the environment (secrets too, only hashed), and whatever a container is
        made with; not what only the edge or the deployer uses.

        Raises
        ------
        SecretMissing
            A secret of the role has no value.
        """
        chosen = self.role(role)
        parts: dict[str, Any] = {
            "cmd": chosen.cmd,
            "env": {name: reveal(value) for name, value in self.env(role, host).items()},
            "target": self.target,
        }
        if self.target == "local":
            parts["prepare"] = self.local.prepare
        else:
            parts |= {
                "image": self.image,
                "app_port": chosen.proxy.app_port if chosen.traffic else None,
                "options": dict(chosen.options),
                "labels": dict(chosen.labels),
                "volumes": chosen.volumes,
                "logging": chosen.logging.model_dump(mode="json"),
                "assets": [chosen.asset_path, chosen.asset_options],
            }
        text = json.dumps(parts, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    # ------------------------------------------------------------------ Kamal's other sections

    @property
    def registry(self) -> Registry | None:
        """The registry."""
        return self.file.registry

    def registry_login(self) -> tuple[str, Secret] | None:
        """The user and the password of the registry; None where it needs none.

        Raises
        ------
        SecretMissing
            One of them is a secret without a value.
        """
        registry = self.file.registry
        if registry is None or not registry.username or not registry.password:
            return None
        user, password = (
            Secret(value)
            if isinstance(value, str)
            else self.secret(value[0], "registry", key, 0, what="the registry")
            for key, value in (("username", registry.username), ("password", registry.password))
        )
        self.store.remember("registry.password", password)
        return user.reveal(), password

    @property
    def builder(self) -> Builder | None:
        """How the image is built."""
        return self.file.builder

    @property
    def accessories(self) -> Mapping[str, Accessory]:
        """Services beside the application."""
        return self.file.accessories

    @property
    def ssh(self) -> Ssh:
        """How hosts are reached."""
        return self.file.ssh

    @property
    def sshkit(self) -> Sshkit:
        """Limits of SSH connections."""
        return self.file.sshkit

    @property
    def boot(self) -> Boot:
        """How many hosts start at a time."""
        return self.file.boot

    @property
    def aliases(self) -> Mapping[str, str]:
        """Short names of commands."""
        return self.file.aliases

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels of every container."""
        return self.file.labels

    @property
    def volumes(self) -> tuple[str, ...]:
        """Volumes of every container."""
        return self.file.volumes

    @property
    def logging(self) -> Logging:
        """Docker's logging."""
        return self.file.logging

    @property
    def asset_path(self) -> str | None:
        """Assets that old and new share."""
        return self.file.asset_path

    @property
    def retain_containers(self) -> int:
        """Old containers and images that are kept."""
        return self.file.retain_containers

    @property
    def minimum_version(self) -> str | None:
        """The oldest Kamal that reads this file."""
        return self.file.minimum_version

    @property
    def require_destination(self) -> bool:
        """Whether a destination must be named."""
        return self.file.require_destination

    @property
    def allow_empty_roles(self) -> bool:
        """Whether roles may have no hosts."""
        return self.file.allow_empty_roles

    @property
    def run_directory(self) -> str:
        """Where files are kept on hosts."""
        return self.file.run_directory

    def hook_output(self, hook: str) -> Literal["quiet", "verbose"] | None:
        """Whether the output of a hook is shown; None leaves it to the command line."""
        wanted = self.file.hooks_output
        return wanted.get(hook) if isinstance(wanted, dict) else wanted

    # ------------------------------------------------------------------ printing
