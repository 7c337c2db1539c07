"""``pilotage migrate down``."""

from __future__ import annotations

import click

from pilotage.cli.options import Settings, common, deploying, json_option


@click.command("down")
@click.argument("version")
@deploying
@json_option
@common
def command(settings: Settings, *, version: str, lock_wait: float, reason: str) -> None:
    """Take an expand half back with its `-- down` section.

    Refused while anything that runs needs it, and once its contract half has started.
    """
    from pilotage import manual
    from pilotage.cli.migrate.acting import Done, act
    from pilotage.cli.migrate.acting import version as read_version
    from pilotage.cli.project import claim
    from pilotage.events import Emit
    from pilotage.migrate.runner import SqlSchema
    from pilotage.model import expand
    from pilotage.observe import observe
    from pilotage.wiring import Project, worktree_goal

    wanted = read_version(version.removesuffix("/expand"))

    async def story(project: Project, schema: SqlSchema, emit: Emit) -> Done:
        goal = worktree_goal(project, await observe(project.world))
        who = claim(f"migrate down {wanted}", reason=reason, wait=lock_wait)
        await manual.down(project.world, goal, wanted, who, emit)
        return Done((expand(wanted),), f"{wanted} is taken back")

    act(settings, "down", story)
