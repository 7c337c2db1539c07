"""``pilotage server``: the hosts themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pilotage.cli.options import Settings, common, on_group
from pilotage.cli.selecting import Selectors, selecting

if TYPE_CHECKING:
    from pilotage.errors import HostKeyUnknown


@click.group("server")
@on_group
def command() -> None:
    """Accept the keys of hosts, install Docker there, and run commands on them."""


@command.command("trust")
@click.argument("hosts", nargs=-1, metavar="[HOST]...")
@click.option(
    "--fingerprint",
    "fingerprints",
    multiple=True,
    metavar="SHA256:…",
    help="Accept the key with this fingerprint without asking; again for more hosts.",
)
@click.option("-y", "--yes", is_flag=True, help="Accept whatever key a host shows, unseen.")
@common
def trust(
    settings: Settings, *, hosts: tuple[str, ...], fingerprints: tuple[str, ...], yes: bool
) -> None:
    """Accept the host keys of HOST (default: every host), after a look at each fingerprint.

    They are written to your own known_hosts file. A key that has changed is never accepted.
    """
    from pilotage.cli.project import configuration
    from pilotage.cli.running import run
    from pilotage.cli.text import good
    from pilotage.wiring.servers import trust_hosts

    def confirm(unknown: HostKeyUnknown) -> bool:
        if fingerprints:
            return unknown.fingerprint in fingerprints
        shown = f"{unknown.where} shows {unknown.kind} {unknown.fingerprint}"
        if yes:
            click.echo(shown)
            return True
        return click.confirm(f"{shown}\nIs that what the host itself says?", err=True)

    async def main() -> None:
        config = configuration(settings)
        done = await trust_hosts(config, hosts or config.hosts, confirm)
        for host, path in done.new:
            click.echo(f"{good('✓')} {host} is known from now on ({path})")
        if done.known:
            click.echo(f"{good('✓')} known already: {', '.join(done.known)}")

    run(main())


@command.command("bootstrap")
@selecting
@common
def bootstrap(settings: Settings, *, selectors: Selectors) -> None:
    """Install Docker on every host that has none, by Docker's own script, and run the hook docker-setup.

    Where a host has podman and no Docker, podman takes its place.

    Who logs in is root, or may use sudo without a password. `pilotage setup` does this first.
    """
    from pilotage.cli.project import configuration, hooks_for
    from pilotage.cli.reaching import reached
    from pilotage.cli.render import renderer
    from pilotage.cli.running import run
    from pilotage.cli.text import good
    from pilotage.config.select import all_hosts
    from pilotage.wiring.setup import prepare, require_hosts

    async def main() -> None:
        config = configuration(settings, deploying=True)
        require_hosts(config)
        hosts = selectors.among(config, all_hosts(config))
        with renderer(settings) as emit:
            hooks = hooks_for(config, settings, emit, hosts=hosts, roles=selectors.wanted_roles)
            async with reached(config, settings, hosts, emit, changes=True, hooks=hooks) as fleet:
                installed = await prepare(tuple(fleet.shells.values()), hooks, emit)
        new = f"; new on {', '.join(installed)}" if installed else ""
        where = "every host" if selectors == Selectors() else ", ".join(hosts)
        click.echo(f"{good('✓')} Docker answers on {where}{new}")

    run(main())


@command.command("exec", context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, required=True, metavar="COMMAND...")
@click.option("-i", "--interactive", is_flag=True, help="On your terminal, on one host.")
@selecting
@common
def execute(
    settings: Settings, *, words: tuple[str, ...], interactive: bool, selectors: Selectors
) -> None:
    """Run COMMAND on every host, those of accessories too, outside of any container.

    One word is a line for the host's shell ("df -h | tail -1"); several are a program and its
    arguments, as they are. Ends with the first exit status that is not 0.
    """
    from pilotage.cli.project import configuration
    from pilotage.cli.reaching import reached
    from pilotage.cli.render.lines import warnings
    from pilotage.cli.running import run
    from pilotage.config.select import all_hosts
    from pilotage.wiring.servers import run_on_hosts

    argv = ("sh", "-c", words[0]) if len(words) == 1 else words

    def show(host: str, line: str) -> None:
        click.echo(f"{click.style(host, fg='cyan')} {line}")

    async def main() -> None:
        config = configuration(settings, deploying=True)
        wanted = selectors.among(config, all_hosts(config))
        if interactive:
            wanted = wanted[:1]
        emit = warnings(settings)
        async with reached(
            config, settings, wanted, emit, changes=True, roles=selectors.wanted_roles
        ) as fleet:
            settings.secrets.extend(config.secrets.values())
            if interactive:
                statuses = {wanted[0]: await fleet[wanted[0]].interactive(argv)}
            else:
                statuses = await run_on_hosts(fleet.shells.values(), argv, show)
            if failed := [status for status in statuses.values() if status]:
                raise click.exceptions.Exit(failed[0])  # in here, so that the audit has it

    run(main())
