"""What the verbs on a running backfill share: which backfill they mean, and that they need no lock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from pilotage.cli.migrate.acting import Done, act
from pilotage.cli.migrate.acting import version as read_version
from pilotage.cli.options import Settings
from pilotage.errors import UsageError
from pilotage.events import Emit
from pilotage.migrate.dialects.base import Session
from pilotage.migrate.runner import SqlSchema
from pilotage.migrate.throttles import BackfillReport, Throttles
from pilotage.wiring import Project

if TYPE_CHECKING:
    from pilotage.migrate.migration import Migrations

Say = Callable[[Throttles, Session, str], Awaitable[None]]
"""Says something of the backfill of a version."""


def steer(
    settings: Settings,
    verb: str,
    given: str | None,
    say: Say,
    *,
    summary: str,
    meant: Callable[[BackfillReport], bool] = lambda report: report.number > 0,
) -> None:
    """Say something of the backfill ``given``, or of every one that is ``meant`` where none is given.

    ``summary``: what to print, with ``{versions}`` in it.

    Raises
    ------
    UsageError
        There is no such backfill.
    """
    named = read_version(given) if given is not None else None

    async def story(project: Project, schema: SqlSchema, emit: Emit) -> Done:
        from pilotage.wiring.goals import worktree_files

        reports = await schema.backfills()
        versions = [report.version for report in reports if meant(report)]
        if named is not None:
            files = await worktree_files(project)
            if named not in {r.version for r in reports} and not _has_backfill(files, named):
                raise UsageError(
                    f"{named} has no backfill that could be told to {verb}",
                    next="see what runs in `pilotage migrate status`",
                )
            versions = [named]
        if not versions:
            raise UsageError(
                f"there is no backfill to {verb}", next="see what runs in `pilotage migrate status`"
            )
        async with schema.throttles() as (throttles, session):
            for version in versions:
                await say(throttles, session, version)
        return Done((), summary.format(versions=" and ".join(versions)))

    act(settings, verb, story)


def _has_backfill(files: Migrations, version: str) -> bool:
    migration = files.get(version)
    return migration is not None and migration.backfill is not None
