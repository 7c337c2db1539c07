"""How large the next batch of a backfill is, and how long it rests before it. Pure.

The size follows the time: a batch is to take `BatchSize.target` seconds. What a row costs is learned
from the last batches, smoothly, because one slow commit says little; and two costs are kept apart,
because a pass that skips rows which are done already is many times faster than one that changes them:
a batch grown large over done rows must not meet a hundred thousand that are not.

A batch that is late says that somebody else has begun to work. The next one is half of it at most, and
only half of the target is aimed at until a few batches in a row were in time: where times scatter, the
longest must be near the target, and not the middle one.
"""

from __future__ import annotations

from dataclasses import dataclass

_FIRST = 500  # rows
_UNSEEN = 5_000  # rows at most, until one batch has shown what changing rows costs
_SMOOTH = 0.3  # the weight of the newest batch
_ABOVE = 1.5  # times the target, for a batch all of whose rows are to be changed
_LATE = 1.5  # times the target: somebody else is at work, and the next batch is half of it at most
_EASED = 0.25  # of the target, at least
_REGAIN = (
    1.03  # what late batches have taken from the target, those in time give back in such steps
)

WITH_OTHERS = 0.8
"""The share of the time to work, where nobody says another, while others are at work in the database."""


@dataclass(slots=True)
class BatchSize:
    """The size of the next batch, learned from those before it.

    ``target``: seconds of a batch; ``most``: rows at most; ``rows``: of the next batch.
    """

    target: float
    most: int
    rows: int = 0
    _row: float | None = None  # seconds a row, whatever was done with it
    _changed_row: float | None = None  # seconds a row, where most of them were changed
    _ease: float = 1.0  # the share of the target that is aimed at

    def __post_init__(self) -> None:
        self.rows = self.rows or min(_FIRST, self.most)

    def passed(self, *, spanned: int, changed: int, seconds: float, on_rows: float) -> None:
        """A batch over ``spanned`` rows, of which it changed some, took ``seconds``; of them ``on_rows``
        with its rows, the rest with what any batch has (its beginning, its cursor, its commit)."""
        if spanned <= 0:
            return
        cost = max(on_rows, 1e-6) / spanned
        self._row = _smoothed(self._row, cost)
        if changed * 2 >= spanned:
            self._changed_row = _smoothed(self._changed_row, cost)
        late = on_rows > _LATE * self.target
        self._ease = max(self._ease / 2, _EASED) if late else min(self._ease * _REGAIN, 1.0)
        # Over a slow line the rest alone may take the target: fewer rows would not make it shorter.
        target = max(self.target * self._ease - (seconds - on_rows), self.target * self._ease / 2)
        wanted = target / self._row
        if late:  # at once, whatever the average says
            wanted = min(wanted, target / cost, self.rows / 2)
        stepwise = min(max(wanted, self.rows / 4), self.rows * 2)
        self.rows = max(1, min(int(stepwise), self.most, self._cap()))

    def _cap(self) -> int:
        if self._changed_row is None:
            return _UNSEEN
        return int(_ABOVE * self.target / self._changed_row)

    def split(self) -> bool:
        """A batch ran into a limit: make the next a quarter of it. False: it was of one row."""
        if self.rows == 1:
            return False
        self.rows = max(1, self.rows // 4)
        return True


def _smoothed(old: float | None, new: float) -> float:
    return new if old is None else old + _SMOOTH * (new - old)


def rest(seconds: float, *, rows: int, duty: float, rate: float | None) -> float:
    """Seconds to rest after a batch that took ``seconds`` and changed ``rows``.

    ``duty``: the share of the time to work; ``rate``: rows a second at most.
    """
    by_duty = seconds * (1.0 / duty - 1.0)
    by_rate = rows / rate - seconds if rate else 0.0
    return max(by_duty, by_rate, 0.0)
