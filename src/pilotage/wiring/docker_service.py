"""What the Docker target is told of a service, from the configuration."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from pilotage.config import Config, RoleConfig
from pilotage.errors import ConfigError
from pilotage.model import Role
from pilotage.plan import Layout
from pilotage.targets.docker.spec import DockerRole, DockerService, Logging
from pilotage.targets.shared.environment import Environment
from pilotage.targets.shared.health import AliveHealth
from pilotage.wiring.health import health_of
from pilotage.wiring.hosts import hosts_of
from pilotage.wiring.use import Use


def docker_service(config: Config, use: Use, *, docker: str = "docker") -> DockerService:
    """The service. Where nothing is going to be started (`Use.LOOK`) no secret is asked for.

    Raises
    ------
    ConfigError
        A command cannot be split into words, or the primary role has no host.
    SecretMissing
        A secret of a role has no value.
    """
    return DockerService(
        service=config.service,
        hosts=hosts_of(config),
        roles={role.name: _role(config, role, use) for role in config.roles},
        destination=config.destination,
        docker=docker,
    )


def _role(config: Config, role: RoleConfig, use: Use) -> DockerRole:
    delay = role.health.delay
    alive = AliveHealth(delay, limit=max(config.deploy_timeout, delay + 10))
    return DockerRole(
        cmd=_words(config, role),
        traffic=role.traffic,
        env=_env(config, role.name, None, use),
        host_env=_host_env(config, role, use),
        options=role.options,
        volumes=role.volumes,
        labels=role.labels,
        logging=Logging(role.logging.driver, role.logging.options),
        stop_timeout=role.stop_timeout,
        app_port=role.proxy.app_port,
        # Who answers no requests needs no files of another release, and gets none from Kamal either.
        assets=role.asset_path if role.traffic else None,
        asset_options=role.asset_options,
        health=health_of(config, role, alive=alive),
    )


def _words(config: Config, role: RoleConfig) -> tuple[str, ...]:
    """The words of ``cmd``: Docker is given words, where Kamal leaves the splitting to a shell."""
    try:
        return tuple(shlex.split(role.cmd or ""))
    except ValueError as error:
        raise ConfigError(
            f"the command of the role `{role.name}` cannot be split into words: {error}",
            where=str(config.path),
            key=f"servers.{role.name}.cmd",
            next='close the quotes; for what only a shell can do: `sh -c "…"`',
        ) from error


def _env(config: Config, role: str, host: str | None, use: Use) -> Environment:
    return {} if use is Use.LOOK else config.env(role, host)


def _host_env(config: Config, role: RoleConfig, use: Use) -> Mapping[str, Environment]:
    """The environment of hosts whose tags give them one of their own."""
    return {
        host: _env(config, role.name, host, use) for host in role.hosts if _is_tagged(role, host)
    }


def _is_tagged(role: RoleConfig, host: str) -> bool:
    return bool(role.tags.get(host))


def docker_layout(config: Config, use: Use) -> Layout:
    """How the service should look, host by host."""
    roles = tuple(
        Role(
            name=role.name,
            hosts=role.hosts,
            instances=role.instances,
            traffic=role.traffic,
            overlap=role.overlap,
        )
        for role in config.roles
    )
    if use is Use.LOOK:
        return Layout(config.service, roles)
    return Layout(
        config.service,
        roles,
        {role.name: config.digest(role.name) for role in config.roles},
        {
            (role.name, host): config.digest(role.name, host)
            for role in config.roles
            for host in role.hosts
            if _is_tagged(role, host)
        },
    )
