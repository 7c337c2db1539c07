"""A command that a person runs in an instance of its own."""

from __future__ import annotations

import secrets

from pilotage.errors import UsageError
from pilotage.model import Instance, Kind, Life, Observed, Release, release_id
from pilotage.plan import current
from pilotage.targets.base import Job, OnWritten
from pilotage.wiring.goals import migrations_of
from pilotage.wiring.project import Project, find_release


async def console_job(
    project: Project,
    observed: Observed,
    wanted: str | None,
    role: str | None,
    argv: tuple[str, ...],
    *,
    host: str | None = None,
    terminal: bool = False,
    written: OnWritten | None = None,
    detached: bool = False,
) -> tuple[Release, Job]:
    """The job of running ``argv`` at the release ``wanted``, by default the one that serves.

    ``host``: where, by default on the first one of the primary role. ``terminal``, ``written``,
    ``detached``: as in `Job`.

    Raises
    ------
    UsageError
        No such revision or role, or nothing serves and no release is named.
    """
    chosen = project.config.role(role or project.config.primary)
    release = await _release(project, observed, wanted)
    where = host or project.host
    instance = Instance(
        id=f"{project.service}-console-{release.id}-{secrets.token_hex(4)}",
        service=project.service,
        role=chosen.name,
        host=where,
        release=release.id,
        config=project.layout.digest(chosen.name, where),
        kind=Kind.CONSOLE,
        life=Life.STARTING,
    )
    return release, Job(
        instance,
        release.revision,
        argv,
        interactive=not detached,
        terminal=terminal,
        written=written,
        detached=detached,
    )


async def _release(project: Project, observed: Observed, wanted: str | None) -> Release:
    name = wanted or current(observed)
    if name is None:
        raise UsageError(
            "nothing serves yet, so there is no release to run it at",
            next="name one with --version, or deploy first",
        )
    known = find_release(observed.state, name)
    if known and known.ships:
        return known
    sha = known.revision if known else (await project.source.resolve(wanted)).sha
    migrations = await migrations_of(project, sha)
    return Release(release_id(sha), sha, ships=migrations.ships())
