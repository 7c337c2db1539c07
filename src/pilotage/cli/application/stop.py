"""``pilotage app stop`` and ``pilotage app stale``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pilotage.cli.options import Settings, common, deploying, json_option
from pilotage.cli.selecting import Selectors, selecting

if TYPE_CHECKING:
    from pilotage.wiring import Project


@click.command("stop")
@selecting
@deploying
@json_option
@common
def command(settings: Settings, *, selectors: Selectors, lock_wait: float, reason: str) -> None:
    """Stop what runs, requests in flight first to their end: new ones get 503.

    `pilotage app start` starts it again, and so does every deploy. With --hosts, --roles or --primary other
    hosts need not answer. To close the service with a page while it
    goes on running: `pilotage maintenance`.
    """
    _stop(settings, selectors, lock_wait=lock_wait, reason=reason, stale=False)


@click.command("stale")
@click.option("-s", "--stop", "stops", is_flag=True, help="Stop them.")
@selecting
@deploying
@json_option
@common
def stale(
    settings: Settings, *, stops: bool, selectors: Selectors, lock_wait: float, reason: str
) -> None:
    """Show what runs of other releases than the one that serves: Kamal's `stale_containers`.

    A deploy that came to its end leaves none; one that was cut off may, and takes them up when it is run again.
    """
    from pilotage.cli.project import opened
    from pilotage.cli.render.lines import print_json, print_page, warnings
    from pilotage.cli.running import run
    from pilotage.observe import observe
    from pilotage.wiring import Use
    from pilotage.wiring.selected import spots, stale_instances

    if stops:
        _stop(settings, selectors, lock_wait=lock_wait, reason=reason, stale=True)
        return

    async def main() -> None:
        async with opened(
            settings, warnings(settings), use=Use.LOOK, selectors=selectors
        ) as project:
            where = spots(project, selectors.of(project.config))
            found = stale_instances(project, await observe(project.world), where)
        if settings.as_json:
            print_json([instance.to_json() for instance in found], settings, pretty=True)
        else:
            rows = [f"{i.host}  {i.role}  {i.release}  {i.id}" for i in found]
            print_page(rows or ["nothing of another release runs"], settings)

    run(main())


def _stop(
    settings: Settings, selectors: Selectors, *, lock_wait: float, reason: str, stale: bool
) -> None:
    from pilotage import deploy as verb
    from pilotage.cli.project import claim
    from pilotage.cli.verbs import carry_out
    from pilotage.events import Emit
    from pilotage.plan import Plan
    from pilotage.wiring.selected import serving_goal, spots

    async def story(project: Project, emit: Emit) -> Plan:
        where = spots(project, selectors.of(project.config))
        goal = await serving_goal(project, judged=stale)
        who = claim("app stale" if stale else "app stop", reason=reason, wait=lock_wait)
        return await verb.stop(project.world, goal, where, who, emit, stale=stale)

    carry_out(settings, "stop", story, selectors=selectors)
