"""``pilotage plan``."""

from __future__ import annotations

import click

from pilotage.cli.options import Settings, common, json_option
from pilotage.cli.selecting import Selectors, selecting


@click.command("plan")
@click.option("--version", "revision", metavar="REV", help="A commit, branch, tag or release id.")
@click.option("--again", is_flag=True, help="Plan to take up a release that was aborted before.")
@click.option("--downtime", is_flag=True, help="Plan to stop everything first.")
@selecting
@json_option
@common
def command(
    settings: Settings,
    *,
    revision: str | None,
    again: bool,
    downtime: bool,
    selectors: Selectors,
) -> None:
    """Show what a deploy would do, on one page, and touch nothing.

    From which release to which; every pending migration half and what it does; the steps in their
    order; what happens when one fails; what a contract half can be proven by; and the point of no
    return. `pilotage deploy --expect FINGERPRINT` then runs this plan and no other.

    Exit status 1 when the deploy would be refused.
    """
    from dataclasses import replace

    from pilotage.cli.pages.about import About
    from pilotage.cli.pages.plan import barred_by, page, to_json
    from pilotage.cli.project import opened
    from pilotage.cli.render.lines import print_json, print_page, warnings
    from pilotage.cli.running import run
    from pilotage.observe import observe
    from pilotage.plan import plan_deploy
    from pilotage.wiring import Use, files_of, findings, goal_of
    from pilotage.wiring.large import suggestions
    from pilotage.wiring.selected import selected

    async def main() -> bool:
        async with opened(
            *(settings, warnings(settings)), use=Use.PLAN, version=revision, selectors=selectors
        ) as project:
            found = await project.revision(revision, dirty=True)
            observed = await observe(project.world)
            files = await files_of(project, found.sha, observed)
            goal = await goal_of(project, found.sha, observed, again=again, files=files)
            goal = selected(project, goal, selectors.asked(project.config))
            now = await project.world.store.now()
            plan = plan_deploy(observed, goal, now=now, again=again, downtime=downtime)
            large = await suggestions(project, goal.migrations, observed.schema)
            plan = replace(plan, notes=(*project.notes, *plan.notes, *large))
            hazards = findings(project, goal.migrations, observed.schema, files.known)
            about = About.project(project)
            if settings.as_json:
                print_json(to_json(about, found, plan, hazards), settings, pretty=True)
            else:
                barred = barred_by(observed, plan.steps)
                print_page(page(about, found, plan, hazards, barred), settings)
            return bool(plan.refusals) or plan.verb == "return"

    if run(main()):
        raise click.exceptions.Exit(1)
