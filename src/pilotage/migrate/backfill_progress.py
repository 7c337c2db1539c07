"""How fast a backfill is, and when it will be done. By the monotonic clock: the other one may jump.

What is left is counted in rows of the tables, which every batch walks over, and not in rows that it
changes: a table that is half done already is walked all the same. How long that takes follows from the
last minute, so that a new throttle, or rows that are slower than those before, are in it soon.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence

from pilotage.events import BackfillProgress, Emit
from pilotage.migrate.state import NEARLY, Cursor

_LATELY = 10.0  # seconds that the rate is taken over
_LONGER = 60.0  # seconds that the estimate is taken over, which is to be steady


class Progress:
    """Tells of each batch, with the rate of the last seconds and an estimate of what is left."""

    def __init__(self, version: str, emit: Emit) -> None:
        self._version = version
        self._emit = emit
        self._began = time.monotonic()
        self._paused = 0.0
        self._changed = self._walked = 0  # rows, in this run
        self._changes = _Speed(_LATELY)
        self._walk = _Speed(_LONGER)

    def paused(self, seconds: float) -> None:
        """So long nothing was done: no part of the rate."""
        self._paused += seconds

    def batch(
        self,
        cursor: Cursor,
        tables: Sequence[int | None],
        *,
        spanned: int,
        changed: int,
        seconds: float,
    ) -> float | None:
        """A batch was committed, with this cursor. ``tables``: about how many rows each statement's has.

        Returns how many seconds of work this pass has left, where that is known.
        """
        now = self._worked
        self._changed += changed
        self._walked += spanned
        rate = self._changes.at(now, self._changed)
        speed = self._walk.at(now, self._walked)
        left = _left(cursor, tables)
        eta = None if left is None or not speed else left / speed
        self._tell(
            cursor,
            rate=changed / max(seconds, 1e-6) if rate is None else rate,
            fraction=_fraction(cursor, tables),
            eta=eta,
            batch=spanned,
            seconds=seconds,
        )
        return eta

    def ended(self, cursor: Cursor) -> None:
        """It is done; the rate is that of all of it."""
        rate = self._changed / self._worked
        self._tell(cursor, rate=rate, fraction=1.0, eta=0.0, batch=0, seconds=0.0)

    @property
    def _worked(self) -> float:
        return max(time.monotonic() - self._began - self._paused, 1e-6)

    def _tell(
        self,
        cursor: Cursor,
        *,
        rate: float,
        fraction: float | None,
        eta: float | None,
        batch: int,
        seconds: float,
    ) -> None:
        self._emit(
            BackfillProgress(
                version=self._version,
                number=cursor.number,
                rows=cursor.total_rows,
                rate=rate,
                fraction=fraction,
                eta=eta,
                batch=batch,
                seconds=seconds,
            )
        )


class _Speed:
    """How much is done a second, over the last ``span`` seconds, or since the last batch, if that is longer.

    It counts from the end of a batch, so that the rest before the next one is a part of it.
    """

    def __init__(self, span: float) -> None:
        self._span = span
        self._marks: deque[tuple[float, int]] = deque()

    def at(self, now: float, total: int) -> float | None:
        """It, when a batch ends now with ``total`` done; None after the first."""
        marks = self._marks
        marks.append((now, total))
        while len(marks) > 2 and now - marks[1][0] >= self._span:
            marks.popleft()
        then, before = marks[0]
        return (total - before) / (now - then) if now > then else None


def _left(cursor: Cursor, tables: Sequence[int | None]) -> int | None:
    """How many rows this pass has yet to walk over; None where a table's are not known, or are more than
    was thought."""
    tables = tables[cursor.statement :]
    rows = [count for count in tables if count is not None]
    if len(rows) < len(tables) or cursor.scanned > rows[0]:
        return None
    return sum(rows) - cursor.scanned


def _fraction(cursor: Cursor, tables: Sequence[int | None]) -> float | None:
    """Which part of its rows this pass has walked over."""
    rows = [count for count in tables if count is not None]
    if len(rows) < len(tables) or not sum(rows):
        return None
    here = min(cursor.scanned, rows[cursor.statement])
    return min((sum(rows[: cursor.statement]) + here) / sum(rows), NEARLY)
