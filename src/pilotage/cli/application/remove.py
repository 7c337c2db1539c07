"""``pilotage app remove``."""

from __future__ import annotations

import click

from pilotage.cli.options import Settings, common
from pilotage.cli.removing import confirm, take_away


@click.command("remove")
@click.option("-y", "--confirmed", "--yes", "yes", is_flag=True, help="Do not ask.")
@click.option(
    "--without-database", is_flag=True, help="Do not ask the database: for when it is gone."
)
@common
def command(settings: Settings, *, yes: bool, without_database: bool) -> None:
    """Stop everything of this service, and delete its containers, images, logs and state.

    Accessories stay, with their data; so does the database, and what other services use.
    """
    if not yes:
        confirm("Stop everything of this service?", again="pilotage app remove -y")
    take_away(settings, without_database=without_database)
