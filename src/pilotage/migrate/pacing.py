"""How large the next batch of a backfill is, and how long it rests before it. Pure.

The size follows the time: a batch is to take `BatchSize.target` seconds. What a row costs is learned
from the last batches, smoothly, because one slow commit says little; and two costs are kept apart,
because a pass that skips rows which are done already is many times faster than one that changes them:
a batch grown large over done rows must not meet a hundred thousand that are not.
"""

from __future__ import annotations

from dataclasses import dataclass

_FIRST = 500  # rows
_UNSEEN = 5_000  # rows at most, until one batch has shown what changing rows costs
_SMOOTH = 0.3  # the weight of the newest batch
_ABOVE = 1.5  # times the target, for a batch all of whose rows are to be changed


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
        # Over a slow line the rest alone may take the target: fewer rows would not make it shorter.
        target = max(self.target - (seconds - on_rows), self.target / 2)
        wanted = target / self._row
        if on_rows > 2 * target:  # at once, whatever the average says
            wanted = min(wanted, target / cost)
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
