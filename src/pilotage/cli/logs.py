"""``pilotage logs``."""

from __future__ import annotations

import click

from pilotage.cli.options import Settings, common


@click.command("logs")
@click.argument("name", metavar="[ROLE|INSTANCE]", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is printed from now on.")
@click.option(
    "-n",
    "--lines",
    metavar="N",
    type=click.IntRange(min=0),
    default=100,
    show_default=True,
    help="How many lines of each instance, from the last.",
)
@click.option(
    "-g", "--grep", metavar="PATTERN", help="Only lines that match this regular expression."
)
@click.option("-s", "--since", metavar="TIME", help="Only from this time on: 42m, or a timestamp.")
@common
def command(
    settings: Settings,
    *,
    name: str | None,
    follow: bool,
    lines: int,
    grep: str | None,
    since: str | None,
) -> None:
    """Show what instances print: all that run, those of a role, or one.

    The log of an instance stays for a while after it was stopped, and is shown by the instance's id.
    """
    import re

    from pilotage.cli.failure import Interrupted
    from pilotage.cli.follow import show
    from pilotage.cli.project import opened
    from pilotage.cli.render.lines import warnings
    from pilotage.cli.running import run
    from pilotage.errors import UsageError
    from pilotage.wiring import Use

    try:
        pattern = re.compile(grep) if grep else None
    except re.error as error:
        raise UsageError(f"--grep {grep!r} is not a regular expression: {error}") from error

    async def main() -> None:
        async with opened(settings, warnings(settings), use=Use.LOOK) as project:
            await show(
                project,
                settings,
                name,
                lines=lines,
                pattern=pattern,
                go_on=follow,
                since=since,
            )

    try:
        run(main())
    except Interrupted:
        if not follow:  # to end what goes on for ever is no failure
            raise
