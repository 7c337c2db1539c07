"""``pilotage app containers`` and ``pilotage app images``: what the hosts have, in Docker's own words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

import click

from pilotage.cli.options import Settings, common
from pilotage.cli.selecting import Selectors, selecting

if TYPE_CHECKING:
    from pilotage.wiring.place import Show


@click.command("containers")
@selecting
@common
def command(settings: Settings, *, selectors: Selectors) -> None:
    """Show every container of the service, those too that have ended and are kept for their logs."""
    _show(settings, selectors, lambda hosts: hosts.containers())


@click.command("images")
@selecting
@common
def images(settings: Settings, *, selectors: Selectors) -> None:
    """Show the images of the service on the hosts."""
    _show(settings, selectors, lambda hosts: hosts.images_there())


def _show(
    settings: Settings,
    selectors: Selectors,
    ask: Callable[[Show], Awaitable[Mapping[str, str]]],
) -> None:
    from pilotage.cli.project import opened
    from pilotage.cli.render.lines import warnings
    from pilotage.cli.running import run
    from pilotage.errors import UsageError
    from pilotage.wiring import Use

    async def main() -> None:
        async with opened(
            settings, warnings(settings), use=Use.LOOK, selectors=selectors
        ) as project:
            if project.place.show is None:
                raise UsageError(
                    "the instances of this machine are processes: there are no containers, and no images",
                    next="`pilotage status` shows what runs",
                )
            wanted = {place.host for place in selectors.of(project.config)}
            for host, text in (await ask(project.place.show)).items():
                if host in wanted:
                    click.echo(f"{click.style(host, bold=True)}\n{text}\n")

    run(main())
