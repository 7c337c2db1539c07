"""``pilotage prune``."""

from __future__ import annotations

import click

from pilotage.cli.options import Settings, common, deploying
from pilotage.cli.selecting import Selectors, selecting


@click.command("prune")
@click.argument("what", type=click.Choice(["all"]), default="all", metavar="[all]")
@selecting
@deploying
@common
def command(
    settings: Settings, *, what: str, selectors: Selectors, lock_wait: float, reason: str
) -> None:
    """Remove what nothing needs any more: checkouts, and on hosts stopped containers and images.

    What runs stays, what is wanted, and the last `retain_containers` releases. Every deploy does it at its
    end. `prune all` is the same, in Kamal's words. For some hosts no checkout is removed.
    """
    from pilotage.cli.project import claim, configuration, hooks_for, opened_with
    from pilotage.cli.render import renderer
    from pilotage.cli.running import run
    from pilotage.cli.text import good
    from pilotage.wiring import Use, prune

    async def main() -> None:
        config = configuration(settings, deploying=True)
        hosts, roles = selectors.part(config, config.hosts), selectors.wanted_roles
        with renderer(settings) as emit:
            hooks = hooks_for(config, settings, emit, hosts=hosts, roles=roles)
            async with opened_with(
                *(config, hooks, settings, emit), use=Use.ACT, changes=True, selected=hosts
            ) as project:
                who = claim("prune", reason=reason, wait=lock_wait)
                await prune(project, who, emit, hosts)
        click.echo(f"{good('✓')} nothing is left that nothing needs")

    run(main())
