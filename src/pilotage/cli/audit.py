"""``pilotage audit``."""

from __future__ import annotations

import click

from pilotage.cli.options import Settings, common, json_option


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
@json_option
@common
def command(settings: Settings, *, lines: int) -> None:
    """Show who ran which command that changes anything, when, and how it ended.

    Refused and interrupted ones as well. From the database, or from the hosts' own logs where the
    service has none; each host has the same in audit.log.
    """
    from pilotage.audit import joined
    from pilotage.cli.pages.audit import page
    from pilotage.cli.project import opened
    from pilotage.cli.render.lines import print_json, print_page, warnings
    from pilotage.cli.running import run
    from pilotage.wiring import Use

    async def main() -> None:
        async with opened(settings, warnings(settings), use=Use.LOOK) as project:
            entries = joined(await project.audit.last(2 * lines))[-lines:]
        if settings.as_json:
            print_json([entry.to_json() for entry in entries], settings, pretty=True)
        else:
            print_page(page(entries), settings)

    run(main())
