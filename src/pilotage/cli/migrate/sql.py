"""``pilotage migrate sql``."""

from __future__ import annotations

import click

from pilotage.cli.options import Settings, common


@click.command("sql")
@click.argument("half", metavar="VERSION[/HALF]")
@common
def command(settings: Settings, *, half: str) -> None:
    """Print what running a half would run.

    The statements are the file's own text; around them stand the transactions, the time limits and
    the batches that pilotage adds. Where the database can be asked, the first batch of a backfill is
    the one that would run now. For a contract half that includes its last backfill and its checks.
    """
    from pilotage.cli.migrate.acting import database
    from pilotage.cli.migrate.acting import half as read_half
    from pilotage.cli.project import opened
    from pilotage.cli.running import run
    from pilotage.errors import DatabaseError, UsageError
    from pilotage.events import ignore
    from pilotage.migrate.script import script
    from pilotage.wiring import Use
    from pilotage.wiring.goals import load

    ref = read_half(half)

    async def write() -> str:
        async with opened(settings, ignore, use=Use.LOOK) as project:
            schema = database(project)
            migration = load(project, project.config.root).get(ref.version)
            if migration is None or migration.section(ref.half) is None:
                raise UsageError(
                    f"there is no {ref.half} half of {ref.version}",
                    next="see `pilotage migrate status`",
                )
            try:
                windows = await schema.first_windows(migration)
            except DatabaseError as error:
                windows = {}
                click.echo(f"-- the database was not asked: {error.what}")
            return script(
                migration,
                ref.half,
                dialect=schema.dialect,
                settings=schema.settings,
                windows=windows,
            )

    click.echo(run(write()), nl=False)
