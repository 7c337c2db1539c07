"""How the instances of a role are asked for their health, whatever they run on."""

from __future__ import annotations

from pilotage.config import Config, RoleConfig
from pilotage.targets.shared.health import AliveHealth, CommandHealth, Health, HttpHealth


def health_of(config: Config, role: RoleConfig, *, alive: AliveHealth) -> Health:
    """By a request where it takes traffic, else by its command, else ``alive``."""
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
    return alive
