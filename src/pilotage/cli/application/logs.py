"""``pilotage app logs``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pilotage.cli.instead import without
from pilotage.cli.options import Settings, common, grep_option, last_lines
from pilotage.cli.selecting import Selectors, selecting

if TYPE_CHECKING:
    import re

    from pilotage.config.select import Place
    from pilotage.wiring import Project


@click.command("logs")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is printed from now on.")
@click.option(
    "-n",
    "--lines",
    metavar="N",
    type=click.IntRange(min=0),
    help="How many lines of each instance, from the last.  [default: 100; 10 with --follow; all of --since and of --grep]",
)
@grep_option
@click.option(
    "-T",
    "--skip-timestamps",
    is_flag=True,
    expose_value=False,
    help="As it is: nothing adds times.",
)
@without(
    "--container-id",
    "an instance is named by its own id",
    "`pilotage logs ID`, with an id of `pilotage status` or `pilotage history`",
)
@click.option("-s", "--since", metavar="TIME", help="Only from this time on: 42m, or a timestamp.")
@selecting
@common
def command(
    settings: Settings,
    *,
    follow: bool,
    lines: int | None,
    grep: re.Pattern[str] | None,
    since: str | None,
    selectors: Selectors,
) -> None:
    """Show what the instances of the selected roles print.

    `pilotage logs` has the logs of one instance as well, and of one that has ended. Processes of this
    machine print no times, so --since is refused for them.
    """
    from pilotage.cli.follow import print_logs
    from pilotage.errors import UsageError

    def which(project: Project) -> tuple[Place, ...]:
        if since is not None and project.config.target == "local":
            raise UsageError(
                "--since: what processes of this machine print has no times",
                next="--lines N shows the last ones",
            )
        return selectors.of(project.config)

    wanted = last_lines(lines, since, grep, otherwise=10 if follow else 100)
    print_logs(
        *(settings, which), lines=wanted, grep=grep, follow=follow, since=since, selectors=selectors
    )
