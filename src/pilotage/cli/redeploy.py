"""``pilotage redeploy``: Kamal's word for a deploy without what is there already."""

from __future__ import annotations

import click

from pilotage.cli.deploy import command as deploy

HELP = """Bring the service to a release: Kamal's word, with the options of `pilotage deploy`.

Kamal's `redeploy` leaves out the proxy's start, the log-in and the pruning. A deploy of ours does
nothing that is done already, so the two are one; hooks are told which word was used.
"""

command = click.Command("redeploy", callback=deploy.callback, params=deploy.params, help=HELP)
