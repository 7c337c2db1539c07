"""``pilotage pause``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pilotage.cli.closing import act, duration, replaced
from pilotage.cli.options import Settings, common, deploying, json_option
from pilotage.errors import UsageError

if TYPE_CHECKING:
    from pilotage.events import Emit
    from pilotage.maintenance import Changed
    from pilotage.wiring import Project

LONGEST = 3600.0


@click.command("pause")
@click.option(
    "--max",
    "limit",
    metavar="TIME",
    callback=duration,
    default="30s",
    show_default=True,
    help="How long a request is held at most; then it gets 503.",
)
@deploying
@json_option
@common
def command(settings: Settings, *, limit: float, lock_wait: float, reason: str) -> None:
    """Hold every new request at the edge, until `pilotage resume`.

    For what takes seconds: the restart of a database, a failover. Requests in flight end as they would;
    held ones go on with the resume, and clients notice a delay. A deploy may run meanwhile; held
    requests then reach the new release. Run it again to change --max; it ends maintenance.
    """
    from pilotage.cli.project import claim
    from pilotage.cli.text import seconds
    from pilotage.maintenance import close
    from pilotage.page import pause

    if not 0 < limit <= LONGEST:
        raise UsageError(
            "--max must be more than 0 and at most 1h",
            state="nothing was changed",
            next="for longer than that there is `pilotage maintenance`",
        )

    async def action(project: Project, emit: Emit) -> Changed:
        who = claim("pause", reason=reason, wait=lock_wait)
        return await close(project.world, project.layout, pause(limit), who, emit)

    def words(changed: Changed) -> str:
        where = ", ".join(changed.hosts)
        return (
            f"paused: {where} holds each new request, for at most {seconds(limit)}"
            f"{replaced(changed.before, 'pause')}; `pilotage resume` lets them go on"
        )

    act(settings, "pause", action, words)
