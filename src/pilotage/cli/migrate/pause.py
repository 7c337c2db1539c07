"""``pilotage migrate pause``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pilotage.cli.options import Settings, common, json_option

if TYPE_CHECKING:
    from pilotage.migrate.dialects.base import Session
    from pilotage.migrate.throttles import Throttles


@click.command("pause")
@click.argument("version", metavar="[VERSION]", required=False)
@click.option("--reason", metavar="TEXT", default="", help="Shown to whoever looks or waits.")
@json_option
@common
def command(settings: Settings, *, version: str | None, reason: str) -> None:
    """Have a backfill pause, wherever it runs, until `pilotage migrate resume`.

    It ends the batch that it is at, then waits, holding no row and no table. No time limit runs
    meanwhile; a deploy that runs the backfill waits with it, and says so. Without VERSION: every
    backfill that is under way. A pause outlives the process: the next run waits as well.
    """
    from pilotage.cli.migrate.steering import steer
    from pilotage.cli.project import owner

    async def say(throttles: Throttles, session: Session, which: str) -> None:
        await throttles.pause(session, which, by=owner(), reason=reason)

    steer(
        settings,
        "pause",
        version,
        say,
        summary="the backfill of {versions} pauses after its batch; `pilotage migrate resume` has it "
        "go on",
    )
