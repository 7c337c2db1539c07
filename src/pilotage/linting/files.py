"""What `pilotage hazards` judges: which files, for which database, and what is known of its schema.

The project's configuration is read only where the command line leaves something open, so that linting a
few files takes no longer than reading them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pilotage.errors import PilotageError, UsageError
from pilotage.hazards.catalogue import Catalogue
from pilotage.hazards.reading import Source
from pilotage.model import Half, HalfRef
from pilotage.secret import Secret

if TYPE_CHECKING:
    from pilotage.config import Config
    from pilotage.model import SchemaView

STDIN = "-"
_SHOWN = Path("<stdin>")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says. ``config``: reads the configuration, once it is needed."""

    paths: tuple[str, ...] = ()
    dialect: str | None = None
    database: str | None = None
    schema: Path | None = None


@dataclass(frozen=True, slots=True)
class Given:
    """The files, and what is known before them. ``judged``: None means all of them."""

    sources: tuple[Source, ...]
    dialect: str
    judged: frozenset[Path] | None = None
    folder: bool = False
    known: Catalogue = field(default_factory=Catalogue)
    applied: frozenset[HalfRef] = frozenset()
    notes: tuple[str, ...] = ()


def given(asked: Asked, config: Config | None) -> Given:
    """Read everything that the command line names, or the project's folder of migrations.

    Raises
    ------
    UsageError
        There are no files, or nothing says which database they are for.
    DatabaseError
        The database cannot be asked.
    """
    dialect = asked.dialect or _dialect(config)
    folder = not asked.paths
    if folder:
        sources, judged = _read_folder(_folder(config)), None
    else:
        sources, judged = _read(asked.paths)
    known, applied, notes = Catalogue(), frozenset[HalfRef](), []
    if asked.database is not None:
        import asyncio

        known, view, where = asyncio.run(_ask(asked.database, config, dialect))
        applied = _applied(view)
        notes.append(f"judged with the schema of {where}")
    if asked.schema is not None:
        known, applied = read_schema(asked.schema, dialect)
        notes.append(f"judged with the schema in {asked.schema}")
    return Given(sources, dialect, judged, folder, known, applied, tuple(notes))


# ----------------------------------------------------------------------------------------------
# Files
# ----------------------------------------------------------------------------------------------


def _folder(config: Config | None) -> Path:
    if config is None:
        raise UsageError(
            "there is no project here, so there is no folder of migrations to look in",
            next="name SQL files or folders: pilotage hazards --dialect postgresql FILE …",
        )
    migrations = config.migrations
    if migrations is None or migrations.framework is not None:
        whose = migrations.engine if migrations else "no"
        raise UsageError(
            f"the project has {whose} migrations, and none in SQL files of its own",
            where=str(config.path),
            next="name SQL files or folders",
        )
    return migrations.path


def _read_folder(folder: Path) -> tuple[Source, ...]:
    shown = _shown(folder)
    if not folder.is_dir():
        raise UsageError(
            "the migrations folder is missing",
            where=str(shown),
            next="make one with `pilotage migrate new NAME`, or correct `migrations: {path: …}`",
        )
    names = (p for p in folder.iterdir() if p.suffix == ".sql" and p.is_file())
    return tuple(Source(shown / p.name, _bytes(p)) for p in sorted(names, key=_order))


