"""``pilotage app``: Kamal's words for what runs. One file a command."""

from __future__ import annotations

import click

from pilotage.cli.lazy import Entry, LazyGroup
from pilotage.cli.options import on_group

COMMANDS = {
    "Look": {
        "version": Entry("pilotage.cli.application.version", "Show which release runs where."),
        "details": Entry("pilotage.cli.application.details", "Show what runs where."),
        "logs": Entry("pilotage.cli.application.logs", "Show what instances print."),
        "containers": Entry("pilotage.cli.application.containers", "Show containers on hosts."),
        "images": Entry("pilotage.cli.application.containers", "Show images on hosts.", "images"),
        "stale": Entry("pilotage.cli.application.stop", "Show what runs of others.", "stale"),
    },
    "Work": {
        "exec": Entry("pilotage.cli.application.exec", "Run a command of the running release."),
        "boot": Entry("pilotage.cli.application.boot", "Boot the running release anew."),
        "start": Entry("pilotage.cli.application.boot", "Start what was stopped.", "start"),
        "stop": Entry("pilotage.cli.application.stop", "Stop what runs."),
        "remove": Entry("pilotage.cli.application.remove", "Take the service off its hosts."),
    },
    "Edge": {
        "maintenance": Entry("pilotage.cli.maintenance", "Answer requests with a page."),
        "live": Entry("pilotage.cli.live", "End the maintenance: requests pass again."),
    },
}


ALSO = {"stale_containers": "stale"}
"""Kamal's word → ours."""

_REMOVE = "`pilotage prune` removes what nothing needs, `pilotage app remove` everything"
INSTEAD = {
    **dict.fromkeys(("remove_container", "remove_containers", "remove_images"), _REMOVE),
    "remove_app_directories": "`pilotage app remove` removes them with the rest",
}


@click.group("app", cls=LazyGroup, entries=COMMANDS, also=ALSO, instead=INSTEAD)
@on_group
def command() -> None:
    """Look at what runs, and work in it, by Kamal's words.

    A role runs on every host that the configuration gives it; without a selector all of them are meant.
    """
