"""What a first deploy needs of hosts: Docker that answers, and the accessories."""

from __future__ import annotations

from collections.abc import Collection

from pilotage.accessory import Accessories
from pilotage.config import Config
from pilotage.errors import UsageError
from pilotage.events import Emit
from pilotage.hooks import Hook, Hooks
from pilotage.shell.base import Shell
from pilotage.shell.fleet import Fleet
from pilotage.wiring.accessories import accessory_of
from pilotage.wiring.bootstrap import bootstrap


def require_hosts(config: Config) -> None:
    """Raise `UsageError` where the service does not run on hosts."""
    if config.target != "docker":
        raise UsageError(
            f"`target: {config.target}` has no hosts to set up",
            where=str(config.path),
            next="pilotage deploy",
        )


async def prepare(shells: Collection[Shell], hooks: Hooks, emit: Emit) -> tuple[str, ...]:
    """Have Docker on these hosts, then run the project's ``docker-setup``; where it was installed."""
    installed = await bootstrap(shells, emit)
    await hooks.run(Hook.DOCKER_SETUP)
    return installed


async def boot_accessories(config: Config, fleet: Fleet, emit: Emit) -> tuple[str, ...]:
    """Boot the accessories that do not run; the names of the containers of all of them. Idempotent.

    Raises
    ------
    TargetError
        One could not be run.
    """
    specs = [accessory_of(config, name) for name in config.accessories]
    accessories = Accessories(fleet.shells, emit)
    for spec in specs:
        await accessories.boot(spec)
    return tuple(spec.service for spec in specs)
