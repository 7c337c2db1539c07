"""``pilotage resume``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pilotage.cli.closing import act
from pilotage.cli.options import Settings, common, deploying, json_option

if TYPE_CHECKING:
    from pilotage.events import Emit
    from pilotage.maintenance import Changed
    from pilotage.wiring import Project


@click.command("resume")
@deploying
@json_option
@common
def command(settings: Settings, *, lock_wait: float, reason: str) -> None:
    """Let the requests go on that a pause holds.

    It ends a pause and nothing else: maintenance ends with `pilotage live`. Refused, like that one,
    where nobody would answer.
    """
    from pilotage.cli.project import claim
    from pilotage.maintenance import reopen

    async def action(project: Project, emit: Emit) -> Changed:
        who = claim("resume", reason=reason, wait=lock_wait)
        return await reopen(project.world, project.layout, who, emit, only_pause=True)

    def words(changed: Changed) -> str:
        if not changed.changed:
            return "nothing is paused: nothing to do"
        return f"resumed: the held requests go on, and new ones pass {', '.join(changed.hosts)}"

    act(settings, "resume", action, words)
