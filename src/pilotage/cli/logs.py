"""``pilotage logs``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pilotage.cli.options import Settings, common, grep_option, last_lines

if TYPE_CHECKING:
    import re


@click.command("logs")
@click.argument("name", metavar="[ROLE|INSTANCE]", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is printed from now on.")
@click.option(
    "-n",
    "--lines",
    metavar="N",
    type=click.IntRange(min=0),
    help="How many lines of each instance, from the last.  [default: 100; all of --since and of --grep]",
)
@grep_option
@click.option("-s", "--since", metavar="TIME", help="Only from this time on: 42m, or a timestamp.")
@common
def command(
    settings: Settings,
    *,
    name: str | None,
    follow: bool,
    lines: int | None,
    grep: re.Pattern[str] | None,
    since: str | None,
) -> None:
    """Show what instances print: all that run, those of a role, or one.

    The log of an instance stays for a while after it was stopped, and is shown by the instance's id.
    """
    from pilotage.cli.follow import print_logs

    wanted = last_lines(lines, since, grep)
    print_logs(settings, lambda _: name, lines=wanted, grep=grep, follow=follow, since=since)
