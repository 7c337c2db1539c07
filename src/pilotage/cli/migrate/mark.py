"""``pilotage migrate mark``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pilotage.cli.options import Settings, common, deploying, json_option

if TYPE_CHECKING:
    from pilotage.events import Emit
    from pilotage.migrate.migration import Migrations
    from pilotage.migrate.runner import SqlSchema
    from pilotage.model import HalfRef, SchemaView


@click.command("mark")
@click.argument("half", metavar="[VERSION[/HALF]]", required=False)
@click.option("--verify", is_flag=True, help="First look whether what it would have made is there.")
@click.option(
    "--through",
    metavar="VERSION",
    help="Every half of every file up to this one: takes over a database that has a history.",
)
@click.option("--renamed", metavar="OLD", help="The file had the version OLD when it was applied.")
@deploying
@json_option
@common
def command(
    settings: Settings,
    *,
    half: str | None,
    verify: bool,
    through: str | None,
    renamed: str | None,
    lock_wait: float,
    reason: str,
) -> None:
    """Record a half as applied, because you ran it yourself.

    A contract half needs its proof all the same: it is refused while anything older runs.
    """
    from pilotage import manual
    from pilotage.cli.migrate.acting import Done, act, version
    from pilotage.cli.migrate.acting import half as read_half
    from pilotage.cli.project import claim
    from pilotage.cli.text import plural
    from pilotage.errors import UsageError
    from pilotage.observe import observe
    from pilotage.wiring import Project, worktree_goal

    if (half is None) == (through is None) or (renamed and (through or verify)):
        raise UsageError(
            "name one half, or `--through VERSION`; `--renamed OLD` goes with a version alone",
            next="pilotage migrate mark --help",
        )
    named = read_half(half) if half is not None else None
    last = version(through) if through is not None else None
    old = version(renamed) if renamed is not None else None

    async def story(project: Project, schema: SqlSchema, emit: Emit) -> Done:
        observed = await observe(project.world)
        goal = worktree_goal(project, observed)
        who = claim(f"migrate mark {half or f'--through {through}'}", reason=reason, wait=lock_wait)
        if named is not None and old is not None:
            await manual.rename(project.world, goal, who, emit, old=old, version=named.version)
            return Done((named,), f"{old} is on record as {named.version} from now on")
        if last is not None:
            refs = _through(goal.migrations, observed.schema, last)
        else:
            refs = (named,) if named is not None else ()
        if verify:
            await _verify(schema, goal.migrations, refs, emit)
        if refs:
            await manual.mark(project.world, goal, refs, who, emit)
        marked = str(refs[0]) if len(refs) == 1 else plural(len(refs), "half")
        return Done(refs, f"marked {marked} as applied" if refs else "all of them are applied")

    act(settings, "mark", story)


def _through(migrations: Migrations, view: SchemaView, last: str) -> tuple[HalfRef, ...]:
    """Every half up to a version that is not on record as applied."""
    from pilotage.errors import UsageError
    from pilotage.model import version_key

    if migrations.get(last) is None:
        raise UsageError(
            f"there is no migration {last}", next="see the versions in `pilotage migrate status`"
        )
    return tuple(
        ref
        for migration in migrations
        if version_key(migration.version) <= version_key(last)
        for ref in migration.halves()
        if not view.applied.has(ref)
    )


async def _verify(
    schema: SqlSchema, migrations: Migrations, refs: tuple[HalfRef, ...], emit: Emit
) -> None:
    """Look in the catalogue for what the halves would have made and removed, all of them together.

    One half that an earlier one's effect did not outlive is no reason to refuse.
    """
    from pilotage.cli.migrate.acting import note
    from pilotage.errors import Refused

    halves = [(migrations.get(ref.version), ref.half) for ref in refs]
    findings = await schema.missing_together((m, half) for m, half in halves if m is not None)
    for effect in findings.unknown:
        note(emit, str(effect))
    if findings:
        missing = "; ".join(str(effect) for effect in findings.missing)
        raise Refused(
            f"the catalogue does not show that {missing}",
            where=schema.where,
            state="nothing was marked",
            next="run what is missing by hand (`pilotage migrate sql` prints it), or let "
            "`pilotage migrate run` do it",
        )
