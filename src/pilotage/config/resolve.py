"""From the checked file to `Config`: defaults that depend on other keys, roles, paths."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pilotage.config.config import (
    BackfillConfig,
    Config,
    DatabaseConfig,
    Healthcheck,
    LocalConfig,
    MigrationsConfig,
    ProxyConfig,
    RoleConfig,
    RoleHealth,
)
from pilotage.config.document import Block, merge
from pilotage.config.frameworks import FRAMEWORKS, Commands, Framework, Status
from pilotage.config.schema.file import File
from pilotage.config.schema.file import Role as RoleSection
from pilotage.config.schema.kamal import Certificate, Proxy
from pilotage.config.schema.own import Migrations, StatusCommand
from pilotage.config.secrets import Secrets
from pilotage.config.validate import mark_of
from pilotage.secret import Secret

LOCAL_HOST = "localhost"
_LOCAL_PORT = 8080
_CONTAINER_STOP = 10.0  # Docker's own, which Kamal leaves alone where the proxy has drained
_LOCAL_INTERVAL, _INTERVAL = 0.1, 1.0


def resolve(
    file: File,
    data: Block,
    *,
    path: Path,
    root: Path,
    destination: str | None,
    version: str | None,
    secrets: Secrets,
    not_run: tuple[str, ...],
) -> Config:
    """The configuration. ``data`` says where each key is written."""
    local = file.target == "local"
    _remember(file, secrets)
    roles = tuple(
        _role(name, section, file, proxy_of(file, data, name))
        for name, section in _roles(file).items()
    )
    databases = {
        name: DatabaseConfig(
            name=name,
            written_url=section.url,
            written_migration_url=section.migration_url,
            written_replicas=section.replicas,
            via=section.via,
            where=str(mark_of(data, "databases", name)),
            _data=data,
            _secrets=secrets,
        )
        for name, section in file.databases.items()
    }
    return Config(
        path=path,
        root=root,
        destination=destination,
        version=version,
        service=file.service,
        image=_image(file),
        target=file.target,
        roles=roles,
        primary=file.primary_role,
        proxy=_proxy(proxy_of(file, data, file.primary_role), local=local),
        rollout=_rollout(file),
        migrations=_migrations(file, root),
        databases=MappingProxyType(databases),
        consumers=file.consumers,
        state=file.state or ("database" if databases else "target"),
        local=LocalConfig(prepare=file.local.prepare),
        deploy_timeout=file.deploy_timeout,
        drain_timeout=file.drain_timeout,
        readiness_delay=file.readiness_delay,
        hooks_path=_path(root, file.hooks_path),
        secrets_path=_path(root, file.secrets_path),
        error_pages_path=_path(root, file.error_pages_path) if file.error_pages_path else None,
        accessory_proxies=MappingProxyType(
            {
                name: _proxy(section.proxy, local=local)
                for name, section in file.accessories.items()
                if isinstance(section.proxy, Proxy) and section.proxy.model_fields_set
            }
        ),
        file=file,
        data=data,
        store=secrets,
        erb_not_run=not_run,
    )


def _remember(file: File, secrets: Secrets) -> None:
    """What is secret although it is written out, or comes from ERB."""
    registries = {"registry": file.registry} | {
        f"accessories.{name}.registry": accessory.registry
        for name, accessory in file.accessories.items()
    }
    for path, registry in registries.items():
        if registry and isinstance(registry.password, str):
            secrets.remember(f"{path}.password", Secret(registry.password))
    for index, key in enumerate(file.ssh.key_data):
        if "-----BEGIN" in key:
            secrets.remember(f"ssh.key_data[{index}]", Secret(key))


def _path(root: Path, written: str) -> Path:
    return root / Path(written).expanduser()


def _image(file: File) -> str | None:
    """Kamal names the image after the service where the registry is its own, local one."""
    server = file.registry.server if file.registry else None
    if file.image is None and server and server.startswith("localhost:"):
        return file.service
    return file.image


def _rollout(file: File) -> Any:
    """Kamal's ``boot:`` gives the limit and the wait that ``rollout:`` does not.

    With a limit hosts take turns, unless the file says otherwise.
    """
    given = file.rollout.model_fields_set
    changes: dict[str, Any] = {}
    if "limit" not in given and file.boot.limit is not None:
        changes["limit"] = file.boot.limit
    if "wait" not in given and "wait" in file.boot.model_fields_set:
        changes["wait"] = file.boot.wait
    limited = "limit" in given or "limit" in changes
    if limited and not given & {"strategy", "canary"}:
        changes["strategy"] = "rolling"
    return file.rollout.model_copy(update=changes)


def _roles(file: File) -> dict[str, RoleSection]:
    if not file.servers and file.target != "docker":
        return {file.primary_role: RoleSection()}
    return dict(file.servers)


def has_traffic(file: File, name: str) -> bool:
    """Kamal's rule: the primary role unless it says false, another role when it says so."""
    section = file.servers.get(name)
    wanted = section.proxy if section else None
    if name == file.primary_role:
        return wanted is not False
    return wanted is not None and wanted is not False


