"""``pilotage remove``."""

from __future__ import annotations

import click

from pilotage.cli.options import Settings, common


@click.command("remove")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--without-database", is_flag=True, help="Do not ask the database: for when it is gone."
)
@common
def command(settings: Settings, *, yes: bool, without_database: bool) -> None:
    """Stop everything of this service on this machine, and delete what pilotage keeps beside it.

    Every instance, consoles too, the edge, the checkouts, the logs and the state in .pilotage/. The
    database stays as it is, with its data and its schema; so do the secrets files.
    """
    from pilotage.cli.project import claim, opened
    from pilotage.cli.render import renderer
    from pilotage.cli.running import run, told
    from pilotage.cli.text import good
    from pilotage.errors import StoreError, UsageError
    from pilotage.wiring import Use
    from pilotage.wiring.remove import remove, remove_here

    async def main() -> list[str]:
        with renderer(settings) as emit:
            async with opened(settings, emit, use=Use.LOOK) as project:

                async def left() -> tuple[str, str]:
                    return "some of it is stopped", "pilotage remove -y"

                if without_database:
                    return await told(remove_here(project, emit), left)
                try:
                    return await told(remove(project, claim("remove"), emit), left)
                except StoreError as error:
                    error.next = "`pilotage remove -y --without-database` removes what is here"
                    raise

    if not yes:
        try:
            click.confirm("Stop everything of this service on this machine?", abort=True, err=True)
        except click.Abort:
            raise UsageError(
                "not confirmed", state="nothing was touched", next="pilotage remove -y"
            ) from None
    for line in run(main()):
        click.echo(f"{good('✓')} {line}")
