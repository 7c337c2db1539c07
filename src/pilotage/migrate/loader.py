"""Migration files → `Migrations`. Reads a folder; touches no database.

A file is ``VERSION_name.sql``. Whole-line comments divide it into sections (``-- expand``,
``-- backfill``, ``-- verify``, ``-- contract``, ``-- down``) and give directives
(``-- pilotage: …``); see ``docs/reference/migrations.md``. Every statement is read here, by the
database's own grammar, so that a mistake is found before anything is touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path

from pilotage.errors import MigrationFileError
from pilotage.migrate.migration import Migration, Migrations, Section
from pilotage.migrate.sections import SECTIONS, read_sections, whole
from pilotage.migrate.sql import (
    SqlError,
    batched,
    creates_index_concurrently,
    grammar,
    is_query,
    located,
    needs_no_transaction,
    split,
    transaction_control,
)
from pilotage.model import version_key


def load_migrations(folder: Path, *, dialect: str) -> Migrations:
    """All migrations of a folder. Files that do not end in ``.sql`` are ignored, and so are folders.

    Raises
    ------
    MigrationFileError
        The folder is missing, or a file in it is wrong; ``where`` is ``file:line``.
    """
    if not folder.is_dir():
        raise MigrationFileError(
            "the migrations folder is missing" if not folder.exists() else "it is not a folder",
            where=str(folder),
            next="make one with `pilotage migrate new NAME`, or correct `migrations: {path: …}`",
        )
    paths = [p for p in folder.iterdir() if p.suffix == ".sql" and p.is_file()]
    return load_files({path: _read(path) for path in paths}, dialect=dialect)


def load_files(files: Mapping[Path, bytes], *, dialect: str) -> Migrations:
    """All migrations among ``files``, which are in memory; those that do not end in ``.sql`` are ignored.

    Raises
    ------
    MigrationFileError
        A file is wrong; ``where`` is ``file:line``.
    """
    migrations = [
        parse_migration(files[path], path=path, dialect=dialect)
        for path in sorted(files)
        if path.suffix == ".sql"
    ]
    return together(migrations)


def together(migrations: Iterable[Migration]) -> Migrations:
    """The files of a folder as one whole.

    Raises
    ------
    MigrationFileError
        Two have one version, or one requires or replaces what is not there.
    """
    files = tuple(migrations)
    _check_versions(files)
    loaded = Migrations({migration.version: migration for migration in files})
    for migration in loaded:
        _check_requires(migration, loaded)
        _check_squash(migration, loaded)
    return loaded


def parse_migration(text: str | bytes, *, path: Path, dialect: str) -> Migration:
    """One migration from the text of its file. ``path`` gives version and name, and is not read.

    Raises
    ------
    MigrationFileError
        The file is wrong; ``where`` is ``file:line``.
    """
    migration = read_migration(text, path=path, dialect=dialect)
    check_statements(migration, dialect=dialect)
    return migration


def read_migration(text: str | bytes, *, path: Path, dialect: str) -> Migration:
    """`parse_migration` without a look at the statements, which may be such as could not run.

    Raises
    ------
    MigrationFileError
        The sections or directives are wrong, or the text breaks off.
    """
    version, name = version_and_name(path)
    return read_file(text, path=path, dialect=dialect, version=version, name=name)


def read_file(text: str | bytes, *, path: Path, dialect: str, version: str, name: str) -> Migration:
    """`read_migration` of a file with any name.

    Raises
    ------
    MigrationFileError
        It is no text, or a section or a directive is wrong.
    """
    with located(path, 1):
        if isinstance(text, bytes):
            text = _decode(text)
        text = text.removeprefix("\ufeff")
        reader = grammar(dialect)
        if reader.comments(text):
            sections = read_sections(text, reader.tokens(text), reader.inner(text))
        else:
            sections = {"expand": whole(text)}
    return Migration(version, name, path, **sections)  # type: ignore[arg-type]


# ----------------------------------------------------------------------------------------------
# The file
# ----------------------------------------------------------------------------------------------


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise MigrationFileError(f"it cannot be read: {error.strerror}", where=str(path)) from error


def _decode(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise SqlError(
            f"byte 0x{data[error.start]:02x} is not UTF-8",
            line=data.count(b"\n", 0, error.start) + 1,
            next="save the file as UTF-8",
        ) from error


def version_and_name(path: Path) -> tuple[str, str]:
    """The two parts of a file's name; raises `MigrationFileError` where it has them not."""
    version, underscore, name = path.stem.partition("_")
    digits = version.isascii() and version.isdecimal()
    if path.suffix == ".sql" and digits and underscore and name:
        return version, name
    raise MigrationFileError(
        f"{path.name!r} is not VERSION_name.sql"
        + ("" if digits else ", where VERSION is digits alone"),
        where=f"{path}:1",
        next="rename it, for example to 20261121093000_add_email.sql, or move it out of the folder",
    )


def _check_versions(migrations: Iterable[Migration]) -> None:
    seen: dict[int, Migration] = {}
    for migration in migrations:
        other = seen.setdefault(int(migration.version), migration)
        if other is not migration:
            raise MigrationFileError(
                f"version {migration.version} is taken by {other.path.name}",
                where=f"{migration.path}:1",
                next="give the newer of the two files a version of its own",
            )


