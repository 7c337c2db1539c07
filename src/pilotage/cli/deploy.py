"""``pilotage deploy``."""

from __future__ import annotations

import click

from pilotage.cli.options import Settings, common, deploying, json_option
from pilotage.cli.selecting import Selectors, selecting


@click.command("deploy")
@click.option("--version", "revision", metavar="REV", help="A commit, branch, tag or release id.")
@click.option("--again", is_flag=True, help="Take up a release that was aborted before.")
@click.option(
    "--expect", metavar="FINGERPRINT", help="Refuse any other plan than the one that was read."
)
@click.option(
    "--downtime", is_flag=True, help="Show a maintenance page, stop everything, then deploy."
)
@click.option(
    "--live-on-failure",
    is_flag=True,
    help="When a deploy with downtime fails, bring the old release back if it still fits.",
)
@click.option(
    "-P", "--skip-push", is_flag=True, help="Take the image that is in the registry: build nothing."
)
@click.option("--no-cache", "fresh", is_flag=True, help="Build everything anew.")
@selecting
@deploying
@json_option
@common
def command(
    settings: Settings,
    *,
    revision: str | None,
    again: bool,
    skip_push: bool,
    fresh: bool,
    expect: str | None,
    downtime: bool,
    live_on_failure: bool,
    selectors: Selectors,
    lock_wait: float,
    reason: str,
) -> None:
    """Bring the service and its schema to a release.

    Without --version that is the last commit, and the worktree must be clean. After a crash or an
    interruption the same command looks at what is there, and finishes.

    The migrations of the release run first (their expand halves and backfills), then its instances
    start beside the old ones; when all are healthy the traffic is switched, and the old ones end.
    What fails before the switch leaves the old release serving.

    With --downtime clients get a maintenance page while everything is stopped, workers too; then all
    halves are applied, contract halves as well, the new release starts and is checked, and the edges
    open. When it fails the page stays, and the same command goes on; with --live-on-failure the old
    release is brought back if it still fits the schema. With nothing to stop for, nothing is stopped.

    With --hosts, --roles or --primary it stops half-way: what is selected is brought to the release, the
    rest goes on as it is, no contract half runs, and `pilotage status` says that the fleet is mixed.
    Other hosts need not answer: what runs on one that does not is unknown. `pilotage deploy` goes on from
    there, `pilotage rollback` goes back.
    """
    import asyncio

    from pilotage import deploy as verb
    from pilotage.cli.project import claim
    from pilotage.cli.verbs import carry_out
    from pilotage.events import Emit, Note
    from pilotage.hooks import Hook
    from pilotage.observe import observe
    from pilotage.plan import Plan
    from pilotage.wiring import Project, findings, goal_of, tidy
    from pilotage.wiring.selected import selected

    async def story(project: Project, emit: Emit) -> Plan:
        found = await project.revision(revision)
        if skip_push:
            project.place.fetch_ahead(found.sha)
        else:
            await project.world.hooks.run(Hook.PRE_BUILD, version=found.sha)
        observed = await observe(project.world)
        goal = await goal_of(project, found.sha, observed, again=again)
        goal = selected(project, goal, selectors.asked(project.config))
        for hazard in findings(project, goal.migrations, observed.schema):
            text = f"{hazard.where}: {hazard.message} ({hazard.rule})"
            emit(Note(text=text, level="warning"))
        if not skip_push:
            await project.place.build(found.sha, fresh=fresh)
            project.place.fetch_ahead(found.sha)
        who = claim(f"deploy {goal.release.id}", reason=reason, wait=lock_wait)
        plan = await verb.deploy(
            project.world,
            goal,
            who,
            emit,
            again=again,
            expect=expect,
            downtime=downtime,
            live_on_failure=live_on_failure,
        )
        # Only now: it reads SQL, and the hosts should be at work before that is imported.
        from pilotage.wiring.schema_file import record_after

        # One asks the database, the other the hosts.
        await asyncio.gather(record_after(plan, project, emit), tidy(project, who, emit))
        return plan

    carry_out(settings, "deploy", story, version=revision, selectors=selectors)
