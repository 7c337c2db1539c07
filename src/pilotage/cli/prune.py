"""``pilotage prune``."""

from __future__ import annotations

import click

from pilotage.cli.options import Settings, common, deploying
from pilotage.cli.selecting import Selectors, selecting
from pilotage.errors import UsageError


def _all(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    """Kamal's other words are for a part that cannot go alone: an image stays while a container has it."""
    if value == "all":
        return value
    if value in ("containers", "images"):
        raise UsageError(
            f"there is no `prune {value}`: containers and images go together",
            state="nothing was touched",
            next="`pilotage prune`, with --retain N to keep fewer",
        )
    raise click.BadParameter(f"{value!r} is not 'all'.")


@click.command("prune")
@click.argument("what", callback=_all, default="all", metavar="[all]")
@click.option(
    "--retain",
    metavar="N",
    type=click.IntRange(min=1),
    help="How many releases to keep, other than `retain_containers`.",
)
@selecting
@deploying
@common
def command(
    settings: Settings,
    *,
    what: str,
    retain: int | None,
    selectors: Selectors,
    lock_wait: float,
    reason: str,
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
                await prune(project, who, emit, hosts=hosts, retain=retain)
        click.echo(f"{good('✓')} nothing is left that nothing needs")

    run(main())
