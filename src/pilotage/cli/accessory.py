"""``pilotage accessory``: the databases and caches beside a service."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import click

from pilotage.cli.instead import Group
from pilotage.cli.options import (
    Settings,
    common,
    grep_option,
    last_lines,
    on_group,
    skip_timestamps,
)

if TYPE_CHECKING:
    import re

    from pilotage.accessory import Accessories, AccessorySpec

_hosts = click.option(
    "--hosts", metavar="A,B*", default="", help="Only on these hosts, of those that it has."
)
_name = click.argument("name", metavar="NAME|all")


_BOOT = "`pilotage accessory boot NAME` does it by itself"
_REMOVE = "`pilotage accessory remove NAME` removes its container, its image and its folder"
INSTEAD = {
    **dict.fromkeys(("upload", "directories"), _BOOT),
    "pull_image": "`pilotage accessory reboot NAME` pulls it, and replaces the container",
    **dict.fromkeys(("remove_container", "remove_image", "remove_service_directory"), _REMOVE),
    "upgrade": "that is for accessories of Kamal 1: `pilotage accessory reboot NAME`",
}


@click.group("accessory", cls=Group, instead=INSTEAD)
@on_group
def command() -> None:
    """Boot, stop and look at accessories: a database, a cache, whatever runs beside the service.

    A deploy never touches them. `pilotage setup` boots those that do not run.
    """


@command.command("boot")
@_name
@_hosts
@common
def boot(settings: Settings, *, name: str, hosts: str) -> None:
    """Run it where it does not run yet."""
    _each(settings, name, hosts, "runs", lambda it, spec: it.boot(spec), whole=True)


@command.command("reboot")
@_name
@_hosts
@common
def reboot(settings: Settings, *, name: str, hosts: str) -> None:
    """Pull its image, and replace its container by a new one: its data stays in its volumes."""
    _each(settings, name, hosts, "runs anew", lambda it, spec: it.reboot(spec), whole=True)


@command.command("start")
@_name
@_hosts
@common
def start(settings: Settings, *, name: str, hosts: str) -> None:
    """Start the container that is stopped."""
    _each(settings, name, hosts, "is started", lambda it, spec: it.start(spec))


@command.command("stop")
@_name
@_hosts
@common
def stop(settings: Settings, *, name: str, hosts: str) -> None:
    """Stop the container, and keep it."""
    _each(settings, name, hosts, "is stopped", lambda it, spec: it.stop(spec))


@command.command("restart")
@_name
@_hosts
@common
def restart(settings: Settings, *, name: str, hosts: str) -> None:
    """Stop it and start it again."""
    _each(settings, name, hosts, "is started again", lambda it, spec: it.restart(spec))


@command.command("remove")
@click.option("-y", "--confirmed", is_flag=True, help="Do not ask.")
@_name
@_hosts
@common
def remove(settings: Settings, *, name: str, hosts: str, confirmed: bool) -> None:
    """Remove its container, its image and its folder, WITH THE DATA in it."""
    if not confirmed:
        click.confirm(f"This deletes the data of {name} for good. Go on?", abort=True)
    _each(settings, name, hosts, "is gone, with its data", lambda it, spec: it.remove(spec))


@command.command("details")
@_name
@_hosts
@common
def details(settings: Settings, *, name: str, hosts: str) -> None:
    """Show its containers, as Docker does."""

    async def show(accessories: Accessories, spec: AccessorySpec) -> None:
        for host, text in (await accessories.details(spec)).items():
            click.echo(f"{spec.name} on {host}\n{text}\n")

    _each(settings, name, hosts, "", show, changes=False)


@command.command("exec")
@click.option("-i", "--interactive", is_flag=True, help="With your terminal, on its first host.")
@click.option("--reuse", is_flag=True, help="In the container that runs, not in one of its own.")
@click.argument("name", metavar="NAME")
@_hosts
@click.argument("arguments", metavar="-- COMMAND [ARGUMENT]...", nargs=-1, required=True)
@common
def execute(
    settings: Settings,
    *,
    name: str,
    hosts: str,
    interactive: bool,
    reuse: bool,
    arguments: tuple[str, ...],
) -> None:
    """Run a command in it, or in another container of its image.

    One ARGUMENT alone is split into words, as a shell would.
    """
    import shlex

    if len(arguments) == 1:
        arguments = tuple(shlex.split(arguments[0]))

    async def story(accessories: Accessories, spec: AccessorySpec) -> None:
        status = await accessories.execute(
            spec, arguments, interactive=interactive, reuse=reuse, output=_written
        )

        if status:
            raise click.exceptions.Exit(status)

    _each(settings, name, hosts, "", story, whole=not reuse)


@command.command("logs")
@click.option("-s", "--since", metavar="TIME", help="From a time on, or for the last `15m`.")
@click.option(
    "-n", "--lines", metavar="N", type=int, help="The last lines, 100 without --since or --grep."
)
@click.option("-f", "--follow", is_flag=True, help="Go on with what it prints.")
@grep_option
@skip_timestamps
@click.argument("name", metavar="NAME")
@_hosts
@common
def logs(
    settings: Settings,
    *,
    name: str,
    hosts: str,
    since: str | None,
    lines: int | None,
    follow: bool,
    grep: re.Pattern[str] | None,
    times: bool,
) -> None:
    """Show what it prints."""
    from pilotage.cli.follow import ended_by_hand
    from pilotage.secret import mask

    def out(line: str) -> None:
        if grep is None or grep.search(line):
            click.echo(mask(line, settings.secrets))

    async def story(accessories: Accessories, spec: AccessorySpec) -> None:
        shown = last_lines(lines, since or None, grep)
        await accessories.logs(spec, out, since=since, lines=shown, follow=follow, times=times)

    with ended_by_hand(follow):
        _each(settings, name, hosts, "", story, changes=False)


def _written(error: bool, block: bytes) -> None:
    """Write what a command wrote, byte for byte, to where it wrote it."""
    stream = (sys.stderr if error else sys.stdout).buffer
    stream.write(block)
    stream.flush()


def _each(
    settings: Settings,
    name: str,
    hosts: str,
    done: str,
    verb: Callable[[Accessories, AccessorySpec], Awaitable[None]],
    *,
    whole: bool = False,
    changes: bool = True,
) -> None:
    """One verb on each accessory that is meant, one after the other. ``changes``: it is for the audit."""
    from pilotage.accessory import Accessories
    from pilotage.cli.project import configuration
    from pilotage.cli.reaching import reached
    from pilotage.cli.render.lines import warnings
    from pilotage.cli.running import run
    from pilotage.cli.text import good
    from pilotage.wiring.accessories import chosen

    async def main() -> None:
        config = configuration(settings, deploying=whole)
        specs = chosen(config, name, hosts=hosts or None, whole=whole)
        settings.secrets.extend(secret for spec in specs for secret in spec.secrets)
        emit = warnings(settings)
        where = tuple(dict.fromkeys(host for spec in specs for host in spec.hosts))
        async with reached(config, settings, where, emit, changes=changes) as fleet:
            accessories = Accessories(fleet.shells, emit)
            for spec in specs:
                await verb(accessories, spec)
                if done:
                    click.echo(f"{good('✓')} {spec.service} {done} on {', '.join(spec.hosts)}")

    run(main())
