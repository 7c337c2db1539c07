"""Reads files one by one; what the loader would refuse in one becomes a finding, with its line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pilotage.errors import MigrationFileError
from pilotage.hazards.finding import FILE, FOREIGN, SYNTAX, Class, Finding, Severity
from pilotage.migrate.loader import read_file, statement_errors, version_and_name
from pilotage.migrate.migration import Migration
from pilotage.migrate.sql import SqlError
from pilotage.migrate.sql.foreign import ForeignSql
from pilotage.model import Half


@dataclass(frozen=True, slots=True)
class Source:
    """A file: where findings say that it is, and what is in it."""

    path: Path
    data: bytes


def read(
    source: Source, *, dialect: str, folder: bool = False
) -> tuple[Migration | None, list[Finding]]:
    """The migration in a file, and what the loader would refuse in it. Outside a folder of migrations
    a file may have any name."""
    version, _, name = source.path.stem.partition("_")
    try:
        if folder:
            version_and_name(source.path)
        migration = read_file(
            source.data, path=source.path, dialect=dialect, version=version, name=name
        )
    except MigrationFileError as error:
        return None, [finding_of(error, source.path)]
    return migration, [
        finding_of(error, source.path, half) for half, error in _errors(migration, dialect)
    ]


def _errors(migration: Migration, dialect: str) -> Iterator[tuple[Half, MigrationFileError]]:
    begins = migration.contract.line if migration.contract else 0
    for error in statement_errors(migration, dialect=dialect):
        late = begins and error.line >= begins
        yield (Half.CONTRACT if late else Half.EXPAND), error


def finding_of(error: MigrationFileError, path: Path, half: Half = Half.EXPAND) -> Finding:
    """What the loader refuses, as a finding."""
    cause = error.__cause__ if isinstance(error.__cause__, SqlError) else error
    syntax = bool(cause.column) and not isinstance(cause, ForeignSql)
    rule = FOREIGN if isinstance(cause, ForeignSql) else SYNTAX if syntax else FILE
    return Finding(
        rule=rule,
        class_=Class.RUNTIME_FAILURE,
        severity=Severity.ERROR,
        file=path,
        line=error.line or 1,
        column=error.column or 1,
        message=error.what + (f": {error.next}" if error.next else ""),
        rewrite="",
        half=half,
    )
