"""From a revision to a `Goal`: its migration files, what it ships, and what it must not contain.

Everything that can be wrong with the files of a release is found here, before a plan is made and
before anything is touched.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pilotage.errors import DatabaseError, MigrationFileError, PilotageError, UsageError
from pilotage.events import Note
from pilotage.migrate.migration import Migrations
from pilotage.model import HalfRef, Observed, Release, SchemaView, release_id
from pilotage.plan import Goal, current
from pilotage.plan.halves import held_refs
from pilotage.plan.verbs import deploy_spec
from pilotage.wiring.frameworks import framework_files
from pilotage.wiring.project import Project
from pilotage.wiring.use import Use

if TYPE_CHECKING:
    from pilotage.hazards import Finding
    from pilotage.hazards.catalogue import Catalogue


@dataclass(frozen=True, slots=True)
class Files:
    """The migrations of a release, and the schema that those which are pending will meet (`survey`)."""

    migrations: Migrations
    known: Catalogue | None = None


async def files_of(project: Project, sha: str, observed: Observed) -> Files:
    """The migrations of a commit, with what the database says of its tables."""
    migrations = await migrations_of(project, sha)
    return Files(migrations, await survey(project, migrations, observed.schema))


async def goal_of(
    project: Project,
    sha: str,
    observed: Observed,
    *,
    again: bool = False,
    files: Files | None = None,
) -> Goal:
    """The goal of deploying a commit. ``files``: its `files_of`, where they were read already.

    Raises
    ------
    MigrationFileError
        A file is wrong, was edited after it was applied, or does contract work in an expand half.
    """
    files = files or await files_of(project, sha, observed)
    migrations = files.migrations
    check(project, migrations, observed.schema, files.known)
    release = Release(release_id(sha), sha, ships=migrations.ships())
    before = await _before(project, observed, release, migrations, again=again)
    hooks = project.world.hooks.there()
    return Goal(release, project.layout, project.policy, migrations, before, hooks)


async def rollback_goal(project: Project, sha: str, observed: Observed) -> Goal:
    """The goal of going back to a commit: its files are not judged again, only whether it fits.

    What a release ships was recorded when it was deployed; our own files are read only where it was not.
    """
    known = observed.state.release(release_id(sha))
    ships, migrations = known.ships if known else None, Migrations()
    if ships is None or project.world.engine is not None:
        migrations = await migrations_of(project, sha)
        ships = ships or migrations.ships()
    return Goal(
        Release(release_id(sha), sha, ships=ships),
        project.layout,
        project.policy,
        migrations,
        hooks=project.world.hooks.there(),
    )


async def contract_goal(project: Project, observed: Observed) -> Goal:
    """The release that runs, with its files: what a contract, or a verb on a migration, acts for.

    Raises
    ------
    UsageError
        Nothing was deployed yet.
    """
    release = observed.state.release(current(observed))
    if release is None:
        raise UsageError(
            "nothing was deployed yet, so nothing is held",
            state="nothing was touched",
            next="pilotage deploy",
        )
    migrations = await migrations_of(project, release.revision)
    known = await survey(project, migrations, observed.schema)
    check(project, migrations, observed.schema, known)
    return Goal(release, project.layout, project.policy, migrations)


def worktree_goal(project: Project, observed: Observed) -> Goal:
    """The files of the working tree, for the verbs on single migrations.

    The release is the one that runs; before the first deploy it is one without a revision.
    """
    return _by_hand(project, observed, load(project, project.config.root))


async def commit_goal(project: Project, observed: Observed, sha: str) -> Goal:
    """`worktree_goal` with the files of a commit."""
    return _by_hand(project, observed, await migrations_of(project, sha))


def _by_hand(project: Project, observed: Observed, migrations: Migrations) -> Goal:
    release = observed.state.release(current(observed))
    if release is None:
        release = Release("worktree", "worktree", ships=migrations.ships())
    return Goal(release, project.layout, project.policy, migrations)


# ----------------------------------------------------------------------------------------------
# Which release
# ----------------------------------------------------------------------------------------------


def release_before(observed: Observed) -> Release:
    """The release that `rollback` goes back to when none is named.

    In the middle of a deploy it is the one that served when it began, and in the middle of a rollback the
    one that it goes to, whichever serves by now; else the last that was deployed for the first time
    before the one that serves now.

    Raises
    ------
    UsageError
        There is none.
    """
    state = observed.state
    spec = state.spec
    if spec and not spec.finished_at:
        found = state.release(spec.from_ if spec.direction == "deploy" else spec.to)
        if found is not None:
            return found
    serving = state.release(current(observed))
    earlier = [
        release
        for release in state.releases
        if release.deployed_at is not None
        and serving is not None
        and release.id != serving.id
        and release.deployed_at < (serving.deployed_at or float("inf"))
    ]
    if not earlier:
        raise UsageError(
            "there is no release before the one that runs",
            state="nothing was touched",
            next="see `pilotage history`; name a release with `pilotage rollback REV`",
        )
    return max(earlier, key=lambda release: release.deployed_at or 0.0)


# ----------------------------------------------------------------------------------------------
# Files
# ----------------------------------------------------------------------------------------------


async def migrations_of(project: Project, sha: str) -> Migrations:
    """The migrations that a commit ships.

    Where a checkout is going to run, a verb that acts reads them from it. One that only looks writes nothing, and
    hosts run images: those read them out of git where there is no checkout.
    """
    if project.config.migrations and project.config.migrations.framework:
        return await framework_files(project, sha)
    if project.dialect is None or project.config.migrations is None:
        return Migrations()
    folder = project.config.migrations.folder
    runs = project.use is Use.ACT and project.config.target == "local"
    if runs or project.source.has_checkout(sha):
        files = read_folder(await project.source.checkout(sha) / folder)
    else:
        files = await project.source.read_folder(sha, folder)
    if files is None and project.config.file.migrations is None:
        return Migrations()  # a database without migrations of ours, and nobody named a folder
    if files is None:
        raise MigrationFileError(
            f"release {release_id(sha)} has no folder of migrations",
            where=folder,
            state="nothing was touched",
            next="commit one (`pilotage migrate new NAME` makes it), or correct `migrations: {path: …}`",
        )
    from pilotage.migrate.loader import load_files

    shown = {Path(folder) / name: data for name, data in files.items()}
    return load_files(shown, dialect=project.dialect)


def read_folder(folder: Path) -> dict[str, bytes] | None:
    """The migration files of a folder, by name; None when there is no such folder."""
    if not folder.is_dir():
        return None
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.suffix == ".sql" and p.is_file()}


async def worktree_files(project: Project) -> Migrations:
    """The migrations in the worktree, whoever runs them."""
    if project.config.migrations and project.config.migrations.framework:
        return await framework_files(project, None)
    return load(project, project.config.root)


def load(project: Project, root: Path) -> Migrations:
    """Our own migrations in a tree of files."""
    from pilotage.migrate.loader import load_migrations

    migrations = project.config.migrations
    if migrations is None or project.dialect is None:
        return Migrations()
    folder = root / migrations.folder
    if project.config.file.migrations is None and not folder.is_dir():
        return Migrations()  # a database without migrations of ours, and nobody named a folder
    return load_migrations(folder, dialect=project.dialect)


async def survey(project: Project, migrations: Migrations, view: SchemaView) -> Catalogue | None:
    """The tables of the database with their sizes, for the hazards of what is pending.

    None where nothing is, where nobody uses the database yet, and, with a note, where it will not say.
    """
    from pilotage.migrate.runner import SqlSchema

    schema = project.world.schema
    if view.fresh or not _pending(migrations, view) or not isinstance(schema, SqlSchema):
        return None
    try:
        return await schema.survey()
    except DatabaseError as error:
        text = f"hazards are judged by the files alone: the catalogue was not read ({error.what})"
        project.emit(Note(text=text, level="warning"))
        return None


def check(
    project: Project, migrations: Migrations, view: SchemaView, known: Catalogue | None = None
) -> None:
    """Refuse files that must not be applied as they are: edited, renamed, out of order, contract work
    in an expand half. ``known``: what `survey` found.

    Raises
    ------
    MigrationFileError
        Names the file, the line, and the split to make.
    """
    if project.dialect is not None and not migrations.framework:
        check_files(project.dialect, migrations, view, known)


def check_files(
    dialect: str, migrations: Migrations, view: SchemaView, known: Catalogue | None = None
) -> None:
    """`check`, for who has no project. Raises `MigrationFileError`."""
    from pilotage.hazards import Severity, as_error
    from pilotage.migrate.history import check_applied

    check_applied(view, migrations)
    for finding in _findings(dialect, migrations, view, known):
        if finding.severity is Severity.ERROR:
            raise as_error(finding)


def findings(
    project: Project, migrations: Migrations, view: SchemaView, known: Catalogue | None = None
) -> tuple[Finding, ...]:
    """What the hazard linter finds in the halves that are pending. ``known``: what `survey` found.

    On a database that nothing uses yet, errors alone: its warnings are of what meets traffic.
    """
    if project.dialect is None:
        return ()
    if migrations.framework:
        from pilotage.hazards import check_framework

        return () if view.fresh else check_framework(migrations, only=_pending(migrations, view))
    return _findings(project.dialect, migrations, view, known)


def _pending(migrations: Migrations, view: SchemaView) -> set[HalfRef]:
    return {
        ref for migration in migrations for ref in migration.halves() if not view.applied.has(ref)
    }


def _findings(
    dialect: str, migrations: Migrations, view: SchemaView, known: Catalogue | None
) -> tuple[Finding, ...]:
    from pilotage.hazards import Severity, check_all, out_of_order

    pending = _pending(migrations, view)
    if not pending:
        return ()
    found = (
        *out_of_order(migrations, view.applied),
        # The linter plays the files through on it: it gets one of its own.
        *check_all(migrations, dialect=dialect, known=deepcopy(known), only=pending),
    )
    return tuple(f for f in found if not view.fresh or f.severity is Severity.ERROR)


async def _before(
    project: Project,
    observed: Observed,
    release: Release,
    migrations: Migrations,
    *,
    again: bool,
) -> Migrations:
    """The files of the release that serves, when a half that it left held is not in the new one's."""
    spec = deploy_spec(observed, release, now=0.0, again=again)
    origin = observed.state.release(spec.from_)
    if origin is None or origin.id == release.id:
        return Migrations()
    lacking = []
    for ref in held_refs(observed, origin.ships):
        migration = migrations.get(ref.version)
        if migration is None or migration.section(ref.half) is None:
            lacking.append(ref)
    if not lacking:
        return Migrations()
    try:
        return await migrations_of(project, origin.revision)
    except PilotageError as error:
        if any(release.ships and release.ships.ships_contract(r.version) for r in lacking):
            raise
        project.emit(
            Note(
                text=f"the migrations of {origin.id}, which serves now, cannot be read: {error.what}",
                level="warning",
            )
        )
        return Migrations()
