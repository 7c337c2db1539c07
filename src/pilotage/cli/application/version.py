"""``pilotage app version``."""

from __future__ import annotations

import click

from pilotage.cli.options import Settings, common, json_option
from pilotage.cli.selecting import Selectors, selecting


@click.command("version")
@selecting
@json_option
@common
def command(settings: Settings, *, selectors: Selectors) -> None:
    """Show which release runs where: for each role and host the commits of its instances."""
    from pilotage.cli.project import opened
    from pilotage.cli.render.lines import print_json, print_page, warnings
    from pilotage.cli.running import run
    from pilotage.observe import observe
    from pilotage.wiring import Use
    from pilotage.wiring.selected import versions

    async def main() -> None:
        async with opened(
            settings, warnings(settings), use=Use.LOOK, selectors=selectors
        ) as project:
            found = versions(project, await observe(project.world), selectors.of(project.config))
        if settings.as_json:
            rows = [{"host": p.host, "role": p.role, "revisions": list(r)} for p, r in found]
            print_json(rows, settings, pretty=True)
        else:
            lines = (f"{p.host}  {p.role}  {', '.join(r) or 'nothing runs'}" for p, r in found)
            print_page(lines, settings)

    run(main())
