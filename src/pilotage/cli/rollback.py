"""``pilotage rollback``."""

from __future__ import annotations

import click

from pilotage.cli.options import Settings, common, deploying, json_option


@click.command("rollback")
@click.argument("revision", metavar="[REV]", required=False)
@click.option(
    "--force",
    is_flag=True,
    help="Where nothing says what a framework has applied: go back all the same.",
)
@click.option(
    "--expect", metavar="FINGERPRINT", help="Refuse any other plan than the one that was read."
)
@deploying
@json_option
@common
def command(
    settings: Settings,
    *,
    revision: str | None,
    force: bool,
    expect: str | None,
    lock_wait: float,
    reason: str,
) -> None:
    """Go back to a release whose code fits the schema as it is now.

    Without REV it is the release before; in the middle of a deploy, the one that served when the
    deploy began. No migration is taken back: the old code runs on the schema that is there, with the
    configuration and the secrets of today, or the rollback is refused with the reason.
    """
    go_back(settings, revision, lock_wait=lock_wait, reason=reason, force=force, expect=expect)


def go_back(
    settings: Settings,
    revision: str | None,
    *,
    lock_wait: float,
    reason: str,
    force: bool = False,
    expect: str | None = None,
) -> None:
    """Carry it out; `pilotage app boot --version` is the same."""
    from pilotage import deploy as verb
    from pilotage.cli.project import claim
    from pilotage.cli.verbs import carry_out
    from pilotage.events import Emit
    from pilotage.observe import observe
    from pilotage.plan import Plan
    from pilotage.wiring import Project, find_release, release_before, rollback_goal, tidy

    async def story(project: Project, emit: Emit) -> Plan:
        observed = await observe(project.world)
        known = find_release(observed.state, revision) if revision else release_before(observed)
        sha = known.revision if known else (await project.source.resolve(revision)).sha
        # What a release ran from is there already; a tag that was pushed anew is another one's.
        project.place.fetch_ahead(sha, kept=known is not None and known.deployed_at is not None)
        goal = await rollback_goal(project, sha, observed)
        who = claim(f"rollback to {goal.release.id}", reason=reason, wait=lock_wait)
        plan = await verb.rollback(project.world, goal, who, emit, expect=expect, force=force)
        await tidy(project, who, emit)
        return plan

    carry_out(settings, "rollback", story, version=revision)
