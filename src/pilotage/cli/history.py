"""``pilotage history``."""

from __future__ import annotations

import click

from pilotage.cli.options import Settings, common, json_option


@click.command("history")
@click.option(
    "-n",
    "--number",
    metavar="N",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="How many, from the newest.",
)
@json_option
@common
def command(settings: Settings, *, number: int) -> None:
    """Show who deployed what, when, how long it took, and how it ended."""
    from pilotage.cli.pages.history import page
    from pilotage.cli.project import opened
    from pilotage.cli.render.lines import print_json, print_page, warnings
    from pilotage.cli.running import run
    from pilotage.wiring import Use

    async def main() -> None:
        async with opened(settings, warnings(settings), use=Use.LOOK) as project:
            state = await project.world.store.read()
        entries = state.history[::-1][:number]
        if settings.as_json:
            print_json([entry.to_json() for entry in entries], settings, pretty=True)
        else:
            print_page(page(entries), settings)

    run(main())
