"""``pilotage migrate follow``."""

from __future__ import annotations

import click

from pilotage.cli.options import Settings, common, json_option


@click.command("follow")
@click.argument("half", metavar="VERSION[/HALF]")
@json_option
@common
def command(settings: Settings, *, half: str) -> None:
    """Show what a detached run says, to its end; its exit status is this command's.

    Of one that has ended: all that it said, and how it ended. To interrupt this command
    leaves the run alone.
    """
    from pilotage.cli.failure import Interrupted
    from pilotage.cli.migrate.acting import half as read_half
    from pilotage.cli.migrate.detaching import follow, runs, short
    from pilotage.cli.project import opened
    from pilotage.cli.render.lines import print_json, warnings
    from pilotage.cli.running import run
    from pilotage.cli.text import bad, good
    from pilotage.errors import UsageError
    from pilotage.events import Output
    from pilotage.secret import mask
    from pilotage.wiring import Use

    ref = read_half(half)

    def show(name: str, line: str) -> None:
        if settings.as_json:
            print_json(Output(source=name, line=line).to_json(), settings)
        else:
            click.echo(mask(line, settings.secrets))

    async def main() -> tuple[str, int]:
        async with opened(settings, warnings(settings), use=Use.LOOK) as project:
            last = (await runs(project, ref)).last
            if last is None:
                raise UsageError(
                    f"no detached run of {ref} is on record here",
                    next=f"begin one: pilotage migrate run {short(ref)} --detach",
                )
            return last.id, await follow(project, last, lambda line: show(last.id, line))

    try:
        name, code = run(main())
    except Interrupted as error:
        raise Interrupted(
            error.what,
            state="the run goes on",
            next=f"`pilotage migrate follow {short(ref)}` shows it again; "
            f"`pilotage migrate stop {short(ref)}` ends it",
        ) from None
    if settings.as_json:
        print_json(
            {
                "event": "Result",
                "verb": "migrate follow",
                "outcome": "failed" if code else "done",
                "half": str(ref),
                "instance": name,
                "status": code,
            },
            settings,
        )
    elif not settings.quiet:
        mark = bad("✗") if code else good("✓")
        click.echo(f"{mark} {name} ended with status {code}")
    if code:
        raise click.exceptions.Exit(code)
