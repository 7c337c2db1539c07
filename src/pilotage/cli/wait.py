"""``pilotage wait``."""

from __future__ import annotations

import click

from pilotage.cli.options import Settings, common


@click.command("wait")
@click.option(
    "--timeout",
    metavar="DURATION",
    default="5m",
    show_default=True,
    help="How long to wait, such as 30s or 5m.",
)
@common
def command(settings: Settings, *, timeout: str) -> None:
    """Wait until this image's release fits the schema.

    For init containers, and for scripts before a start. Ends with status 0 once every expand half
    that the image ships is applied, and with 1 and what is missing when that is not so in time, or
    when a contract half has begun that the release does not ship. A database that is not up yet is
    waited for.

    The image's migrations and its database are found as `pilotage entrypoint` finds them.
    """
    import os

    from pilotage.cli.starting import attempt_limit, config_beside, say_to_stderr
    from pilotage.entrypoint.place import place_of
    from pilotage.entrypoint.signals import Signals
    from pilotage.entrypoint.start import wait_until_it_fits

    limit = attempt_limit(timeout)
    config, trouble = config_beside(settings)
    if trouble is not None:
        raise trouble
    place = place_of(os.environ, config)
    settings.secrets.extend(s for s in (place.url, place.migration_url) if s)
    say = say_to_stderr(settings)
    with Signals():
        release, door = wait_until_it_fits(place, limit=limit, say=say)
        door.close()
    say(f"release {release.id} fits the schema")
