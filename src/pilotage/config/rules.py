"""What contradicts what in a file whose shapes are right: Kamal's rules, and pilotage's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pilotage.config.document import Block
from pilotage.config.ports import Published, published
from pilotage.config.resolve import has_traffic, proxy_of
from pilotage.config.schema.file import File
from pilotage.config.schema.kamal import Certificate, Proxy, ProxyRun, Registry
from pilotage.config.schema.own import Migrations
from pilotage.config.validate import did_you_mean, mark_of
from pilotage.errors import ConfigError

KAMAL = (2, 11, 0)  # the format that this package knows
_SERVICE = re.compile(r"[A-Za-z0-9_-]+")
_ALIAS = re.compile(r"[a-z0-9_-]+")
_RESERVED_LABELS = ("destination", "role", "service")
_UNSEEN = ("entrypoint", "none")  # engines of which pilotage runs nothing
_PLACES = ("host", "hosts", "role", "roles", "tag", "tags")
KAMAL_COMMANDS = frozenset(
    "accessory app audit build config deploy details docs help init lock proxy prune redeploy "  # noqa: SIM905
    "registry remove rollback secrets server setup upgrade version".split()
)


def check(file: File, data: Block, *, destination: str | None, root: Path) -> None:
    """Refuse a file that contradicts itself, or lacks what its target needs.

    Raises
    ------
    ConfigError
        The first rule that it breaks.
    """
    rules = _Rules(file, data, root)
    rules.general(destination)
    rules.required()
    rules.roles()
    rules.proxies()
    rules.builder()
    rules.accessories()
    rules.aliases()
    rules.own()


class _Rules:
    def __init__(self, file: File, data: Block, root: Path) -> None:
        self._file = file
        self._data = data
        self._root = root

    def _error(self, what: str, *path: str | int, next: str = "") -> ConfigError:
        mark = mark_of(self._data, *path)
        return ConfigError(what, where=str(mark), key=mark.path, next=next)

    # ------------------------------------------------------------------ the file as a whole

    def general(self, destination: str | None) -> None:
        file = self._file
        if file.require_destination and destination is None:
            raise self._error(
                "`require_destination` is set, and no destination is named",
                "require_destination",
                next="add -d DESTINATION",
            )
        if not _SERVICE.fullmatch(file.service):
            raise self._error(
                f"`service` may have letters, digits, - and _ only, not {file.service!r}", "service"
            )
        if file.minimum_version and not re.match(r"\d+(\.\w+)*$", file.minimum_version):
            raise self._error(
                f"`minimum_version` should be a version, not {file.minimum_version!r}",
                "minimum_version",
            )
        if file.minimum_version and _version(file.minimum_version) > KAMAL:
            raise self._error(
                f"`minimum_version` asks for Kamal {file.minimum_version}; pilotage knows the format "
                f"of Kamal {'.'.join(map(str, KAMAL))}",
                "minimum_version",
            )
        if file.retain_containers < 1:
            raise self._error("`retain_containers` should be 1 or more", "retain_containers")
        for hook in ("pre-traefik-reboot", "post-traefik-reboot"):
            if (self._root / file.hooks_path / hook).exists():
                raise self._error(
                    f"the hook {file.hooks_path}/{hook} should be named "
                    f"{hook.replace('traefik', 'proxy')}",
                    "hooks_path",
                )

    def required(self) -> None:
        file = self._file
        if file.target == "local":
            for name, role in file.servers.items() or ((file.primary_role, None),):
                if role is None or not role.cmd:
                    raise self._error(
                        f"the role `{name}` has no `cmd`, and `target: local` runs commands",
                        "servers",
                        name,
                        next=f"add `servers: {{{name}: {{cmd: …}}}}`",
                    )
            return
        local_registry = _is_local(file.registry)
        if not file.image and not local_registry:
            raise self._error(f"`image` is required for `target: {file.target}`", "image")
        if file.target == "docker":
            if file.registry is None:
                raise self._error("`registry` is required for `target: docker`", "registry")
            if not file.servers and "servers" not in file.model_fields_set and not file.accessories:
                raise self._error("neither `servers` nor `accessories` are given", "servers")
        if file.registry:
            self._registry(file.registry, "registry")

    def _registry(self, registry: Registry, *path: str) -> None:
        for name in ("username", "password"):
            value = getattr(registry, name)
            if _is_local(registry):
                continue
            if not value:
                raise self._error(f"`{'.'.join(path)}.{name}` is required", *path, name)

    # ------------------------------------------------------------------ roles

    def roles(self) -> None:
        file = self._file
        for name, role in file.servers.items():
            self._options(role.options, "servers", name, "options")
            if role.env.tags:
                raise self._error(
                    "`tags` are allowed in the root's `env` only", "servers", name, "env", "tags"
                )
            self._labels(role.labels, "servers", name, "labels")
        for tag, env in file.env.tags.items():
            if env.tags:
                raise self._error("`tags` have no tags of their own", "env", "tags", tag, "tags")
        if "servers" not in file.model_fields_set:
            return
        if file.primary_role not in file.servers:
            raise self._error(
                f"there is no role `{file.primary_role}`, which is the primary role; "
                f"{did_you_mean(file.primary_role, file.servers)}",
                "primary_role" if "primary_role" in self._data else "servers",
                next="name it under `servers`, or set `primary_role`",
            )
        if file.target == "docker":
            self._hosts()
            self._ports()

    def _hosts(self) -> None:
        file = self._file
        if not file.servers[file.primary_role].hosts:
            raise self._error(
                f"the primary role `{file.primary_role}` has no hosts", "servers", file.primary_role
            )
        for name, role in file.servers.items():
            if not role.hosts and not file.allow_empty_roles:
                raise self._error(
                    f"the role `{name}` has no hosts",
                    "servers",
                    name,
                    next="add hosts, or set `allow_empty_roles: true`",
                )

    def _ports(self) -> None:
        """No two roles may want the same port of a host: the second one could not be started."""
        taken: dict[str, list[tuple[str, Published]]] = {}
        for name, role in self._file.servers.items():
            ports = published(role.options)
            for host in dict.fromkeys(host for host, _ in role.hosts):
                others = taken.setdefault(host, [])
                for port in ports:
                    holder = next((who for who, had in others if port.meets(had)), None)
                    if holder is not None:
                        raise self._error(
                            f"the roles `{holder}` and `{name}` both publish port {port} of {host}",
                            *("servers", name, "options", "publish"),
                            next="give one of them another port, or another host",
                        )
                others += [(name, port) for port in ports]

    def _options(self, options: dict[str, Any], *path: str) -> None:
        if "restart" in options:
            raise self._error(
                "`restart` may not be set: a container that is to run is restarted unless it was "
                "stopped",
                *path,
                "restart",
            )

    def _labels(self, labels: dict[str, str], *path: str) -> None:
        for label in _RESERVED_LABELS:
            if label in labels:
                raise self._error(f"the label `{label}` is taken by pilotage itself", *path, label)

    # ------------------------------------------------------------------ the edge

    def proxies(self) -> None:
        file = self._file
        taken: dict[str, str] = {}
        runs: dict[str, tuple[str, ProxyRun]] = {}
        self._proxy(file.proxy, "proxy")
        for name in file.servers:
            section = file.servers[name].proxy
            if isinstance(section, Proxy):
                self._proxy(proxy_of(file, self._data, name), "servers", name, "proxy")
            if not has_traffic(file, name):
                continue
            proxy = proxy_of(file, self._data, name)
            self._runs(name, proxy, runs)
            hosts = file.servers[name].hosts
            if proxy.ssl is True and len(hosts) > 1:
                raise self._error(
                    f"automatic certificates work on one host, and the role `{name}` has "
                    f"{len(hosts)}",
                    "servers",
                    name,
                    next="give `ssl` a certificate of your own",
                )
            for host in proxy.hosts or (proxy.host or "").split(",") if proxy.ssl else ():
                if host in taken:
                    raise self._error(
                        f"the roles `{taken[host]}` and `{name}` share the host {host} for SSL",
                        "servers",
                        name,
                        "proxy",
                    )
                taken[host] = name

    def _runs(self, name: str, proxy: Proxy, runs: dict[str, tuple[str, ProxyRun]]) -> None:
        """A host has one proxy, so its roles may not want it run in two ways."""
        if "run" not in proxy.model_fields_set:
            return
        for host, _ in self._file.servers[name].hosts:
            other, run = runs.setdefault(host, (name, proxy.run))
            if run != proxy.run:
                raise self._error(
                    f"the roles `{other}` and `{name}` share the host {host} and differ in "
                    "`proxy.run`",
                    "servers",
                    name,
                    "proxy",
                    "run",
                )

    def _proxy(self, proxy: Proxy, *path: str) -> None:
        where = ".".join(path)
        if proxy.ssl and not proxy.host and not proxy.hosts:
            raise self._error(f"`{where}.ssl` needs a `host`", *path, "ssl")
        if {"host", "hosts"} <= proxy.model_fields_set:
            raise self._error(
                f"`{where}` has `host` and `hosts`; write one of them", *path, "hosts"
            )
        run = proxy.run
        if not run.publish and (run.http_port or run.https_port or run.bind_ips):
            raise self._error(
                f"`{where}.run.publish` is false: then http_port, https_port and bind_ips mean nothing",
                *path,
                "run",
                "publish",
            )
        if isinstance(proxy.ssl, Certificate):
            pem, key = proxy.ssl.certificate_pem, proxy.ssl.private_key_pem
            for given, other in ((pem, "private_key_pem"), (key, "certificate_pem")):
                if given and not getattr(proxy.ssl, other):
                    raise self._error(f"`{where}.ssl.{other}` is missing", *path, "ssl")

    # ------------------------------------------------------------------ builder and accessories

    def builder(self) -> None:
        file = self._file
        if file.target != "docker":
            return
        builder = file.builder
        if builder is None or not builder.arch:
            raise self._error(
                "`builder.arch` is required",
                "builder",
                "arch",
                next="add `builder: {arch: amd64}`, or arm64, or both",
            )
        if builder.pack and len(builder.arch) > 1:
            raise self._error("buildpacks build for one architecture only", "builder", "arch")
        if not builder.local and not builder.remote:
            raise self._error(
                "`builder.local` is false, and no `remote` is set", "builder", "local"
            )
        if builder.remote and _is_local(file.registry) and not builder.remote.startswith("ssh://"):
            raise self._error(
                "a local registry is reached by a remote builder over ssh:// only",
                "builder",
                "remote",
            )

    def accessories(self) -> None:
        for name, accessory in self._file.accessories.items():
            given = [place for place in _PLACES if place in accessory.model_fields_set]
            if len(given) != 1:
                raise self._error(
                    f"the accessory `{name}` should have one of {', '.join(_PLACES)}; it has "
                    f"{' and '.join(given) or 'none'}",
                    "accessories",
                    name,
                    *given[1:2],
                )
            for role in (*(accessory.roles or ()), *([accessory.role] if accessory.role else ())):
                if role not in self._file.servers:
                    raise self._error(
                        f"the accessory `{name}` names a role `{role}`, which there is not; "
                        f"{did_you_mean(role, self._file.servers)}",
                        "accessories",
                        name,
                        *given,
                    )
            self._options(accessory.options, "accessories", name, "options")
            if accessory.proxy is True:
                raise self._error(
                    f"`accessories.{name}.proxy` should be a mapping of keys to values",
                    "accessories",
                    name,
                    "proxy",
                )
            self._labels(accessory.labels, "accessories", name, "labels")
            if accessory.env.tags:
                raise self._error(
                    "`tags` are allowed in the root's `env` only",
                    "accessories",
                    name,
                    "env",
                    "tags",
                )
            if isinstance(accessory.proxy, Proxy):
                self._proxy(accessory.proxy, "accessories", name, "proxy")
            if accessory.registry:
                self._registry(accessory.registry, "accessories", name, "registry")

    def aliases(self) -> None:
        for name in self._file.aliases:
            if not _ALIAS.fullmatch(name):
                raise self._error(
                    f"the alias {name!r} may have lower-case letters, digits, - and _ only",
                    "aliases",
                    name,
                )
            if name in KAMAL_COMMANDS:
                raise self._error(f"the alias `{name}` is the name of a command", "aliases", name)

    # ------------------------------------------------------------------ our own keys

    def own(self) -> None:
        for error in self._own():
            raise error

    def _own(self) -> Iterator[ConfigError]:
        file = self._file
        wanted = file.migrations
        if wanted is not None:
            yield from self._unseen(wanted)
            if not file.databases and wanted.engine not in ("command", *_UNSEEN):
                yield self._error(
                    "`migrations` are given, and no database is",
                    "migrations",
                    next="add `databases: {primary: DATABASE_URL}`",
                )
            if wanted.database and wanted.database not in file.databases:
                yield self._error(
                    f"`migrations.database` names `{wanted.database}`, which is not under "
                    f"`databases`; {did_you_mean(wanted.database, file.databases)}",
                    "migrations",
                    "database",
                )
            yield from self._framework(wanted)
        if len(file.databases) > 1 and (wanted is None or not wanted.database):
            yield self._error(
                f"there are {len(file.databases)} databases: say which one the migrations change",
                "databases",
                next=f"add `migrations: {{database: {next(iter(file.databases))}}}`",
            )
        if file.state == "database" and not file.databases:
            yield self._error("`state: database` needs one under `databases`", "state")
        if file.rollout.canary and file.rollout.strategy == "rolling":
            yield self._error("`rollout.canary` goes with `strategy: fleet`", "rollout", "canary")
        for name, role in file.servers.items():
            if role.health.cmd and has_traffic(file, name):
                yield self._error(
                    f"the role `{name}` has traffic: its health is `proxy.healthcheck`",
                    "servers",
                    name,
                    "health",
                )

    def _unseen(self, section: Migrations) -> Iterator[ConfigError]:
        """Where pilotage runs no migration, there is little to say about them."""
        if section.engine not in _UNSEEN:
            return
        for key in sorted(section.model_fields_set - {"engine", "timeout", "stream"}):
            yield self._error(
                f"`migrations.{key.rstrip('_')}` is for migrations that pilotage runs, and with `engine: "
                f"{section.engine}` it runs none",
                "migrations",
                key.rstrip("_"),
                next="take it out, or say whose they are: `engine: rails`, alembic, django, command or sql",
            )
        if self._file.databases:
            yield self._error(
                f"`databases` are there for migrations that pilotage runs, and with `engine: "
                f"{section.engine}` it runs none",
                "databases",
                next="take them out, or say whose the migrations are: `engine: rails`, alembic, django, "
                "command or sql",
            )

    def _framework(self, section: Migrations) -> Iterator[ConfigError]:
        """The keys of `engine: sql` and those of a framework's own command exclude each other."""
        given = section.model_fields_set
        sql, others = {"path", "schema_", "seed"}, {"contract_files", "commands", "order"}
        others |= {"files", "status"}
        if section.engine == "sql":
            for key in sorted(given & others):
                yield self._error(
                    f"`migrations.{key}` is for a framework's own command, and `engine: sql` reads and "
                    "runs its files itself",
                    "migrations",
                    key,
                    next="say whose migrations they are: `engine: rails`, alembic, django or command",
                )
            return
        if section.engine in _UNSEEN:
            return
        for name in sorted(given & sql):
            key = name.rstrip("_")
            yield self._error(
                f"`migrations.{key}` is for `engine: sql`; {section.engine} has files and a command of "
                "its own",
                "migrations",
                key,
                next="take it out; see `files`, `contract_files` and `commands`",
            )
        if section.engine == "command" and not section.commands.expand:
            yield self._error(
                "`engine: command` has no command",
                "migrations",
                "engine",
                next="add `commands: {expand: …}`",
            )
        if section.status == "none" or (section.status is None and section.engine == "command"):
            for key in ("contract_files", "files"):
                if getattr(section, key):
                    yield self._error(
                        f"`migrations.{key}` needs a `status`: without one nobody knows which of them "
                        "are applied",
                        "migrations",
                        key,
                        next="add `status: schema_migrations`, alembic_version, django_migrations, or "
                        "`status: {command: …}`",
                    )
        elif section.engine == "command" and not section.files:
            yield self._error(
                "`migrations.status` needs `files`: without them nobody knows which versions there are",
                "migrations",
                "status",
                next="add `files: …`, a glob of the migration files",
            )


def _is_local(registry: Registry | None) -> bool:
    server = registry.server if registry else None
    return bool(server and server.startswith("localhost:"))


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))[:3]
