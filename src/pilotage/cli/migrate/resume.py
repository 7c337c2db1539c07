"""``pilotage migrate resume``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pilotage.cli.options import Settings, common, json_option

if TYPE_CHECKING:
    from pilotage.migrate.dialects.base import Session
    from pilotage.migrate.throttles import BackfillReport, Throttles


@click.command("resume")
@click.argument("version", metavar="[VERSION]", required=False)
@json_option
@common
def command(settings: Settings, *, version: str | None) -> None:
    """Have a backfill that somebody paused go on; without VERSION: all of them.

    It goes on by itself where it still runs; else the command that ran it takes it up again.
    """
    from pilotage.cli.migrate.steering import steer

    async def say(throttles: Throttles, session: Session, which: str) -> None:
        await throttles.resume(session, which)

    def paused(report: BackfillReport) -> bool:
        return report.throttle.paused_by is not None

    summary = "the backfill of {versions} may go on"
    steer(settings, "resume", version, say, summary=summary, meant=paused)
