"""What a command does that goes to hosts without a project: ``pre-connect``, connections, the audit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from pilotage.cli.options import Settings
from pilotage.cli.project import hooks_for, recorded
from pilotage.events import Emit
from pilotage.hooks import Hook, Hooks

if TYPE_CHECKING:
    from pilotage.config import Config
    from pilotage.shell.fleet import Fleet


async def before_connecting(hooks: Hooks, settings: Settings) -> None:
    """Run ``pre-connect``, once a command.

    Raises
    ------
    HookFailed
        Nothing was touched.
    """
    if not settings.connected:
        await hooks.run(Hook.PRE_CONNECT)


@asynccontextmanager
async def reached(
    config: Config,
    settings: Settings,
    hosts: Collection[str],
    emit: Emit,
    *,
    changes: bool,
    hooks: Hooks | None = None,
    roles: Collection[str] = (),
    part: str = "",
) -> AsyncIterator[Fleet]:
    """These hosts, all connected, for the length of a command. ``changes``: it is one for the audit.

    ``hooks``: those of the command, where it runs others than ``pre-connect``; ``roles``: that were asked for;
    ``part``: of the command, where this is not all of it.

    Raises
    ------
    HookFailed, HostUnreachable
        Nothing was begun anywhere.
    """
    from pilotage.wiring.audited import audit_on
    from pilotage.wiring.hosts import open_hosts

    hooks = hooks or hooks_for(config, settings, emit, hosts=hosts, roles=roles)
    try:
        await before_connecting(hooks, settings)
        async with open_hosts(config, hosts) as fleet, AsyncExitStack() as stack:
            if not changes:
                yield fleet
                return
            async with recorded(audit_on(config, fleet, emit, stack), config, settings, part):
                yield fleet
    finally:
        settings.secrets.extend(config.secrets.values())
