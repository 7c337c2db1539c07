"""``pilotage migrate run``."""

from __future__ import annotations

import click

from pilotage.cli.options import Settings, common, deploying, json_option


@click.command("run")
@click.argument("half", metavar="VERSION[/HALF]")
@deploying
@json_option
@common
def command(settings: Settings, *, half: str, lock_wait: float, reason: str) -> None:
    """Run one half now: an expand half with its backfill, or a contract half with its proof.

    For out-of-band halves, which a deploy leaves to you. A run that was interrupted resumes; a half
    that is applied already is left alone.
    """
    from pilotage import manual
    from pilotage.cli.migrate.acting import Done, act
    from pilotage.cli.migrate.acting import half as read_half
    from pilotage.cli.project import claim
    from pilotage.events import Emit
    from pilotage.migrate.runner import SqlSchema
    from pilotage.observe import observe
    from pilotage.wiring import Project, worktree_goal
    from pilotage.wiring.goals import check

    ref = read_half(half)

    async def story(project: Project, schema: SqlSchema, emit: Emit) -> Done:
        observed = await observe(project.world)
        goal = worktree_goal(project, observed)
        check(project, goal.migrations, observed.schema)
        if observed.schema.applied.has(ref):
            return Done((), f"{ref} is applied already")
        who = claim(f"migrate run {ref}", reason=reason, wait=lock_wait)
        await manual.run_half(project.world, goal, ref, who, emit)
        return Done((ref,), f"{ref} is applied")

    act(settings, "run", story)
