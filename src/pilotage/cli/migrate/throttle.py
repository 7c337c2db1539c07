"""``pilotage migrate throttle``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pilotage.cli.options import Settings, common, json_option

if TYPE_CHECKING:
    from pilotage.migrate.dialects.base import Session
    from pilotage.migrate.throttles import Throttles


@click.command("throttle")
@click.argument("version", metavar="[VERSION]", required=False)
@click.option("--duty", metavar="SHARE", help="Share of the time that it works, such as 25%.")
@click.option("--rate", type=click.FloatRange(min=0.1), help="Rows changed a second, at most.")
@click.option("--off", is_flag=True, help="As fast as the configuration has it.")
@json_option
@common
def command(
    settings: Settings, *, version: str | None, duty: str | None, rate: float | None, off: bool
) -> None:
    """Set how fast a backfill may be, wherever it runs, from its next batch on.

    Holds until the backfill ends, or until the next `throttle`, which sets both anew. Without VERSION:
    every backfill that is under way.
    """
    from pilotage.cli.migrate.steering import steer
    from pilotage.config.quantity import parse_percent
    from pilotage.errors import UsageError

    if off == (duty is not None or rate is not None):
        raise UsageError(
            "say how fast it may be: `--duty 25%`, `--rate 500`, both, or `--off`",
            next="pilotage migrate throttle --help",
        )
    try:
        share = parse_percent(duty) if duty is not None else None
    except ValueError as error:
        raise UsageError(f"--duty: {error}") from error
    if share is not None and not 0.01 <= share <= 1:
        raise UsageError("--duty is from 1% to 100%")

    async def say(throttles: Throttles, session: Session, which: str) -> None:
        await throttles.throttle(session, which, duty=share, rate=rate)

    limits = [f"works {share:.0%} of the time"] if share is not None else []
    limits += [f"changes {rate:g} rows a second at most"] if rate is not None else []
    how = " and ".join(limits) or "is as fast as the configuration has it"
    steer(settings, "throttle", version, say, summary=f"the backfill of {{versions}} {how}")
