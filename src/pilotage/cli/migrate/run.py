"""``pilotage migrate run``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pilotage.cli.options import Settings, common, deploying, json_option

if TYPE_CHECKING:
    from pilotage.model import HalfRef


@click.command("run")
@click.argument("half", metavar="VERSION[/HALF]")
@click.option(
    "--detach",
    is_flag=True,
    help="In an instance of its own on the target, which goes on without this terminal.",
)
@click.option(
    "--no-hosts",
    is_flag=True,
    help="Ask no host, for a machine that reaches the database alone. An expand half needs none.",
)
@click.option(
    "--version", "revision", metavar="REV", help="The file of this commit, not of the worktree."
)
@deploying
@json_option
@common
def command(
    settings: Settings,
    *,
    half: str,
    detach: bool,
    no_hosts: bool,
    revision: str | None,
    lock_wait: float,
    reason: str,
) -> None:
    """Run one half now: an expand half with its backfill, or a contract half with its proof.

    For out-of-band halves, which a deploy leaves to you. A run that was interrupted resumes; a half
    that is applied already is left alone; one that runs detached is joined. With --detach it
    goes on when this terminal is closed: `migrate follow` shows it from any terminal, and
    `migrate stop` ends it. The file must be committed then; on Docker hosts it runs in a
    container of the configuration's `migrations.image`.
    """
    from pilotage.cli.migrate.acting import half as read_half

    ref = read_half(half)
    if detach and no_hosts:
        raise click.UsageError("--detach is for a host, and --no-hosts asks none: give one of them")
    if detach:
        _detach(settings, ref, revision=revision, wait=lock_wait, reason=reason)
    else:
        _run(settings, ref, revision=revision, no_hosts=no_hosts, wait=lock_wait, reason=reason)


def _run(
    settings: Settings,
    ref: HalfRef,
    *,
    revision: str | None,
    no_hosts: bool,
    wait: float,
    reason: str,
) -> None:
    from pilotage import manual
    from pilotage.cli.migrate.acting import Done, act
    from pilotage.cli.migrate.detaching import is_this, join
    from pilotage.cli.project import claim
    from pilotage.detached import require_same, runs_of
    from pilotage.events import Emit
    from pilotage.migrate.runner import SqlSchema
    from pilotage.model import release_id
    from pilotage.observe import observe
    from pilotage.wiring import Project, Use, commit_goal, worktree_goal
    from pilotage.wiring.goals import check

    async def story(project: Project, schema: SqlSchema, emit: Emit) -> Done:
        observed = await observe(project.world)
        if observed.schema.applied.has(ref):
            return Done((), f"{ref} is applied already")
        if revision is None:
            goal, where = worktree_goal(project, observed), "the worktree"
        else:
            found = await project.revision(revision)
            goal = await commit_goal(project, observed, found.sha)
            where = release_id(found.sha)
        running = runs_of(observed.instances, project.service, ref).alive
        if running and not is_this(running):
            file = goal.migrations.get(ref.version)
            checksum = file.checksum(ref.half) if file and file.section(ref.half) else None
            require_same(running, ref, checksum, where=where)
            await join(project, running, ref, emit)
            return Done((), f"{ref} is applied")
        check(project, goal.migrations, observed.schema)
        who = claim(f"migrate run {ref}", reason=reason, wait=wait)
        await manual.run_half(project.world, goal, ref, who, emit)
        return Done((ref,), f"{ref} is applied")

    act(settings, "run", story, use=Use.DATABASE if no_hosts else Use.LOOK)


def _detach(
    settings: Settings, ref: HalfRef, *, revision: str | None, wait: float, reason: str
) -> None:
    from pilotage.cli.migrate.detaching import detach, image_for, short
    from pilotage.cli.project import configuration, opened
    from pilotage.cli.render.lines import print_json, warnings
    from pilotage.cli.running import run
    from pilotage.cli.text import good
    from pilotage.model import Instance
    from pilotage.wiring import Use

    async def begin() -> tuple[Instance | None, bool]:
        async with opened(
            settings,
            warnings(settings),
            # No instance of a role is started, so on hosts no secret of a role is needed.
            use=Use.ACT if image is None else Use.LOOK,
            deploying=True,
            version=revision,
            changes=True,
        ) as project:
            return await detach(
                project, settings, ref, revision=revision, wait=wait, reason=reason, image=image
            )

    image = image_for(configuration(settings), ref)
    instance, new = run(begin())
    if settings.as_json:
        print_json(
            {
                "event": "Result",
                "verb": "migrate run --detach",
                "outcome": "applied" if instance is None else "begun" if new else "running",
                "half": str(ref),
                "instance": instance.id if instance else None,
                "host": instance.host if instance else None,
            },
            settings,
        )
        return
    if instance is None:
        click.echo(f"{good('✓')} {ref} is applied already")
        return
    begun = "runs" if new else "runs already"
    click.echo(f"{good('✓')} {ref} {begun} in {instance.id} on {instance.host}")
    click.echo(
        f"  `pilotage migrate follow {short(ref)}` shows it, from any terminal; "
        f"`pilotage migrate stop {short(ref)}` ends it"
    )