def _shown(path: Path) -> Path:
    """The path as seen from here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_absolute() and path.is_relative_to(here) else path


def _read(paths: Sequence[str]) -> tuple[tuple[Source, ...], frozenset[Path] | None]:
    """The files that are named, and those that their folders have before them."""
    named: dict[Path, None] = {}
    alone: list[Path] = []
    sources: list[Source] = []
    for text in paths:
        path = Path(text)
        if text == STDIN:
            sources.append(Source(_SHOWN, sys.stdin.buffer.read()))
        elif path.is_dir():
            named |= dict.fromkeys(sorted(path.rglob("*.sql"), key=_order))
        else:
            named[path] = None
            alone.append(path)
    before = [path for path in _before(alone, named) if path not in named]
    if not before:
        return (*sources, *(Source(p, _bytes(p)) for p in named)), None
    everything = sorted({*before, *named}, key=_order)
    judged = frozenset({*named, *(source.path for source in sources)})
    return (*sources, *(Source(p, _bytes(p)) for p in everything)), judged


def _before(alone: Iterable[Path], named: dict[Path, None]) -> Iterable[Path]:
    """Older migrations beside single files: without them a verdict would depend on how it is asked."""
    newest: dict[Path, int] = {}
    for path in alone:
        version = _version(path)
        if version is not None:
            newest[path.parent] = max(version, newest.get(path.parent, 0))
    for folder, version in newest.items():
        for path in folder.glob("*.sql"):
            other = _version(path)
            if other is not None and other < version:
                yield path


def _version(path: Path) -> int | None:
    digits, _, name = path.stem.partition("_")
    return int(digits) if name and digits.isascii() and digits.isdecimal() else None


def _order(path: Path) -> tuple[str, int, str]:
    version = _version(path)
    return str(path.parent), -1 if version is None else version, path.name


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"it cannot be read: {error.strerror}", where=str(path), next="name a file or a folder"
        ) from error


# ----------------------------------------------------------------------------------------------
# The database
# ----------------------------------------------------------------------------------------------


def _dialect(config: Config | None) -> str:
    from pilotage.migrate.dialects import dialect_name

    if config is None:
        raise UsageError(
            "nothing says which database the files are for",
            next="say so: --dialect postgresql, or sqlite",
        )
    name = config.migrations.database if config.migrations else None
    if name is None:
        raise UsageError(
            "the project has no database, so nothing says which one the files are for",
            where=str(config.path),
            next="say so: --dialect postgresql, or sqlite",
        )
    try:
        return dialect_name(config.databases[name].url)
    except PilotageError as error:
        raise UsageError(
            f"nothing says which database the files are for: {error.what}",
            where=error.where,
            next="say so: --dialect postgresql, or sqlite",
        ) from error


def urls(name: str, config: Config | None) -> tuple[Secret, Secret | None, str]:
    """The URLs of a database: of ``databases:``, of the environment, or written out."""
    import os

    from pilotage.migrate.dialects import dialect_name

    if config is not None and name in config.databases:
        database = config.databases[name]
        stream = config.migrations.stream if config.migrations else ""
        return database.url, database.migration_url, stream
    if name in os.environ:
        return Secret(os.environ[name]), None, ""
    if "://" not in name:
        known = ", ".join(config.databases) if config else ""
        raise UsageError(
            f"no database is called {name!r}, and no variable of the environment",
            next=(f"the configuration has {known}; or " if known else "")
            + "name a variable that holds a URL",
        )
    url = Secret(name)
    dialect_name(url)
    if "@" in name.partition("://")[2] and ":" in name.partition("://")[2].partition("@")[0]:
        raise UsageError(
            "a URL with a password does not belong on a command line, where everybody sees it",
            next="put it into a variable of the environment, and name that: --database DATABASE_URL",
        )
    return url, None, ""


async def _ask(name: str, config: Config | None, dialect: str) -> tuple[Catalogue, SchemaView, str]:
    from pilotage.migrate.dialects import dialect_name
    from pilotage.migrate.runner import SqlSchema

    url, migration_url, stream = urls(name, config)
    other = dialect_name(migration_url or url)
    if other != dialect:
        raise UsageError(
            f"the files are {dialect}'s, and {name if '://' not in name else 'the database'} is "
            f"{other}'s",
            next=f"--dialect {other}, or another database",
        )
    async with SqlSchema(
        url=url, migration_url=migration_url, stream=stream, service=stream
    ) as schema:
        view = await schema.view()
        known = await schema.survey() if view.exists or not view.fresh else None
        return known or Catalogue(), view, schema.where


def _applied(view: SchemaView) -> frozenset[HalfRef]:
    applied = view.applied
    return frozenset(
        {HalfRef(version, Half.EXPAND) for version in applied.expanded}
        | {HalfRef(version, Half.CONTRACT) for version in applied.contracted}
    )


def read_schema(path: Path, dialect: str) -> tuple[Catalogue, frozenset[HalfRef]]:
    """What a schema dump says: the tables, and the halves that it holds already.

    pilotage's own dumps say which halves those are; pg_dump's are read as well.

    Raises
    ------
    UsageError
        It is no schema of this database.
    """
    from pilotage.migrate.dump import normalise
    from pilotage.migrate.history import applied_lines
    from pilotage.migrate.sql import SqlError, changes

    text = _bytes(path).decode("utf-8-sig", errors="replace")
    known = Catalogue(complete=True)
    try:
        for change in changes(normalise(text, dialect), dialect):
            known.apply(change)
    except SqlError as error:
        raise UsageError(
            f"the schema cannot be read: {error.what}",
            where=f"{path}:{error.line}",
            next="give a dump of the schema alone, without data (pg_dump --schema-only)",
        ) from error
    return known, frozenset(row.ref for row in applied_lines(text))


async def applied_in(config: Config) -> tuple[frozenset[str], str]:
    """The versions of which a half is applied in the project's database, and where that is.

    Raises
    ------
    PilotageError
        It cannot be asked.
    """
    from pilotage.migrate.runner import SqlSchema

    migrations = config.migrations
    if migrations is None or migrations.database is None:
        return frozenset(), ""
    database = config.databases[migrations.database]
    async with SqlSchema(
        url=database.url,
        migration_url=database.migration_url,
        stream=migrations.stream,
        service=config.service,
    ) as schema:
        view = await schema.view()
        return frozenset(ref.version for ref in _applied(view)), schema.where
