"""``pilotage status``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pilotage.cli.options import Settings, common, json_option

if TYPE_CHECKING:
    from pilotage.model import Observed


@click.command("status")
@click.option(
    "--forget-host",
    metavar="HOST",
    help="Say that a host is gone for good, with everything that ran on it.",
)
@json_option
@common
def command(settings: Settings, *, forget_host: str | None) -> None:
    """Show what runs where, at which release, and whether it fits the schema.

    Also: the schema's version, pending and held migration halves, database sessions by release, the
    deploy lock, and what to do about a deploy that is unfinished.

    A host that does not answer blocks every contract half, since an older release may run there.
    --forget-host takes it out of the inventory: only for a machine that will not come back.
    """
    import time

    from pilotage.cli.pages.about import About
    from pilotage.cli.pages.status import page, to_json
    from pilotage.cli.project import claim, opened
    from pilotage.cli.render.lines import print_json, print_page, warnings
    from pilotage.cli.running import run
    from pilotage.deploy import forget_host as forget
    from pilotage.errors import DatabaseError, DeployError, StoreError
    from pilotage.observe import observe, without_database
    from pilotage.wiring import Use

    async def main() -> None:
        emit = warnings(settings)
        async with opened(settings, emit, use=Use.LOOK, changes=bool(forget_host)) as project:
            world = project.world
            if forget_host:
                _gone(forget_host, await observe(world))
                await forget(world, forget_host, claim(f"forget host {forget_host}"), emit)
            lost: DeployError | None = None
            try:
                observed, now = await observe(world), await world.store.now()
            except (DatabaseError, StoreError) as error:
                # Right when the database is gone, what runs here is what one wants to know.
                observed, now, lost = await without_database(world), time.time(), error
            about = About.project(project)
            if settings.as_json:
                data = to_json(about, observed, now)
                print_json({**data, "error": lost and lost.to_json()}, settings, pretty=True)
            else:
                print_page(page(about, observed, now, lost=lost), settings)
            if lost:
                raise lost

    run(main())


def _gone(host: str, observed: Observed) -> None:
    from pilotage.errors import UsageError

    if any(seen.name == host and seen.reachable for seen in observed.hosts):
        raise UsageError(
            f"{host} answers",
            state="nothing was changed",
            next="`pilotage remove` stops what runs there",
        )
    hosts = observed.state.hosts
    if host not in hosts:
        raise UsageError(
            f"{host} is not in the host inventory",
            state="nothing was changed",
            next=f"the hosts are: {', '.join(hosts) or 'none'}",
        )
