"""Where every migration stands, file by file and half by half: ``pilotage migrate status``. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from pilotage.migrate.history import renamed
from pilotage.migrate.migration import Migration, Migrations
from pilotage.migrate.sql import split
from pilotage.model import FOUND, REVERTING, Half, HalfRef, HalfRow, SchemaView, expand


class Standing(StrEnum):
    """How far a half is."""

    APPLIED = "applied"
    STARTED = "started"  # some of its statements are done, or it is not known whether
    REVERTING = "reverting"  # some statements of its `-- down` section are done
    BACKFILLING = "backfilling"  # all its statements are done, its backfill is not
    PENDING = "pending"
    HELD = "held"  # a contract half that waits for its proof
    OUT_OF_BAND = "out-of-band"  # pending, and a person runs it apart from a deploy
    REPLACED = "replaced"  # applied, and a squash stands for it now


@dataclass(frozen=True, slots=True)
class HalfReport:
    """One half. ``row`` is its record, where it was begun."""

    ref: HalfRef
    standing: Standing
    row: HalfRow | None = None

    def to_json(self) -> dict[str, Any]:
        """An object; times are Unix seconds, or null."""
        row = self.row
        return {
            "half": str(self.ref.half),
            "standing": str(self.standing),
            "how": row.how if row else None,
            "release": row.release if row else None,
            "started_at": row.started_at if row else None,
            "finished_at": row.finished_at if row else None,
            "statements_done": row.statements_done if row else None,
        }


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """One migration. ``path`` is None where it is applied and its file is not there.

    ``trouble`` says what a person has to look at: a file that was edited, that is gone, or that looks
    renamed (``renamed_from``: the version it had).
    """

    version: str
    name: str
    path: str | None
    halves: tuple[HalfReport, ...]
    trouble: str = ""
    renamed_from: str | None = None

    def to_json(self) -> dict[str, Any]:
        """An object."""
        return {
            "version": self.version,
            "name": self.name,
            "path": self.path,
            "halves": [half.to_json() for half in self.halves],
            "trouble": self.trouble or None,
            "renamed_from": self.renamed_from,
        }


def report(view: SchemaView, migrations: Migrations) -> tuple[MigrationReport, ...]:
    """Every migration that has a file or a record, in file order."""
    rows = {
        row.ref: row
        for row in view.rows
        if (row.how != "opened" or row.finished_at) and not _is_doubled(row, migrations)
    }
    origins = {found.version: old.ref.version for old, found in renamed(view, migrations)}
    reports = [_of_file(m, rows, view, origins.get(m.version)) for m in migrations]
    orphans: dict[str, list[HalfRow]] = {}
    for ref, row in rows.items():
        if migrations.get(ref.version) is None:
            orphans.setdefault(ref.version, []).append(row)
    reports += [
        _without_file(version, found, migrations, set(origins.values()))
        for version, found in orphans.items()
    ]
    reports += [
        MigrationReport(
            version,
            "",
            None,
            (HalfReport(expand(version), Standing.APPLIED),),
            "was run by hand, and no file here says which half it is",
        )
        for version in view.loose
    ]
    place = {v: n for n, v in enumerate(migrations.in_order(r.version for r in reports))}
    return tuple(sorted(reports, key=lambda r: place[r.version]))


def _is_doubled(row: HalfRow, migrations: Migrations) -> bool:
    """What was found has a record for either half, since nobody knew which it was: one is enough."""
    migration = migrations.get(row.ref.version)
    if row.how != FOUND:
        return False
    return (
        row.ref.half is Half.CONTRACT if migration is None else not migration.section(row.ref.half)
    )


def _of_file(
    migration: Migration, rows: dict[HalfRef, HalfRow], view: SchemaView, origin: str | None
) -> MigrationReport:
    halves = tuple(_half(migration, ref, rows.get(ref), view) for ref in migration.halves())
    trouble = ""
    edited = [str(half.ref) for half in halves if _edited(migration, half.row)]
    if edited:
        trouble = f"the file was edited after {' and '.join(edited)} was applied"
    elif origin:
        trouble = f"has the text of {origin}, which is applied and has no file: renamed?"
    gone = [row for ref, row in rows.items() if _lost_half(migration, ref)]
    if gone and not trouble:
        trouble = f"{gone[0].ref} is applied, and the file has no such half any more"
    return MigrationReport(
        migration.version, migration.name, str(migration.path), halves, trouble, origin
    )


def _lost_half(migration: Migration, ref: HalfRef) -> bool:
    """Whether a record is of a half that the file no longer has. (A squash has one of its own.)"""
    return (
        ref.version == migration.version
        and migration.section(ref.half) is None
        and not migration.replaces
    )


def _edited(migration: Migration, row: HalfRow | None) -> bool:
    return bool(
        row
        and row.finished_at is not None
        and row.checksum
        and row.checksum != migration.checksum(row.ref.half)
    )


def _half(migration: Migration, ref: HalfRef, row: HalfRow | None, view: SchemaView) -> HalfReport:
    if row is not None:
        return HalfReport(ref, _begun(migration, row, view.dialect), row)
    if migration.out_of_band(ref.half):
        return HalfReport(ref, Standing.OUT_OF_BAND)
    ready = migration.expand is None or view.applied.has(expand(ref.version))
    if ref.half is Half.CONTRACT and ready and view.exists and not view.fresh:
        return HalfReport(ref, Standing.HELD)
    return HalfReport(ref, Standing.PENDING)


def _begun(migration: Migration, row: HalfRow, dialect: str) -> Standing:
    if row.finished_at is not None:
        return Standing.APPLIED
    if row.how == REVERTING:
        return Standing.REVERTING
    section = migration.section(row.ref.half)
    if migration.backfill is None or row.ref.half is Half.CONTRACT or section is None:
        return Standing.STARTED
    statements = len(split(section.text, dialect))
    return Standing.BACKFILLING if row.statements_done >= statements else Standing.STARTED


def _without_file(
    version: str, rows: Iterable[HalfRow], migrations: Migrations, moved: set[str]
) -> MigrationReport:
    rows = sorted(rows, key=lambda row: row.ref)
    replaced = migrations.ships().covers(version)
    standing = Standing.REPLACED if replaced else Standing.APPLIED
    halves = tuple(
        HalfReport(row.ref, standing if row.finished_at else Standing.STARTED, row) for row in rows
    )
    expected = replaced or version in moved or rows[0].how == FOUND
    trouble = "" if expected else "is applied, and has no file here"
    return MigrationReport(version, rows[0].name, None, halves, trouble)


def counts(reports: Iterable[MigrationReport]) -> dict[str, int]:
    """How many halves stand where; standings that nothing has are left out."""
    found: dict[str, int] = {}
    for one in reports:
        for half in one.halves:
            found[str(half.standing)] = found.get(str(half.standing), 0) + 1
    return found


def relative(reports: Iterable[MigrationReport], root: str) -> tuple[MigrationReport, ...]:
    """The same reports with paths relative to the project, for people and machines to read."""
    prefix = root.rstrip("/") + "/"
    return tuple(replace(r, path=r.path.removeprefix(prefix) if r.path else None) for r in reports)
