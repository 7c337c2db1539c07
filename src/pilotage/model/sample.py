"""What a release answered, as its edge counted it: requests, errors, and how long they took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from math import isfinite
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Sample:
    """Counts since some moment; the difference of two samples is what came between them.

    ``errors``: answers of 5xx, and requests that got none (reset, refused, timed out). ``latency``: how
    many requests took at most so many milliseconds and more than the bound before: ``(ms, count)``,
    ascending, without bounds that have none. What is above the last bound of the edge has ``inf``.
    """

    requests: int = 0
    errors: int = 0
    latency: tuple[tuple[float, int], ...] = ()

    def __add__(self, other: Sample) -> Sample:
        return self._combined(other, 1)

    def __sub__(self, other: Sample) -> Sample:
        return self._combined(other, -1)

    def _combined(self, other: Sample, sign: int) -> Sample:
        counts = Counter(dict(self.latency))
        for bound, count in other.latency:
            counts[bound] += sign * count
        return Sample(
            requests=max(0, self.requests + sign * other.requests),
            errors=max(0, self.errors + sign * other.errors),
            latency=tuple(sorted((b, n) for b, n in counts.items() if n > 0)),
        )

    @classmethod
    def total(cls, samples: Iterable[Sample]) -> Self:
        """The sum of the samples of several hosts."""
        whole = cls()
        for sample in samples:
            whole = whole + sample  # type: ignore[assignment]
        return whole

    @property
    def error_rate(self) -> float:
        """Errors in requests, 0…1; 0 where there was no request."""
        return self.errors / self.requests if self.requests else 0.0

    def quantile(self, q: float) -> float | None:
        """The milliseconds within which the share ``q`` of the requests was answered, or None.

        It is the upper bound of the bucket that the quantile falls into: never too low.
        """
        counted = sum(count for _, count in self.latency)
        if not counted:
            return None
        reached = accumulate(count for _, count in self.latency)
        return next(b for (b, _), n in zip(self.latency, reached, strict=True) if n >= q * counted)

    def to_json(self) -> dict[str, Any]:
        """An object; times are milliseconds, null where none is known or it is above all bounds."""
        return {
            "requests": self.requests,
            "errors": self.errors,
            "error_rate": self.error_rate,
            "p50_ms": self._known(0.5),
            "p99_ms": self._known(0.99),
        }

    def _known(self, q: float) -> float | None:
        value = self.quantile(q)
        return value if value is not None and isfinite(value) else None
