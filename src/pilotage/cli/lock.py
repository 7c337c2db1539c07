"""``pilotage lock``."""

from __future__ import annotations

import click

from pilotage.cli.options import Settings, common, json_option, on_group


@click.group("lock", invoke_without_command=True)
@on_group
@click.pass_context
def command(ctx: click.Context) -> None:
    """See, take or release the deploy lock.

    A deployer holds it while it works, with a heartbeat; when its machine dies, the lock lapses by
    itself. A person can hold it as well, to keep everybody from deploying.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(status)


@command.command("status")
@json_option
@common
def status(settings: Settings) -> None:
    """Show who holds the lock, since when, and what for."""
    from pilotage.cli.pages.status import lock_line
    from pilotage.cli.project import opened
    from pilotage.cli.render.lines import print_json, print_page, warnings
    from pilotage.cli.running import run
    from pilotage.wiring import Use

    async def main() -> None:
        async with opened(settings, warnings(settings), use=Use.LOOK) as project:
            state = await project.world.store.read()
            now = await project.world.store.now()
        if settings.as_json:
            row = {**state.lease.to_json(), "over": state.lease.over(now)} if state.lease else None
            print_json({"lock": row, "token": state.token}, settings, pretty=True)
        else:
            print_page([lock_line(state.lease, now)], settings)

    run(main())


@command.command("acquire")
@click.option("-m", "--message", metavar="TEXT", required=True, help="Why; others are told.")
@click.option(
    "--lock-wait",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=0.0,
    help="How long to wait for a deployer to finish.",
)
@common
def acquire(settings: Settings, *, message: str, lock_wait: float) -> None:
    """Keep everybody from deploying, until `pilotage lock release`."""
    from pilotage.cli.project import claim, opened
    from pilotage.cli.render.lines import warnings
    from pilotage.cli.running import run
    from pilotage.cli.text import good
    from pilotage.wiring import Use

    async def main() -> None:
        emit = warnings(settings)
        async with opened(settings, emit, use=Use.LOOK, changes=True) as project:
            who = claim(message, wait=lock_wait)
            await project.world.store.acquire_hold(who, emit)
        click.echo(f"{good('✓')} nobody deploys until `pilotage lock release`")

    run(main())


@command.command("release")
@click.option("-y", "--yes", is_flag=True, help="Take it away from a deployer that is at work.")
@common
def release(settings: Settings, *, yes: bool) -> None:
    """Take the lock away from whoever holds it.

    A deployer that is at work is stopped by that at its next step: it touches nothing more, and what
    it left is taken up by the next deploy. Such a lock is only taken away with --yes.
    """
    from pilotage.cli.project import opened
    from pilotage.cli.render.lines import warnings
    from pilotage.cli.running import run
    from pilotage.cli.text import good
    from pilotage.errors import Refused
    from pilotage.store import lease_held
    from pilotage.wiring import Use

    async def main() -> str:
        async with opened(settings, warnings(settings), use=Use.LOOK, changes=True) as project:
            store = project.world.store
            row, now = (await store.read()).lease, await store.now()
            if row is None:
                return "it was free already"
            if not row.hold and not row.over(now) and not yes:
                raise Refused(
                    f"{lease_held(row, now).what}, and it is alive",
                    state="it goes on",
                    next="wait for its end, or take the lock away with `pilotage lock release --yes`",
                )
            await store.break_lease()
            return f"released; {row.owner} had it"

    click.echo(f"{good('✓')} {run(main())}")