# ----------------------------------------------------------------------------------------------
# Statements
# ----------------------------------------------------------------------------------------------


def check_statements(migration: Migration, *, dialect: str) -> None:
    """Read every statement of a migration and refuse what could not run.

    Raises
    ------
    MigrationFileError
        Broken SQL, transaction control, a command that cannot run in a transaction, a backfill that
        cannot run in batches, or a ``-- verify`` that changes something.
    """
    for name in SECTIONS:
        section: Section | None = getattr(migration, name)
        if section is None:
            continue
        with located(migration.path, section.line):
            for statement in split(section.text, dialect):
                _check_statement(statement.text, statement.line, name, section, dialect)


def statement_errors(migration: Migration, *, dialect: str) -> Iterator[MigrationFileError]:
    """Everything that `check_statements` would refuse, where it raises the first; in the file's order.

    SQL that does not parse is the last of its section.
    """
    for name in SECTIONS:
        section: Section | None = getattr(migration, name)
        if section is None:
            continue
        try:
            statements = split(section.text, dialect)
        except SqlError as error:
            yield error.at(migration.path, section.line)
            continue
        for statement in statements:
            try:
                _check_statement(statement.text, statement.line, name, section, dialect)
            except SqlError as error:
                yield error.at(migration.path, section.line)


def _check_statement(text: str, line: int, name: str, section: Section, dialect: str) -> None:
    control = transaction_control(text, dialect)
    if control:
        raise SqlError(
            f"{control} in a migration: pilotage begins and ends the transactions",
            line=line,
            next="take it out; `-- pilotage: transaction=false` runs each statement on its own",
        )
    if name == "verify":
        if not is_query(text, dialect):
            raise SqlError(
                "a `-- verify` statement must be a query that changes nothing",
                line=line,
                next="write a SELECT that returns the rows which are still wrong",
            )
    elif name == "backfill":
        try:
            batched(text, dialect)
        except SqlError as error:
            raise SqlError(error.what, line=line + error.line - 1, next=error.next) from error
    elif command := needs_no_transaction(text, dialect):
        _check_outside(command, text, line=line, section=section, dialect=dialect)


def _check_outside(command: str, text: str, *, line: int, section: Section, dialect: str) -> None:
    """What cannot run in a transaction block must be in none, and be found again when it breaks off."""
    if section.directives.transaction:
        raise SqlError(
            f"{command} cannot run in a transaction",
            line=line,
            next="add `-- pilotage: transaction=false` to its section; best in a file of its own",
        )
    index = creates_index_concurrently(text, dialect)
    if index and not index.name:
        raise SqlError(
            "an index that is built concurrently needs a name",
            line=line,
            next="name it, so that what a broken build leaves behind can be found and dropped",
        )


# ----------------------------------------------------------------------------------------------
# The folder as a whole
# ----------------------------------------------------------------------------------------------


def _check_requires(migration: Migration, migrations: Migrations) -> None:
    for ref in sorted(migration.requires):
        where = _where(migration, "requires")
        required = migrations.get(ref.version)
        if ref.version == migration.version:
            raise MigrationFileError("it requires itself", where=where)
        if required is None:
            squash = next((m for m in migrations if _covers(m, ref.version)), None)
            near = get_close_matches(ref.version, migrations.by_version, n=1)
            raise MigrationFileError(
                f"it requires {ref}, but "
                + (f"{squash} replaces it" if squash else "there is no such migration"),
                where=where,
                next=f"require {squash.version}/expand instead"
                if squash
                else (f"did you mean {near[0]}/{ref.half}?" if near else "add the missing file"),
            )
        if required.section(ref.half) is None:
            raise MigrationFileError(
                f"it requires {ref}, but {required.path.name} has no `-- {ref.half}`", where=where
            )


def _check_squash(migration: Migration, migrations: Migrations) -> None:
    """A squash stands directly after what it replaces, and what it replaces is gone."""
    for first, last in migration.replaces:
        where = _where(migration, "replaces")
        if version_key(migration.version) <= version_key(last):
            raise MigrationFileError(
                f"version {migration.version} does not come after {last}, the last that it replaces",
                where=where,
                next="give the squash a version just above the last one that it replaces",
            )
        for other in migrations:
            if int(first) <= int(other.version) < int(migration.version):
                inside = int(other.version) <= int(last)
                raise MigrationFileError(
                    f"it replaces {first}..{last}, but {other.path.name} "
                    + ("is still there" if inside else "stands between them and the squash"),
                    where=where,
                    next="delete the files that the squash replaces"
                    if inside
                    else "give the squash a version just above the last one that it replaces",
                )


def _covers(migration: Migration, version: str) -> bool:
    return any(int(lo) <= int(version) <= int(hi) for lo, hi in migration.replaces)


def _where(migration: Migration, key: str) -> str:
    """``file:line`` of a directive."""
    sections = (migration.expand, migration.contract)
    lines = [s.directives.lines[key] for s in sections if s and key in s.directives.lines]
    return f"{migration.path}:{lines[0] if lines else 1}"
