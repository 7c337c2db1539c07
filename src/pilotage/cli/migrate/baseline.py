"""``pilotage migrate baseline``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pilotage.cli.options import Settings, common

if TYPE_CHECKING:
    from pilotage.migrate.squash import Squash
    from pilotage.wiring import Project


@click.command("baseline")
@click.argument("version")
@click.option("--name", default="baseline", show_default=True, help="The name of the new file.")
@click.option(
    "--archive",
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False),
    help="Move the replaced files there, instead of deleting what git has.",
)
@common
def command(settings: Settings, *, version: str, name: str, archive: Path | None) -> None:
    """Squash every migration up to VERSION into one file, from the database at hand.

    The database must hold exactly these migrations, contract halves included, and nothing after them.
    Databases that went through them adopt the squash without running it; new ones begin with it.
    A release from before the squash can be rolled back to on the former, and not on the latter.
    """
    import os

    from pilotage.cli.migrate.acting import database
    from pilotage.cli.migrate.acting import version as read_version
    from pilotage.cli.project import opened
    from pilotage.cli.running import run
    from pilotage.cli.text import good, plural, warn
    from pilotage.errors import UsageError
    from pilotage.events import ignore
    from pilotage.migrate import scaffold
    from pilotage.migrate.squash import squash, write
    from pilotage.wiring import Use
    from pilotage.wiring.goals import load

    through = read_version(version)
    try:
        slug = scaffold.slug(name)
    except ValueError as error:
        raise UsageError(str(error)) from error

    async def make() -> Squash:
        async with opened(settings, ignore, use=Use.LOOK) as project:
            schema = database(project)
            assert project.config.migrations is not None
            migrations = load(project, project.config.root)
            text = await schema.baseline(migrations, through=through)
            made = squash(
                migrations,
                text,
                through=through,
                name=slug,
                folder=project.config.migrations.path,
                dialect=schema.dialect,
            )
            if archive is None:
                await _must_be_committed(project, made)
            write(made, archive=archive)
            return made

    made = run(make())
    click.echo(f"{good('✓')} wrote {os.path.relpath(made.path)}")
    where = f"moved to {archive}" if archive else "deleted; git has them"
    for migration in made.replaced:
        click.echo(f"  {migration.path.name} {where}")
    if made.fills:
        names = ", ".join(str(m) for m in made.fills)
        click.echo(f"  {warn('!')} {names}: wrote rows, which a new database will not get any more")
    click.echo(
        f"  {plural(len(made.replaced), 'file')} replaced; the next deploy, or `pilotage migrate "
        "apply`, records the squash as adopted"
    )


async def _must_be_committed(project: Project, made: Squash) -> None:
    """Files are deleted only where git can bring them back."""
    from pilotage.errors import Refused

    dirty = set(await project.source.dirty())
    paths = [str(m.path.relative_to(project.config.root)) for m in made.replaced]
    unsaved = [path for path in paths if path in dirty]
    if unsaved:
        raise Refused(
            f"it would delete files that are not committed: {', '.join(unsaved)}",
            state="nothing was written",
            next="commit them first, or keep them with --archive FOLDER",
        )
