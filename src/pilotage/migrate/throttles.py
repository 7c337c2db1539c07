"""``pilotage_throttles``: what people, from any terminal, and a backfill itself say of its speed.

A row is there from the first word that is said of a backfill until it ends. The runner reads it a few
times a second; nobody needs the migration lock, which the backfill holds.
"""

# ruff: noqa: S608  (what is formatted in is the tables' own schema and the dialect's fragments)

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pilotage.migrate.dialects.base import Dialect, Session, StatementError, Trouble
from pilotage.migrate.state import NEARLY, place_of


@dataclass(frozen=True, slots=True)
class Throttle:
    """What is said of one backfill. Times: Unix seconds.

    ``paused_by``: who paused it, or None; ``duty`` (0…1) and ``rate`` (rows a second) where a person
    set them; ``waits_for``: why it pauses by itself at this moment, in words, or "".
    """

    paused_by: str | None = None
    paused_at: float | None = None
    reason: str = ""
    duty: float | None = None
    rate: float | None = None
    waits_for: str = ""

    def to_json(self) -> dict[str, Any]:
        """An object."""
        return {
            "paused_by": self.paused_by,
            "paused_at": self.paused_at,
            "reason": self.reason or None,
            "duty": self.duty,
            "rate": self.rate,
            "waits_for": self.waits_for or None,
        }


@dataclass(frozen=True, slots=True)
class BackfillReport:
    """Where a backfill that has not ended stands. ``number``: of the pass; ``fraction``: 0…0.99 of its walk
    over the table that it is at, as large as that was thought to be; ``eta``: seconds of work that the pass has
    left."""

    version: str
    final: bool
    number: int
    rows: int
    fraction: float | None
    eta: float | None
    started_at: float | None
    updated_at: float | None
    throttle: Throttle

    def to_json(self) -> dict[str, Any]:
        """An object."""
        return {
            "version": self.version,
            "final": self.final,
            "pass": self.number,
            "rows": self.rows,
            "fraction": self.fraction,
            "eta": self.eta,
            "started_at": self.started_at,
            "updated_at": self.updated_at,
            **self.throttle.to_json(),
        }


class Throttles:
    """The rows of one stream. ``home`` as `Dialect.home` gives it."""

    def __init__(self, dialect: Dialect, home: str, stream: str) -> None:
        self._dialect = dialect
        self._home = home
        self._stream = stream

    async def get(self, session: Session, version: str) -> Throttle:
        """What is said of a backfill; nothing, where there is no row."""
        rows = await session.query(
            f"SELECT paused_by, {self._dialect.epoch('paused_at')}, reason, duty, rate, waits_for"
            f" FROM {self._home}pilotage_throttles WHERE stream = $1 AND version = $2",
            self._stream,
            version,
        )
        return _throttle(rows[0]) if rows else Throttle()

    async def reports(self, session: Session) -> tuple[BackfillReport, ...]:
        """Every backfill that was begun and has not ended, and every one that somebody has paused or
        throttled before it began."""
        epoch = self._dialect.epoch
        rows = await session.query(
            "SELECT b.version, b.final, b.pass, b.total_rows, b.scanned, b.estimate, b.position,"
            f" {epoch('b.started_at')}, {epoch('b.updated_at')}, t.paused_by,"
            f" {epoch('t.paused_at')}, t.reason, t.duty, t.rate, t.waits_for"
            f" FROM {self._home}pilotage_backfills b"
            f" LEFT JOIN {self._home}pilotage_throttles t"
            " ON t.stream = b.stream AND t.version = b.version"
            " WHERE b.stream = $1 AND b.finished_at IS NULL ORDER BY b.started_at",
            self._stream,
        )
        found = [
            BackfillReport(
                version,
                bool(final),
                number,
                total,
                min(scanned / estimate, NEARLY) if estimate else None,
                place_of(place)["eta"],
                started,
                updated,
                _throttle(tuple(said)),
            )
            for version, final, number, total, scanned, estimate, place, started, updated, *said in rows
        ]
        others = await session.query(
            f"SELECT version, paused_by, {epoch('paused_at')}, reason, duty, rate, waits_for"
            f" FROM {self._home}pilotage_throttles WHERE stream = $1"
            " AND (paused_by IS NOT NULL OR duty IS NOT NULL OR rate IS NOT NULL)",
            self._stream,
        )
        begun = {one.version for one in found}
        found += [
            BackfillReport(version, False, 0, 0, None, None, None, None, _throttle(tuple(said)))
            for version, *said in others
            if version not in begun
        ]
        return tuple(found)

    async def pause(self, session: Session, version: str, *, by: str, reason: str) -> None:
        """Have it pause, until `resume`."""
        await self._set(
            session,
            version,
            f"paused_by = $3, reason = $4, paused_at = {self._dialect.now}",
            by,
            reason,
        )

    async def resume(self, session: Session, version: str) -> None:
        """Have it go on."""
        await self._set(session, version, "paused_by = NULL, paused_at = NULL, reason = NULL")

    async def throttle(
        self, session: Session, version: str, *, duty: float | None, rate: float | None
    ) -> None:
        """Set how fast it may be; None: as configured."""
        await self._set(session, version, "duty = $3, rate = $4", duty, rate)

    async def wait_for(self, session: Session, version: str, words: str) -> None:
        """Say why it pauses by itself; "" when it no longer does."""
        await self._set(session, version, "waits_for = $3", words or None)

    async def forget(self, session: Session, version: str) -> None:
        """The backfill has ended: what was said of it is over."""
        await session.execute(
            f"DELETE FROM {self._home}pilotage_throttles WHERE stream = $1 AND version = $2",
            self._stream,
            version,
        )

    async def _set(self, session: Session, version: str, columns: str, *values: object) -> None:
        """Change columns of a row, which is made where it is missing; outside a transaction."""
        key = (self._stream, version)
        table = f"{self._home}pilotage_throttles"
        there = await session.query(
            f"SELECT 1 FROM {table} WHERE stream = $1 AND version = $2", *key
        )
        if not there:
            try:
                await session.execute(
                    f"INSERT INTO {table} (stream, version) VALUES ($1, $2)", *key
                )
            except StatementError as error:
                if error.trouble is not Trouble.DUPLICATE:  # somebody else has just made it
                    raise
        await session.execute(
            f"UPDATE {table} SET {columns} WHERE stream = $1 AND version = $2", *key, *values
        )


def _throttle(row: tuple[Any, ...]) -> Throttle:
    paused_by, paused_at, reason, duty, rate, waits_for = row
    return Throttle(paused_by, paused_at, reason or "", duty, rate, waits_for or "")
