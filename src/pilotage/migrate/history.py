"""What was applied against what the files say now: edited files, renamed files. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from pilotage.errors import MigrationFileError
from pilotage.migrate.migration import Migration, Migrations
from pilotage.model import HalfRef, HalfRow, SchemaView

_MARKER = "-- pilotage: applied "


def check_applied(view: SchemaView, migrations: Migrations) -> None:
    """Compare every applied half with its file.

    A half that is applied in part is not judged here: the runner compares the statements that are
    done, so that the author may correct the one that failed.

    Raises
    ------
    MigrationFileError
        A file was edited after it was applied, or renamed to another version.
    """
    for row in view.rows:
        migration = migrations.get(row.ref.version)
        if migration is None or row.finished_at is None or not row.checksum:
            continue
        section = migration.section(row.ref.half)
        if section is not None and migration.checksum(row.ref.half) != row.checksum:
            raise _edited(row, migration, section.line)
    for old, migration in renamed(view, migrations):
        raise MigrationFileError(
            f"{migration} has the same text as {old.ref.version}_{old.name}, which is applied and "
            "has no file any more: it looks renamed",
            where=str(migration.path),
            state=f"{old.ref} was applied {_when(old)}",
            next=f"pilotage migrate mark {migration.version} --renamed {old.ref.version}; or give "
            "the file its old version back",
        )


def renamed(view: SchemaView, migrations: Migrations) -> list[tuple[HalfRow, Migration]]:
    """Pending migrations whose text is that of an applied half which has no file any more."""
    ships = migrations.ships()
    orphans = {
        (row.ref.half, row.checksum): row
        for row in view.rows
        if row.checksum
        and migrations.get(row.ref.version) is None
        and not ships.covers(row.ref.version)
    }
    known = {row.ref.version for row in view.rows}
    found: list[tuple[HalfRow, Migration]] = []
    for migration in migrations:
        if migration.version in known:
            continue
        for ref in migration.halves():
            row = orphans.get((ref.half, migration.checksum(ref.half)))
            if row is not None:
                found.append((row, migration))
                break
    return found


def _edited(row: HalfRow, migration: Migration, line: int) -> MigrationFileError:
    by = f" by release {row.release}" if row.release else ""
    return MigrationFileError(
        f"{row.ref} was applied {_when(row)}{by}, and its file was edited since: a database that is "
        "made from the files would differ from this one",
        where=f"{migration.path}:{line}",
        state="nothing was changed",
        next=f"git checkout -- {migration.path}, and put the change into a new migration; or, if "
        f"the edit changes nothing that matters: pilotage migrate mark {row.ref}",
    )


def _when(row: HalfRow) -> str:
    if row.finished_at is None:
        return "in part"
    return datetime.fromtimestamp(row.finished_at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def applied_text(view: SchemaView) -> str:
    """The comment lines that say which halves a schema dump holds; read by `applied_lines`."""
    return "".join(
        f"{_MARKER}{row.ref} {row.checksum or '-'} {row.name}\n"
        for row in view.rows
        if row.finished_at is not None
    )


def applied_marks(text: str) -> str:
    """Those lines of a schema file."""
    return "".join(f"{line}\n" for line in text.splitlines() if line.startswith(_MARKER))


def applied_lines(text: str) -> Iterator[HalfRow]:
    """The halves that a schema file says it holds."""
    for line in text.splitlines():
        if line.startswith(_MARKER):
            ref, checksum, *name = line.removeprefix(_MARKER).split(" ", 2)
            yield HalfRow(
                HalfRef.parse(ref),
                name=name[0] if name else "",
                checksum="" if checksum == "-" else checksum,
            )
