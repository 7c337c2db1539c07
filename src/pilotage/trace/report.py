"""What a trace has measured, statement by statement: frozen, pure, and JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any

from pilotage.errors import PilotageError


class Stops(IntEnum):
    """Whom a lock keeps waiting for as long as it is held; the larger, the worse."""

    NOBODY = 0
    SCHEMA_CHANGES = 1  # other DDL and VACUUM, no query
    WRITERS = 2
    EVERYBODY = 3

    def __str__(self) -> str:
        return self.name.lower().replace("_", " ")


class Until(StrEnum):
    """When a lock is given back."""

    STATEMENT = "statement"
    TRANSACTION = "transaction"


@dataclass(frozen=True, slots=True)
class Relation:
    """A table, index, sequence or view. ``table``: what an index belongs to, else its own name."""

    name: str
    kind: str
    table: str

    def __str__(self) -> str:
        return self.name if self.kind == "table" else f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock on a relation that was there before the half. ``seconds``: from the beginning of the
    statement that took it to its release."""

    relation: Relation
    mode: str
    stops: Stops
    until: Until
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Strings and numbers."""
        return {
            "relation": self.relation.name,
            "kind": self.relation.kind,
            "table": self.relation.table,
            "mode": self.mode,
            "stops": str(self.stops),
            "until": str(self.until),
            "seconds": round(self.seconds, 6),
        }


@dataclass(frozen=True, slots=True)
class Scan:
    """A table that was read from its beginning to its end, so many ``times``. ``rows``: of all times."""

    relation: Relation
    times: int
    rows: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """What ``seconds`` would be with the ``rows`` that the source has in ``table``.

    Measured time by rows, and nothing else: no cache, no disk, no other load is in it.
    """

    seconds: float
    rows: int
    table: str


@dataclass(frozen=True, slots=True)
class TracedStatement:
    """One statement of a section, as it was run; of a backfill all its batches together.

    ``seconds`` are of the statement alone, without its commit; ``slowest`` those of the longest batch.
    ``under``: what earlier statements of the transaction had locked, and hold on. ``wal``: bytes of the write-ahead log, of the whole server meanwhile. ``scans``: None where the server
    cannot say.
    """

    file: Path
    line: int
    text: str
    seconds: float
    wal: int
    rows: int = 0
    batches: int | None = None
    slowest: float = 0.0
    locks: tuple[Lock, ...] = ()
    under: tuple[Lock, ...] = ()
    rewrites: tuple[Relation, ...] = ()
    scans: tuple[Scan, ...] | None = ()
    estimate: Estimate | None = None

    @property
    def stops(self) -> Stops:
        """The worst of the locks that are held while it runs."""
        return max((lock.stops for lock in (*self.locks, *self.under)), default=Stops.NOBODY)

    @property
    def is_felt(self) -> bool:
        """Whether somebody waits for as long as rows are read or written."""
        return self.stops >= Stops.WRITERS and bool(self.rewrites or self.scans)

    def to_json(self) -> dict[str, Any]:
        """Strings, numbers, lists."""
        return {
            "file": str(self.file),
            "line": self.line,
            "statement": self.text,
            "seconds": round(self.seconds, 6),
            "wal_bytes": self.wal,
            "rows": self.rows,
            "batches": self.batches,
            "slowest_batch_seconds": round(self.slowest, 6) if self.batches else None,
            "locks": [lock.to_json() for lock in self.locks],
            "under": [lock.to_json() for lock in self.under],
            "rewrites": [_named(relation) for relation in self.rewrites],
            "scans": None
            if self.scans is None
            else [
                {**_named(scan.relation), "times": scan.times, "rows": scan.rows}
                for scan in self.scans
            ],
            "estimate": None
            if self.estimate is None
            else {
                "seconds": round(self.estimate.seconds, 3),
                "rows": self.estimate.rows,
                "table": self.estimate.table,
            },
        }


def _named(relation: Relation) -> dict[str, Any]:
    return {"relation": relation.name, "kind": relation.kind, "table": relation.table}


@dataclass(frozen=True, slots=True)
class TracedHalf:
    """A section of a migration: its expand half, its backfill, or its contract half."""

    version: str
    section: str
    transaction: bool
    seconds: float
    statements: tuple[TracedStatement, ...]

    def __str__(self) -> str:
        return f"{self.version}/{self.section}"

    def to_json(self) -> dict[str, Any]:
        """The section with its statements."""
        return {
            "version": self.version,
            "section": self.section,
            "transaction": self.transaction,
            "seconds": round(self.seconds, 6),
            "statements": [statement.to_json() for statement in self.statements],
        }


@dataclass(frozen=True, slots=True)
class Trace:
    """What was measured, on what. ``server``: the clone's; ``schema``: where its schema and rows are
    from. ``error``: what ended it before its end; all of ``halves`` was measured."""

    server: str
    schema: str
    halves: tuple[TracedHalf, ...] = ()
    notes: tuple[str, ...] = ()
    error: PilotageError | None = field(default=None, compare=False)

    @property
    def statements(self) -> Iterable[TracedStatement]:
        """All statements, in their order."""
        return (statement for half in self.halves for statement in half.statements)

    def at(self, file: Path, line: int) -> TracedStatement | None:
        """The statement that the line of a file belongs to."""
        for statement in self.statements:
            last = statement.line + statement.text.count("\n")
            if statement.file == file and statement.line <= line <= last:
                return statement
        return None

    def to_json(self) -> dict[str, Any]:
        """Everything; ``error`` as errors are written everywhere, or null."""
        return {
            "server": self.server,
            "schema": self.schema,
            "notes": list(self.notes),
            "halves": [half.to_json() for half in self.halves],
            "error": self.error.to_json() if self.error else None,
        }
