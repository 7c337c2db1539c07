"""How fast a backfill is, and when it will be done. By the monotonic clock: the other one may jump."""

from __future__ import annotations

import time
from collections import deque

from pilotage.events import BackfillProgress, Emit
from pilotage.migrate.state import Cursor

_LATELY = 10.0  # seconds that a rate is taken over


class Progress:
    """Tells of each batch, with the rate of the last seconds and an estimate of what is left."""

    def __init__(self, version: str, emit: Emit) -> None:
        self._version = version
        self._emit = emit
        self._began = time.monotonic()
        self._paused = 0.0
        self._here = 0
        self._first: tuple[float, float] | None = None  # the working time and fraction at its start
        self._lately: deque[tuple[float, int]] = deque([(0.0, 0)])

    def paused(self, seconds: float) -> None:
        """So long nothing was done: no part of the rate."""
        self._paused += seconds

    def batch(
        self, cursor: Cursor, statements: int, *, spanned: int, changed: int, seconds: float
    ) -> None:
        """A batch was committed, with this cursor."""
        self._here += changed
        now = self._worked
        fraction = eta = None
        if cursor.number > 1:
            fraction = 1.0  # later passes only look for what was written in the meantime
        elif cursor.estimate:
            share = min(cursor.scanned / cursor.estimate, 1.0)
            fraction = (cursor.statement + share) / statements
            if self._first is None:
                before = min((cursor.scanned - spanned) / cursor.estimate, 1.0)
                self._first = (now - seconds, (cursor.statement + before) / statements)
            since, at_first = self._first
            if fraction > at_first:
                eta = (now - since) * (1 - fraction) / (fraction - at_first)
        self._tell(cursor, fraction=fraction, eta=eta, batch=spanned, seconds=seconds)

    def ended(self, cursor: Cursor) -> None:
        """It is done; the rate is that of all of it."""
        self._lately = deque([(0.0, 0)])
        self._tell(cursor, fraction=1.0, eta=0.0, batch=0, seconds=0.0)

    @property
    def _worked(self) -> float:
        return max(time.monotonic() - self._began - self._paused, 1e-6)

    def _tell(
        self,
        cursor: Cursor,
        *,
        fraction: float | None,
        eta: float | None,
        batch: int,
        seconds: float,
    ) -> None:
        now = self._worked
        while len(self._lately) > 1 and now - self._lately[0][0] > _LATELY:
            self._lately.popleft()
        then, rows = self._lately[0]
        self._lately.append((now, self._here))
        self._emit(
            BackfillProgress(
                version=self._version,
                rows=cursor.total_rows,
                rate=(self._here - rows) / max(now - then, 1e-6),
                fraction=fraction,
                eta=eta,
                batch=batch,
                seconds=seconds,
            )
        )
