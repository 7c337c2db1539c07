"""``pilotage prune``."""

from __future__ import annotations

import click

from pilotage.cli.options import Settings, common, deploying


@click.command("prune")
@click.argument("what", type=click.Choice(["all"]), default="all", metavar="[all]")
@deploying
@common
def command(settings: Settings, *, what: str, lock_wait: float, reason: str) -> None:
    """Remove what nothing needs any more: checkouts, and on hosts stopped containers and images.

    What runs stays, what is wanted, and the last `retain_containers` releases. Every deploy does it at its
    end. `prune all` is the same, in Kamal's words.
    """
    from pilotage.cli.project import claim, opened
    from pilotage.cli.render import renderer
    from pilotage.cli.running import run
    from pilotage.cli.text import good
    from pilotage.wiring import Use, prune

    async def main() -> None:
        with renderer(settings) as emit:
            async with opened(settings, emit, use=Use.ACT, deploying=True, changes=True) as project:
                await prune(project, claim("prune", reason=reason, wait=lock_wait), emit)
        click.echo(f"{good('✓')} nothing is left that nothing needs")

    run(main())
