"""What the load generator saw, and the numbers that are made of it. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Sample:
    """One request. Times are ``time.monotonic()`` seconds.

    ``release`` is the one that answered ("" when none did). ``failure`` is "" when all was well.
    """

    sent: float
    seconds: float
    release: str = ""
    failure: str = ""


@dataclass(slots=True)
class Span:
    """The time of one command that may switch releases; ``end`` is None while it runs."""

    label: str
    begin: float
    end: float | None = None

    def holds(self, moment: float) -> bool:
        """Whether the moment lies in it."""
        return self.begin <= moment and (self.end is None or moment <= self.end)


def percentile(values: Sequence[float], fraction: float) -> float | None:
    """The smallest value that ``fraction`` of the values do not exceed (nearest rank)."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, math.ceil(fraction * len(ordered)) - 1)]


def skew(samples: Iterable[Sample], span: Span) -> float | None:
    """The seconds of a span in which two releases received new requests.

    A request counts when it was *sent*: from the first request that the new release answered to the
    last one that the old release answered. 0 when the last of the old was sent before the first of
    the new; None when one release answered all.
    """
    first: dict[str, float] = {}
    last: dict[str, float] = {}
    for sample in samples:
        if sample.release and span.holds(sample.sent):
            first[sample.release] = min(first.get(sample.release, math.inf), sample.sent)
            last[sample.release] = max(last.get(sample.release, -math.inf), sample.sent)
    if len(first) < 2:
        return None
    in_order = sorted(first, key=first.__getitem__)
    overlap = 0.0
    until = last[in_order[0]]
    for release in in_order[1:]:
        overlap += max(0.0, min(until, last[release]) - first[release])
        until = max(until, last[release])
    return overlap


@dataclass(slots=True)
class Measurements:
    """Everything seen so far."""

    samples: list[Sample] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    failed: int = 0

    def add(self, sample: Sample) -> None:
        """A request is over."""
        self.samples.append(sample)
        self.failed += bool(sample.failure)

    def begin(self, label: str, at: float) -> None:
        """A command begins."""
        self.spans.append(Span(label, at))

    def end(self, at: float) -> None:
        """The last command ends."""
        self.spans[-1].end = at

    def before(self) -> list[Sample]:
        """The requests sent before the first command."""
        first = self.spans[0].begin if self.spans else math.inf
        return [sample for sample in self.samples if sample.sent < first]

    def during(self) -> list[Sample]:
        """The requests sent while a command ran."""
        return [s for s in self.samples if any(span.holds(s.sent) for span in self.spans)]

    def summary(self) -> dict[str, Any]:
        """``requests``, ``failed``, ``p50_ms``, ``p99_ms``, ``max_ms`` and ``skew_ms``."""
        before = [sample.seconds * 1000 for sample in self.before()]
        during = [sample.seconds * 1000 for sample in self.during()]

        def both(fraction: float) -> dict[str, float | None]:
            return {
                "before": _round(percentile(before, fraction)),
                "during": _round(percentile(during, fraction)),
            }

        skews = {span.label: skew(self.samples, span) for span in self.spans}
        return {
            "requests": len(self.samples),
            "failed": self.failed,
            "p50_ms": both(0.50),
            "p99_ms": both(0.99),
            "max_ms": both(1.00),
            "skew_ms": {
                label: _round(seconds * 1000)
                for label, seconds in skews.items()
                if seconds is not None
            },
        }


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
