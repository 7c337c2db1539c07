"""Putting one squash migration in the place of the files that it replaces: ``migrate baseline``.

The folder is read again as it will be before anything in it is changed, so that it is never left in a
state that cannot be loaded.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from pilotage.errors import UsageError
from pilotage.migrate import sql
from pilotage.migrate.loader import load_files
from pilotage.migrate.migration import Migration, Migrations
from pilotage.migrate.sql.batch import main_verb
from pilotage.migrate.sql.token import code
from pilotage.model import version_key


@dataclass(frozen=True, slots=True)
class Squash:
    """A squash that can be written. ``fills``: replaced files whose rows it does not bring along."""

    path: Path
    text: str
    replaced: tuple[Migration, ...]
    fills: tuple[Migration, ...]


def squash(
    migrations: Migrations, text: str, *, through: str, name: str, folder: Path, dialect: str
) -> Squash:
    """The squash of everything up to ``through``, with the version just above it.

    Raises
    ------
    UsageError
        That version is taken.
    MigrationFileError
        The folder could not be read with it.
    """
    replaced = tuple(m for m in migrations if version_key(m.version) <= version_key(through))
    version = str(int(through) + 1).zfill(len(through))
    taken = migrations.get(version)
    if taken is not None:
        raise UsageError(
            f"the squash needs the version {version}, which {taken} has",
            state="nothing was written",
            next=f"pilotage migrate baseline {version}, or give that file a later version",
        )
    path = folder / f"{version}_{name}.sql"
    kept = [m for m in migrations if m not in replaced]
    files = {m.path: m.path.read_bytes() for m in kept} | {path: text.encode()}
    load_files(files, dialect=dialect)
    return Squash(path, text, replaced, tuple(m for m in replaced if _fills(m, dialect)))


def _fills(migration: Migration, dialect: str) -> bool:
    """Whether its expand or contract half makes rows: a dump of the schema has none."""
    sections = (migration.expand, migration.contract)
    return not migration.replaces and any(
        _makes_rows(statement.text, dialect)
        for section in sections
        if section
        for statement in sql.split(section.text, dialect)
    )


def _makes_rows(statement: str, dialect: str) -> bool:
    tokens = code(sql.grammar(dialect).tokens(statement))
    verb = main_verb(tokens) or tokens[0]
    return verb.named("INSERT", "REPLACE", "MERGE", "COPY")


def write(made: Squash, *, archive: Path | None) -> None:
    """Write the squash, then delete the replaced files, or move them to ``archive``."""
    made.path.write_text(made.text, encoding="utf-8")
    if archive is not None:
        archive.mkdir(parents=True, exist_ok=True)
    for migration in made.replaced:
        if archive is None:
            migration.path.unlink()
        else:
            shutil.move(migration.path, archive / migration.path.name)
