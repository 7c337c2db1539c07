"""``pilotage live``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pilotage.cli.closing import act
from pilotage.cli.options import Settings, common, deploying, json_option

if TYPE_CHECKING:
    from pilotage.events import Emit
    from pilotage.maintenance import Changed
    from pilotage.wiring import Project


@click.command("live")
@deploying
@json_option
@common
def command(settings: Settings, *, lock_wait: float, reason: str) -> None:
    """End the maintenance, or a pause: requests reach the instances again.

    Refused where nobody would answer: each host needs a healthy instance of a release that fits the
    schema. So after a deploy with downtime that stopped half-way, finish it or roll back.
    """
    from pilotage.cli.project import claim
    from pilotage.maintenance import reopen

    async def action(project: Project, emit: Emit) -> Changed:
        who = claim("live", reason=reason, wait=lock_wait)
        return await reopen(project.world, project.layout, who, emit)

    def words(changed: Changed) -> str:
        if not changed.changed:
            return "live already: nothing to do"
        over = changed.before.front.mode if changed.before else "maintenance"
        return f"live: the {over} is over, requests pass {', '.join(changed.hosts)}"

    act(settings, "live", action, words)
