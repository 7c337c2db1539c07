"""``pilotage app exec``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from pilotage.cli.options import Settings, common
from pilotage.cli.selecting import Selectors, selecting

if TYPE_CHECKING:
    from pilotage.config.select import Place


@click.command("exec", context_settings={"ignore_unknown_options": True})
@click.option("-i", "--interactive", is_flag=True, help="On your terminal, of the primary role.")
@click.option("--reuse", is_flag=True, help="In what runs already, where that can be entered.")
@click.option("--detach", is_flag=True, help="Do not wait for its end.")
@click.option("--raw", is_flag=True, help="Print what it prints, and nothing else.")
@click.option(
    "-e", "--env", metavar="NAME=VALUE", multiple=True, help="A variable more; or NAME:VALUE."
)
@click.option(
    "--version", "revision", metavar="REV", help="A release other than the one that runs."
)
@click.argument("words", metavar="CMD...", nargs=-1, required=True, type=click.UNPROCESSED)
@selecting
@common
def command(
    settings: Settings,
    *,
    interactive: bool,
    reuse: bool,
    detach: bool,
    raw: bool,
    env: tuple[str, ...],
    revision: str | None,
    words: tuple[str, ...],
    selectors: Selectors,
) -> None:
    """Run a command of the release, with the environment of each selected role.

    CMD in one piece is a line for the shell, as in Kamal: `app exec "bin/rails db:version"`; several
    words are run as they are, and after -- none of them is taken for an option of ours. Without a selector it runs once for every role and host, on
    all of them at once; with --interactive once, for the primary role. What it prints arrives byte for byte, and the
    exit status is that of the first one that failed.

    Each is an instance of the release: it is refused when the release does not fit the schema, and a
    contract half waits for its end. With --reuse it runs in a container that serves, and ends with it.
    Processes of this machine cannot be entered: there it runs beside them, in the same checkout.
    """
    from dataclasses import replace

    from pilotage.cli.project import on_terminal, opened
    from pilotage.cli.render.lines import warnings
    from pilotage.cli.running import run
    from pilotage.errors import UsageError
    from pilotage.wiring import Use
    from pilotage.wiring.selected import Wanted, execute, variables

    if detach and (interactive or reuse):
        other = "--interactive" if interactive else "--reuse"
        raise UsageError(f"--detach and {other} exclude each other", state="nothing was run")
    if interactive:
        selectors = replace(selectors, primary=True)
    wanted = Wanted(
        words if len(words) > 1 else ("/bin/sh", "-c", words[0]),
        revision=revision,
        env=variables(env),
        reuse=reuse,
        detach=detach,
        interactive=interactive,
        terminal=interactive and on_terminal(),
    )

    async def main() -> int:
        async with opened(
            *(settings, warnings(settings)),
            use=Use.ACT,
            version=revision,
            changes=True,
            selectors=selectors,
        ) as project:
            places = selectors.of(project.config)
            return await execute(project, places, wanted, Told(raw=raw))

    raise click.exceptions.Exit(run(main()))


class Told:
    """`Audience` on our own standard output and error, byte for byte. ``raw``: no heading."""

    def __init__(self, *, raw: bool) -> None:
        self._raw = raw

    def begin(self, place: Place) -> None:
        """The heading of a place."""
        if not self._raw:
            click.echo(f"{place.role} on {place.host}:", err=True)

    def write(self, error: bool, data: bytes) -> None:
        """To where the command wrote it."""
        stream = (sys.stderr if error else sys.stdout).buffer
        stream.write(data)
        stream.flush()

    def launched(self, place: Place, instance: str) -> None:
        """How it is found again."""
        more = "" if self._raw else f" runs on {place.host}: see `pilotage logs {instance}`"
        click.echo(f"{instance}{more}")
