"""Where the migrations are a framework's own: its files, its commands, and what says what is applied."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pilotage.config import Config
from pilotage.errors import DatabaseError, MigrationFileError, PilotageError
from pilotage.migrate.migration import Framework, Migrations
from pilotage.model import release_id
from pilotage.secret import Secret, mask

if TYPE_CHECKING:
    from pilotage.migrate.engines.lines import BareEngine, Lines
    from pilotage.migrate.engines.schema import CommandSchema
    from pilotage.migrate.engines.status import Reader
    from pilotage.wiring.project import Project
from pilotage.wiring.place import Ask
from pilotage.wiring.way import Urls

STATUS_TIMEOUT = 60.0
"""Seconds that a status command may take."""


# ----------------------------------------------------------------------------------------------
# Files
# ----------------------------------------------------------------------------------------------


async def framework_files(project: Project, sha: str | None) -> Migrations:
    """The framework's migrations in a commit, or (None) in the worktree.

    Raises
    ------
    MigrationFileError
        One cannot be read, or there is none where there should be.
    """
    from pilotage.migrate.engines.files import read
    from pilotage.migrate.engines.globs import matcher

    migrations = project.config.migrations
    assert migrations is not None
    assert migrations.framework is not None
    wanted, about = migrations.framework, framework_of(project.config)
    if not wanted.files or not about.known:
        return Migrations({}, about)
    globs = (*wanted.files, *(("apps.py",) if wanted.status == "django_migrations" else ()))
    files = await project.source.matching(sha, matcher(globs))
    found = read(
        {Path(path): text for path, text in files.items()},
        contract_files=wanted.contract_files,
        status=wanted.status,
        order=wanted.order,
        framework=about,
    )
    if not len(found) and not wanted.packages:
        what = f"release {release_id(sha)}" if sha else "the worktree"
        raise MigrationFileError(
            f"{what} has no migration of {about.name}",
            where=", ".join(wanted.files),
            state="nothing was touched",
            next="commit one, or say where they are: `migrations: {files: …}`",
        )
    if project.world.engine is not None:
        project.world.engine.learn(found)
    return found


async def learn(project: Project) -> None:
    """Have the engine hear of the worktree's files, where they can be read: what is applied is told
    in their words. Whoever needs them in earnest reads them again, and is told what is wrong.
    """
    with suppress(PilotageError):
        await framework_files(project, None)


def framework_of(config: Config) -> Framework:
    """The framework as a plan knows it."""
    assert config.migrations is not None
    wanted = config.migrations.framework
    assert wanted is not None
    known = wanted.status != "none" and config.migrations.database is not None
    lines = wanted.commands
    return Framework(
        name=config.migrations.engine if config.migrations.engine != "command" else "the framework",
        command=_shown(lines.expand),
        known=known,
        always=not known or wanted.packages,
        at_once=lines.fresh is not None or lines.contract == lines.expand,
    )


def _shown(line: str) -> str:
    """A command as a plan shows it: its first line."""
    first, *more = line.strip().splitlines()
    return f"{first} …" if more else first


# ----------------------------------------------------------------------------------------------
# Ports
# ----------------------------------------------------------------------------------------------


def command_schema(
    config: Config, urls: Urls, host: str, ask: Ask | None, *, domain: str
) -> CommandSchema:
    """The schema that a framework's command migrates from ``host``. Without ``ask`` no status command is run."""
    from pilotage.migrate.engines.schema import CommandSchema
    from pilotage.migrate.settings import RunnerSettings

    migrations = config.migrations
    assert migrations is not None
    return CommandSchema(
        lines=_lines(config, host),
        reader=_reader(config, ask),
        url=urls.url,
        migration_url=urls.migration_url,
        stream=migrations.stream,
        service=config.service,
        settings=RunnerSettings(timeout=migrations.timeout),
        replicas=urls.replicas,
        domain=domain,
    )


def bare_engine(config: Config, host: str) -> BareEngine:
    """A command for a database that pilotage does not speak to."""
    from pilotage.migrate.engines.lines import BareEngine

    return BareEngine(_lines(config, host))


def _lines(config: Config, host: str) -> Lines:
    from pilotage.migrate.engines.lines import Lines

    migrations = config.migrations
    assert migrations is not None
    assert migrations.framework is not None
    commands = migrations.framework.commands
    return Lines(
        framework=framework_of(config).name,
        expand=commands.expand,
        contract=commands.contract,
        fresh=commands.fresh,
        service=config.service,
        role=config.primary,
        host=host,
        timeout=migrations.timeout,
        env=_environment(config),
    )


def _environment(config: Config) -> Mapping[str, str | Secret]:
    """What the command has over the environment of its role: the migrator's connection, the limits.

    The variable that ``url`` names holds ``migration_url``, so that the framework, which reads that
    variable, connects as the migrator without knowing of it.
    """
    migrations = config.migrations
    assert migrations is not None
    env: dict[str, str | Secret] = {}
    database = config.databases.get(migrations.database or "")
    if database is not None and database.migration_url is not None:
        name = database.written_url if "://" not in database.written_url else "DATABASE_URL"
        env[name] = database.migration_url
    if migrations.asked_lock_timeout is not None:
        options = config.clear_env(config.primary).get("PGOPTIONS", "")
        limit = f"-c lock_timeout={round(migrations.asked_lock_timeout * 1000)}"
        env["PGOPTIONS"] = f"{options} {limit}".strip()
    return env


def _reader(config: Config, ask: Ask | None) -> Reader | None:
    from pilotage.migrate.engines import status

    migrations = config.migrations
    assert migrations is not None
    assert migrations.framework is not None
    match migrations.framework.status:
        case "schema_migrations":
            return status.schema_migrations()
        case "alembic_version":
            return status.alembic_version()
        case "django_migrations":
            return status.django_migrations()
        case "command" if ask is not None:
            assert migrations.status_command is not None

            async def run(line: str) -> str:
                return await _run_status(config, ask, line)

            return status.CommandReader(migrations.status_command, run)
    return None


async def _run_status(config: Config, ask: Ask, line: str) -> str:
    """What the status command prints, run where the service runs, with the primary role's environment."""
    answer = await ask(line, _environment(config), limit=STATUS_TIMEOUT)
    if answer.status == 0:
        return answer.out
    last = answer.err.strip().splitlines()[-5:]
    quoted = "\n    ".join(("", *last)) if last else " (it printed nothing)"
    raise DatabaseError(
        mask(
            "nobody knows what is applied, since the status command failed: it exited "
            f"{answer.status}:{quoted}",
            tuple(config.secrets.values()),
        ),
        where=f"`{line}` in {answer.where}",
        state="nothing was changed",
        next="run it by hand, there, with the environment of the role",
    )
