"""``pilotage registry``: logging in and out, and the registry of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pilotage.cli.options import Settings, common, on_group
from pilotage.cli.selecting import Selectors, selecting

if TYPE_CHECKING:
    from pilotage.image import LocalRegistry

_where = (
    click.option("-L", "--skip-local", is_flag=True, help="Not on this machine."),
    click.option("-R", "--skip-remote", is_flag=True, help="Not on the hosts."),
)


@click.group("registry")
@on_group
def command() -> None:
    """Log in at the registry, here and on the hosts; a deploy does it by itself."""


@command.command("setup")
@_where[0]
@_where[1]
@selecting
@common
def setup(settings: Settings, *, skip_local: bool, skip_remote: bool, selectors: Selectors) -> None:
    """Start the registry of this machine, where the project uses one; else log in, as `login`."""
    _everywhere(settings, selectors, log_in=True, local=not skip_local, remote=not skip_remote)


@command.command("login")
@_where[0]
@_where[1]
@selecting
@common
def login(settings: Settings, *, skip_local: bool, skip_remote: bool, selectors: Selectors) -> None:
    """Log in, here and on every host; with a registry of this machine, start it."""
    _everywhere(settings, selectors, log_in=True, local=not skip_local, remote=not skip_remote)


@command.command("logout")
@_where[0]
@_where[1]
@selecting
@common
def logout(
    settings: Settings, *, skip_local: bool, skip_remote: bool, selectors: Selectors
) -> None:
    """Log out, here and on every host."""
    _everywhere(settings, selectors, log_in=False, local=not skip_local, remote=not skip_remote)


@command.command("remove")
@_where[0]
@_where[1]
@selecting
@common
def remove(
    settings: Settings, *, skip_local: bool, skip_remote: bool, selectors: Selectors
) -> None:
    """Delete the registry of this machine, with the images in it; with another one, log out as `logout`."""
    _everywhere(
        settings,
        selectors,
        log_in=False,
        local=not skip_local,
        remote=not skip_remote,
        deletes=True,
    )


def _everywhere(
    settings: Settings,
    selectors: Selectors,
    *,
    log_in: bool,
    local: bool,
    remote: bool,
    deletes: bool = False,
) -> None:
    """``deletes``: a registry of this machine goes, with all that is in it."""
    import asyncio

    from pilotage.cli.project import configuration
    from pilotage.cli.reaching import reached
    from pilotage.cli.render.lines import warnings
    from pilotage.cli.running import run
    from pilotage.cli.text import good
    from pilotage.wiring.hosts import hosts_of
    from pilotage.wiring.registry import RegistryPlaces, local_registry, registry_places

    async def act(places: RegistryPlaces) -> None:
        verb = places.log_in if log_in else places.log_out
        await asyncio.gather(*(verb(shell) for shell in places.shells))
        where = ", ".join(shell.host for shell in places.shells) or "nowhere"
        click.echo(f"{good('✓')} logged {'in' if log_in else 'out'}: {where}")

    async def main() -> None:
        config = configuration(settings, deploying=True)
        hosts = selectors.part(config, config.hosts)
        settings.secrets.extend(config.secrets.values())
        if registry := local_registry(config):
            click.echo(await _of_this_machine(registry, starts=log_in, deletes=deletes))
        elif not remote:
            await act(registry_places(config, (), local=local))
        else:
            emit = warnings(settings)
            async with reached(
                *(config, settings, hosts or hosts_of(config), emit),
                changes=True,
                roles=selectors.wanted_roles,
            ) as fleet:
                await act(registry_places(config, fleet.shells.values(), local=local))

    run(main())


async def _of_this_machine(registry: LocalRegistry, *, starts: bool, deletes: bool) -> str:
    """Nobody logs in there, and a host reaches it only while it pulls: no host is asked."""
    from pilotage.cli.text import good

    if starts:
        begun = await registry.ensure()
        return f"{good('✓')} the registry of this machine {'is started' if begun else 'answers'}"
    if not deletes:
        return "the registry of this machine asks nobody to log in: there is nothing to log out of"
    await registry.remove()
    return f"{good('✓')} the registry of this machine is gone"
