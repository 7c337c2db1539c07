"""What `pilotage remove` and `pilotage app remove` share: everything that a deploy made is taken away."""

from __future__ import annotations

import click

from pilotage.cli.options import Settings


def confirm(question: str, *, again: str) -> None:
    """Ask a person; refuse without a yes."""
    from pilotage.errors import UsageError

    try:
        click.confirm(question, abort=True, err=True)
    except click.Abort:
        raise UsageError("not confirmed", state="nothing was touched", next=again) from None


def take_away(settings: Settings, *, without_database: bool) -> None:
    """Stop the service everywhere, and delete what is kept of it; says what was done."""
    from pilotage.cli.project import claim, opened
    from pilotage.cli.render import renderer
    from pilotage.cli.running import run, told
    from pilotage.cli.text import good
    from pilotage.errors import StoreError
    from pilotage.wiring import Use
    from pilotage.wiring.remove import is_clean, remove, remove_here

    async def main() -> list[str]:
        with renderer(settings) as emit:
            async with opened(settings, emit, use=Use.LOOK, changes=True) as project:

                async def left() -> tuple[str, str]:
                    return "some of it is stopped", "pilotage remove -y"

                if without_database:
                    return await told(remove_here(project, emit), left)
                try:
                    return await told(remove(project, claim("remove"), emit), left)
                except StoreError as error:
                    if await is_clean(project):  # where nothing was deployed, nobody has a lock
                        return await told(remove_here(project, emit), left)
                    error.next = "`pilotage remove -y --without-database` removes what is here"
                    raise

    for line in run(main()):
        click.echo(f"{good('✓')} {line}")
