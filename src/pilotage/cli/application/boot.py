"""``pilotage app boot`` and ``pilotage app start``."""

from __future__ import annotations

import click

from pilotage.cli.options import Settings, common, deploying, json_option
from pilotage.cli.selecting import Selectors, selecting


@click.command("boot")
@click.option(
    "--version", "revision", metavar="REV", help="A release other than the one that runs."
)
@selecting
@deploying
@json_option
@common
def command(
    settings: Settings,
    *,
    revision: str | None,
    selectors: Selectors,
    lock_wait: float,
    reason: str,
) -> None:
    """Boot the release that runs anew: new instances beside the old ones, healthy, switched, then the old end.

    With the configuration and the secrets of today. No request is lost, and no schema changes. With --hosts,
    --roles or --primary other hosts need not answer. With a release
    that does not run, named by --version, it is `pilotage rollback REV`: it must fit the schema as it is, and
    it goes everywhere.
    """
    from pilotage.cli.rollback import go_back
    from pilotage.errors import UsageError

    if revision is None:
        _boot(settings, selectors, lock_wait=lock_wait, reason=reason, anew=True)
        return
    if selectors != Selectors():
        raise UsageError(
            "--version with a selector would leave a mixed fleet",
            state="nothing was touched",
            next=f"pilotage app boot --version {revision}",
        )
    go_back(settings, revision, lock_wait=lock_wait, reason=reason)


@click.command("start")
@selecting
@deploying
@json_option
@common
def start(settings: Settings, *, selectors: Selectors, lock_wait: float, reason: str) -> None:
    """Start what of the release does not run, after `app stop` or a crash; what runs is left alone.

    It must be healthy before it gets a request, and it must fit the schema.
    """
    _boot(settings, selectors, lock_wait=lock_wait, reason=reason, anew=False)


def _boot(
    settings: Settings, selectors: Selectors, *, lock_wait: float, reason: str, anew: bool
) -> None:
    import secrets

    from pilotage import deploy as verb
    from pilotage.cli.project import claim
    from pilotage.cli.verbs import carry_out
    from pilotage.events import Emit
    from pilotage.plan import Plan
    from pilotage.wiring import Project
    from pilotage.wiring.selected import serving_goal, spots

    name = "boot" if anew else "start"

    async def story(project: Project, emit: Emit) -> Plan:
        where = spots(project, selectors.of(project.config))
        goal = await serving_goal(project)
        who = claim(f"app {name}", reason=reason, wait=lock_wait)
        renew = secrets.token_hex(3) if anew else None
        return await verb.boot(project.world, goal, where, who, emit, renew=renew)

    carry_out(settings, name, story, selectors=selectors)