def proxy_of(file: File, data: Block, name: str) -> Proxy:
    """The root's ``proxy`` with what a role changes of it."""
    section = file.servers.get(name)
    if section is None or not isinstance(section.proxy, Proxy):
        return file.proxy
    own = data["servers"][name]["proxy"]
    root = data.get("proxy")
    if not isinstance(root, Block):
        return section.proxy
    return Proxy.model_validate(merge(root, own))


def _role(name: str, section: RoleSection, file: File, proxy: Proxy) -> RoleConfig:
    local = file.target == "local"
    traffic = has_traffic(file, name)
    tags = dict(section.hosts)
    stop = section.stop_timeout if section.stop_timeout is not None else file.stop_timeout
    assets, _, options = (section.asset_path or file.asset_path or "").partition(":")
    health = section.health
    delay = file.readiness_delay if health.delay is None else health.delay
    logging = section.logging or file.logging
    if section.logging and file.logging.driver and not section.logging.driver:
        logging = section.logging.model_copy(update={"driver": file.logging.driver})
    if section.logging and file.logging.options:
        merged = {**file.logging.options, **section.logging.options}
        logging = logging.model_copy(update={"options": merged})
    return RoleConfig(
        name=name,
        hosts=(LOCAL_HOST,) if local else tuple(tags),
        cmd=section.cmd,
        instances=section.instances,
        overlap=section.overlap,
        traffic=traffic,
        stop_timeout=stop
        if stop is not None
        else (_CONTAINER_STOP if traffic else file.drain_timeout),
        health=RoleHealth(health.cmd, delay, health.interval, health.timeout),
        options=section.options,
        labels={**file.labels, **section.labels},
        volumes=file.volumes,
        logging=logging,
        asset_path=assets or None,
        asset_options=options or None,
        env=section.env,
        proxy=_proxy(proxy, local=local),
        tags=MappingProxyType(tags),
    )


def _proxy(section: Proxy, *, local: bool) -> ProxyConfig:
    certificate = section.ssl if isinstance(section.ssl, Certificate) else None
    ssl = certificate is not None or section.ssl is True
    hosts = section.hosts or tuple(
        host.strip() for host in (section.host or "").split(",") if host.strip()
    )
    prefixes = section.path_prefixes or tuple(
        prefix.strip() for prefix in (section.path_prefix or "").split(",") if prefix.strip()
    )
    check = section.healthcheck
    interval = check.interval
    if interval is None:
        interval = _LOCAL_INTERVAL if local else _INTERVAL
    return ProxyConfig(
        port=section.port or section.run.http_port or (_LOCAL_PORT if local else 80),
        app_port=section.app_port,
        hosts=hosts,
        ssl=ssl,
        certificate=certificate,
        acme=section.acme,
        ssl_redirect=section.ssl_redirect,
        forward_headers=not ssl if section.forward_headers is None else section.forward_headers,
        response_timeout=section.response_timeout,
        path_prefixes=prefixes,
        strip_path_prefix=section.strip_path_prefix,
        healthcheck=Healthcheck(check.path, interval, check.timeout, check.host, check.status),
        buffering=section.buffering,
        logging=section.logging,
        run=section.run,
    )


def _migrations(file: File, root: Path) -> MigrationsConfig | None:
    section = file.migrations
    if section is None:
        if not file.databases:
            return None
        section = Migrations()
    return MigrationsConfig(
        path=_path(root, section.path),
        folder=section.path,
        engine=section.engine,
        stream=section.stream or file.service,
        database=section.database or next(iter(file.databases), None),
        lock_timeout=section.lock_timeout,
        timeout=section.timeout,
        contract=section.contract,
        soak=section.soak,
        large_table=section.large_table,
        image=section.image,
        schema=_path(root, section.schema_) if section.schema_ else None,
        seed=_path(root, section.seed) if section.seed else None,
        backfill=BackfillConfig(
            **{one.name: getattr(section.backfill, one.name) for one in fields(BackfillConfig)}
        ),
        framework=_framework(section),
        status_command=section.status.command
        if isinstance(section.status, StatusCommand)
        else None,
        asked_lock_timeout=section.lock_timeout
        if "lock_timeout" in section.model_fields_set
        else None,
    )


def _framework(section: Migrations) -> Framework | None:
    """The preset of the engine, with what the file says instead."""
    if section.engine not in FRAMEWORKS:
        return None
    preset, commands = FRAMEWORKS[section.engine], section.commands
    status: Status = preset.status
    if section.status is not None:
        status = "command" if isinstance(section.status, StatusCommand) else section.status
    expand = commands.expand or preset.commands.expand
    own = commands.model_fields_set
    return Framework(
        files=section.files or preset.files,
        contract_files=section.contract_files or preset.contract_files,
        status=status,
        order=section.order or preset.order,
        commands=Commands(
            expand,
            commands.contract or (expand if "expand" in own else preset.commands.contract),
            commands.fresh or (None if "expand" in own else preset.commands.fresh),
        ),
        packages=preset.packages,
    )
