"""``pilotage app logs``."""

from __future__ import annotations

import click

from pilotage.cli.application.selectors import Selectors, selecting
from pilotage.cli.options import Settings, common


@click.command("logs")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is printed from now on.")
@click.option(
    "-n",
    "--lines",
    metavar="N",
    type=click.IntRange(min=0),
    help="How many lines of each instance, from the last.  [default: 100; 10 with --follow; all of --since]",
)
@click.option("-g", "--grep", metavar="PATTERN", help="Only lines that match.")
@click.option("-s", "--since", metavar="TIME", help="Only from this time on: 42m, or a timestamp.")
@selecting
@common
def command(
    settings: Settings,
    *,
    follow: bool,
    lines: int | None,
    grep: str | None,
    since: str | None,
    selectors: Selectors,
) -> None:
    """Show what the instances of the selected roles print.

    `pilotage logs` has the logs of one instance as well, and of one that has ended. Processes of this
    machine print no times, so --since is refused for them.
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
            if since is not None and project.config.target == "local":
                raise UsageError(
                    "--since: what processes of this machine print has no times",
                    next="--lines N shows the last ones",
                )
            places = selectors.of(project.config)
            wanted = lines if lines is not None else 10 if follow else None if since else 100
            await show(
                project,
                settings,
                places,
                lines=wanted,
                pattern=pattern,
                go_on=follow,
                since=since,
            )

    try:
        run(main())
    except Interrupted:
        if not follow:  # to end what goes on for ever is no failure
            raise
