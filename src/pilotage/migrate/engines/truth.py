"""What is applied: by the framework's own word, with what pilotage recorded beside it. Pure.

A framework knows versions and no halves, and anybody may run it by hand. So its word decides whether a
version is applied, and our rows decide which half it is. See ``docs/decisions/092-whose-word-counts.md``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from pilotage.model import FOUND, Half, HalfRef, HalfRow, SchemaView


@dataclass(frozen=True, slots=True)
class Reading:
    """What a framework says. ``heads``: each version stands for all that come before it as well."""

    versions: frozenset[str]
    heads: bool = False


def applied(
    reading: Reading, after: Mapping[str, tuple[str, ...]], recorded: Iterable[str]
) -> frozenset[str]:
    """Every applied version. ``after``: what comes before what, as far as files were read.

    Of a head that no file explains, our own rows say what came before it.
    """
    if not reading.heads:
        return reading.versions
    found: set[str] = set()
    left = list(reading.versions)
    while left:
        version = left.pop()
        if version not in found:
            found.add(version)
            left += after.get(version, ())
    if not reading.versions <= after.keys():
        found |= set(recorded)
    return frozenset(found)


def made_true(
    view: SchemaView, versions: frozenset[str], halves: Mapping[str, HalfRow]
) -> SchemaView:
    """The view with rows for what is applied and for nothing else.

    ``halves``: version → a row as the file of that version would have it, as far as files were read.

    A contract half that began stays begun until it is applied: what a command that failed has left
    undone, nobody knows. Before pilotage first looked, whatever there is was *found*.
    """
    rows = tuple(row for row in (_true(row, versions) for row in view.rows) if row is not None)
    loose = versions - {row.ref.version for row in rows}
    if not view.exists:
        return replace(view, rows=(*rows, *found_rows(loose)))
    by_hand = tuple(halves[version] for version in sorted(loose & halves.keys()))
    return replace(view, rows=(*rows, *by_hand), loose=loose - halves.keys())


def _true(row: HalfRow, versions: frozenset[str]) -> HalfRow | None:
    if row.ref.version in versions:
        finished = row.finished_at or row.started_at or row.opened_at or 1.0
        return replace(row, finished_at=finished)
    begun = row.ref.half is Half.CONTRACT and row.finished_at is None
    return row if begun else None


def found_rows(versions: Iterable[str]) -> tuple[HalfRow, ...]:
    """The rows of what was there before pilotage: both halves, since nobody knows which it is."""
    return tuple(
        HalfRow(HalfRef(version, half), how=FOUND, started_at=1.0, finished_at=1.0)
        for version in sorted(versions)
        for half in Half
    )
