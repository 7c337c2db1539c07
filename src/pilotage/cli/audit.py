"""``pilotage audit``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pilotage.cli.options import Settings, common, json_option
from pilotage.cli.selecting import Selectors, selecting

if TYPE_CHECKING:
    from pilotage.audit import Line


@click.command("audit")
@click.option(
    "-n",
    "--lines",
    metavar="N",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="How many commands, from the newest.",
)
@selecting
@json_option
@common
def command(settings: Settings, *, lines: int, selectors: Selectors) -> None:
    """Show who ran which command that changes anything, when, and how it ended.

    Refused and interrupted ones as well. From the database, or from the hosts' own logs where the
    service has none. For some hosts it is what their own logs (audit.log) have: the commands that went there.
    """
    from pilotage.audit import joined
    from pilotage.cli.pages.audit import page
    from pilotage.cli.render.lines import print_json, print_page
    from pilotage.cli.running import run

    async def main() -> None:
        entries = joined(await _last(settings, selectors, 2 * lines))[-lines:]
        if settings.as_json:
            print_json([entry.to_json() for entry in entries], settings, pretty=True)
        else:
            print_page(page(entries), settings)

    run(main())


async def _last(settings: Settings, selectors: Selectors, count: int) -> list[Line]:
    """The newest lines: of the service, or of hosts that were asked for."""
    from pilotage.audit import Audit
    from pilotage.cli.project import configuration, opened
    from pilotage.cli.reaching import reached
    from pilotage.cli.render.lines import warnings
    from pilotage.config.select import all_hosts
    from pilotage.wiring import Use
    from pilotage.wiring.audited import logs_on

    emit = warnings(settings)
    if selectors == Selectors():
        async with opened(settings, emit, use=Use.LOOK) as project:
            return await project.audit.last(count)
    config = configuration(settings)
    hosts, roles = selectors.among(config, all_hosts(config)), selectors.wanted_roles
    async with reached(config, settings, hosts, emit, changes=False, roles=roles) as fleet:
        return await Audit(logs_on(config, fleet), None, emit).last(count)
