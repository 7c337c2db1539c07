"""``pilotage exec``."""

from __future__ import annotations

import click

from pilotage.cli.options import Settings, common


@click.command("exec", context_settings={"allow_interspersed_args": False})
@click.option(
    "--version", "revision", metavar="REV", help="A release other than the one that runs."
)
@click.option("--role", metavar="ROLE", help="Whose environment it gets; the primary role's.")
@click.argument("arguments", metavar="-- COMMAND [ARGUMENT]...", nargs=-1, required=True)
@common
def command(
    settings: Settings, *, revision: str | None, role: str | None, arguments: tuple[str, ...]
) -> None:
    """Run a command in an instance of its own, on your terminal.

    A console, a script, one query: it runs in the release's checkout with the role's environment, and
    its exit status is this command's. It counts as an instance of the release: it is refused when the
    release does not fit the schema, and a contract half waits for its end.
    """
    from pilotage.cli.project import on_terminal, opened
    from pilotage.cli.render.lines import warnings
    from pilotage.cli.running import run
    from pilotage.deploy import console
    from pilotage.observe import observe
    from pilotage.wiring import Use, console_job

    async def main() -> int:
        async with opened(
            settings, warnings(settings), use=Use.ACT, version=revision, changes=True
        ) as project:
            observed = await observe(project.world)
            release, job = await console_job(
                project, observed, revision, role, arguments, terminal=on_terminal()
            )
            return await console(project.world, release, job, click.echo)

    raise click.exceptions.Exit(run(main()))
