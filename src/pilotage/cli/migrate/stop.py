"""``pilotage migrate stop``."""

from __future__ import annotations

import click

from pilotage.cli.options import Settings, common


@click.command("stop")
@click.argument("half", metavar="VERSION[/HALF]")
@common
def command(settings: Settings, *, half: str) -> None:
    """End a detached run, as Ctrl-C ends one in a terminal.

    What it has done stays, and is on record: `migrate run` goes on with it.
    """
    from pilotage.cli.migrate.acting import half as read_half
    from pilotage.cli.migrate.detaching import runs, short
    from pilotage.cli.project import opened
    from pilotage.cli.render.lines import warnings
    from pilotage.cli.running import run
    from pilotage.cli.text import good
    from pilotage.errors import UsageError
    from pilotage.wiring import Use

    ref = read_half(half)

    async def main() -> tuple[str, bool]:
        async with opened(settings, warnings(settings), use=Use.LOOK, changes=True) as project:
            alive = (await runs(project, ref)).alive
            if alive is None:
                raise UsageError(
                    f"no detached run of {ref} is going on here",
                    state="nothing was touched",
                    next="see `pilotage migrate status`",
                )
            # The run may hold the deploy lock itself, so there is none to be taken: with the token
            # that is the highest now, only whoever takes the lock after this is in the right.
            state = await project.world.store.read()
            return alive.id, await project.world.target.stop(alive, token=state.token)

    name, killed = run(main())
    how = "killed: it did not end within its grace" if killed else "ended"
    click.echo(f"{good('✓')} {name} {how}; `pilotage migrate run {short(ref)}` goes on with it")
