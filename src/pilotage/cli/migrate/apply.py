"""``pilotage migrate apply``."""

from __future__ import annotations

import click

from pilotage.cli.options import Settings, common, deploying, json_option


@click.command("apply")
@click.option(
    "--contract", "contracts", is_flag=True, help="Contract halves too, each with its proof."
)
@click.option(
    "--no-dump-schema",
    is_flag=True,
    help="Do not record the schema afterwards: `migrate verify` has nothing to compare with.",
)
@deploying
@json_option
@common
def command(
    settings: Settings, *, contracts: bool, no_dump_schema: bool, lock_wait: float, reason: str
) -> None:
    """Apply every pending expand half of the worktree, with its backfill.

    For a database of your own, or of CI: a database that is missing is created, loaded with the
    schema and seed files where the configuration names them, and migrated. As long as no instance has
    used it, contract halves run together with the expand halves.
    """
    from pilotage import manual
    from pilotage.cli.migrate.acting import Done, act
    from pilotage.cli.project import claim
    from pilotage.cli.text import plural
    from pilotage.events import Emit
    from pilotage.migrate.runner import SqlSchema
    from pilotage.observe import observe
    from pilotage.steps import ApplyHalf, Contract
    from pilotage.wiring import Project, worktree_goal
    from pilotage.wiring.goals import check

    async def story(project: Project, schema: SqlSchema, emit: Emit) -> Done:
        observed = await observe(project.world)
        goal = worktree_goal(project, observed)
        check(project, goal.migrations, observed.schema)
        who = claim("migrate apply", reason=reason, wait=lock_wait)
        steps = await manual.apply_pending(project.world, goal, who, emit, contracts=contracts)
        expands = [step.ref for step in steps if isinstance(step, ApplyHalf)]
        contracted = [ref for step in steps if isinstance(step, Contract) for ref in step.refs]
        halves = (*expands, *contracted)
        if not steps:
            return Done((), "nothing is pending")
        return Done(halves, f"applied {plural(len(halves), 'half')}")

    act(settings, "apply", story, dump=not no_dump_schema)
