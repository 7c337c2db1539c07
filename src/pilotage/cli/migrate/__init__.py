"""``pilotage migrate``: single migrations, by hand. One file a command."""

from __future__ import annotations

import click

from pilotage.cli.lazy import Entry, LazyGroup
from pilotage.cli.options import on_group

COMMANDS = {
    "Write": {
        "new": Entry("pilotage.cli.migrate.new", "Write a new migration file."),
        "baseline": Entry("pilotage.cli.migrate.baseline", "Squash what is applied into one file."),
    },
    "Look": {
        "status": Entry("pilotage.cli.migrate.status", "Show where every migration stands."),
        "sql": Entry("pilotage.cli.migrate.sql", "Print what running a half would run."),
        "verify": Entry("pilotage.cli.migrate.verify", "Check files, data and schema."),
    },
    "Act": {
        "apply": Entry("pilotage.cli.migrate.apply", "Apply what is pending in the worktree."),
        "run": Entry("pilotage.cli.migrate.run", "Run one half now."),
        "follow": Entry("pilotage.cli.migrate.follow", "Show a detached run, to its end."),
        "stop": Entry("pilotage.cli.migrate.stop", "End a detached run."),
        "mark": Entry("pilotage.cli.migrate.mark", "Record as applied what a person ran."),
        "down": Entry("pilotage.cli.migrate.down", "Take an expand half back."),
    },
    "Backfills": {
        "pause": Entry("pilotage.cli.migrate.pause", "Have a backfill pause."),
        "resume": Entry("pilotage.cli.migrate.resume", "Have a paused backfill go on."),
        "throttle": Entry("pilotage.cli.migrate.throttle", "Set how fast a backfill may be."),
    },
}


@click.group("migrate", cls=LazyGroup, entries=COMMANDS)
@on_group
def command() -> None:
    """Work with single migrations, apart from a deploy.

    VERSION is the number at the front of a migration's file; it means its expand half, and
    VERSION/contract its contract half. The files are those of the worktree. Whatever would leave a
    running release on a schema that it does not fit is refused.
    """
