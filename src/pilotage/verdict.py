"""Whether a release answers well enough to keep the requests that it was given.

Pure. `verdict` compares what the new release answered with what the one before it did, as the edges
counted both. `pilotage.watch` asks it while the new release takes requests, early and at the end.

**Small numbers.** Of 50 requests one that fails is 2 %, and says next to nothing. So a share that is
above what is allowed condemns only where chance does not explain it: where a release that fails exactly
as often as it may would show so many failures less than once in a hundred watches (once in a thousand
for a look before the end, of which there are many). What lies between is *unverified*.

**A release that mends another.** A new release is not blamed for errors that the one before it had
already: a share up to that one's is allowed as well. Otherwise the release that brings 30 % of errors
down to 3 % would be taken back, in favour of the 30 %.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from math import exp, inf, lgamma, log, log1p
from typing import Any

from pilotage.model import Sample

CHANCE = 0.01
"""How often a release that is just good enough may be found worse, at the end of a watch."""

CHANCE_EARLY = 0.001
"""The same at each look before the end."""

NEGLIGIBLE_MS = 10.0
"""A p99 up to this is never too slow, whatever the ratio: edges count in steps of milliseconds."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is asked of a release that takes requests.

    ``max_error_rate``: share of the requests, 0…1. ``max_p99_ratio``: its p99 in that of the release
    before; None: times are not judged. ``min_requests``: below so many nothing is judged.
    """

    max_error_rate: float = 0.01
    max_p99_ratio: float | None = None
    min_requests: int = 50

    def to_json(self) -> dict[str, Any]:
        """An object."""
        return asdict(self)


class Finding(StrEnum):
    """What a verdict comes to."""

    GOOD = "good"
    UNVERIFIED = "unverified"
    WORSE = "worse"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A finding, and the reason in words with its numbers."""

    finding: Finding
    why: str

    def __str__(self) -> str:
        return f"{self.finding}: {self.why}"


def verdict(new: Sample, old: Sample | None, limits: Limits, *, early: bool = False) -> Verdict:
    """Judge what the new release answered. ``old``: the one before it, or None where there is none.

    ``early``: the watch is not over, and worse is said only where it is certain. The old release is
    compared with only if it answered ``min_requests`` itself.
    """
    if new.requests < limits.min_requests:
        return Verdict(
            Finding.UNVERIFIED,
            f"{_number(new.requests)} requests came, and a judgement takes {limits.min_requests}",
        )
    if old is not None and old.requests < limits.min_requests:
        old = None
    found = (_errors(new, old, limits, early=early), _slowness(new, old, limits, early=early))
    for finding in (Finding.WORSE, Finding.UNVERIFIED):
        why = [v.why for v in found if v and v.finding is finding]
        if why:
            return Verdict(finding, "; ".join(why))
    return Verdict(Finding.GOOD, measured(new, old))


def _errors(new: Sample, old: Sample | None, limits: Limits, *, early: bool) -> Verdict | None:
    before = old.error_rate if old else 0.0
    allowed = max(limits.max_error_rate, before)
    if new.error_rate <= allowed:
        return None
    may = f"at most {_percent(allowed)} may"
    if before > limits.max_error_rate:
        may = f"before it {_percent(before)} did"
    told = (
        f"{_number(new.errors)} of {_number(new.requests)} requests failed "
        f"({_percent(new.error_rate)}), and {may}"
    )
    return _condemned(told, new.errors, new.requests, allowed, early=early)


def _slowness(new: Sample, old: Sample | None, limits: Limits, *, early: bool) -> Verdict | None:
    """A p99 is above a bound when more than 1 % of the requests are: the same question again."""
    p99, before = new.quantile(0.99), old.quantile(0.99) if old else None
    if limits.max_p99_ratio is None or p99 is None or before is None:
        return None
    bound = max(limits.max_p99_ratio * before, NEGLIGIBLE_MS)
    if p99 <= bound:
        return None
    slow = sum(count for ms, count in new.latency if ms > bound)
    timed = sum(count for _, count in new.latency)
    told = (
        f"p99 is {_milliseconds(p99)} where it was {_milliseconds(before)}, "
        f"more than {limits.max_p99_ratio:g} times that"
    )
    return _condemned(told, slow, timed, 0.01, early=early)


def _condemned(told: str, count: int, total: int, allowed: float, *, early: bool) -> Verdict:
    if chance(count, total, allowed) < (CHANCE_EARLY if early else CHANCE):
        return Verdict(Finding.WORSE, told)
    return Verdict(Finding.UNVERIFIED, f"{told}; so few may be chance")


def chance(count: int, total: int, rate: float) -> float:
    """How likely ``count`` or more of ``total`` are, where each is with probability ``rate``.

    The tail of the binomial distribution, summed from ``count`` (above the mean) until the terms
    no longer matter.
    """
    if count <= 0 or rate >= 1:
        return 1.0
    if rate <= 0:
        return 0.0
    choose = lgamma(total + 1) - lgamma(count + 1) - lgamma(total - count + 1)
    term = exp(choose + count * log(rate) + (total - count) * log1p(-rate))
    tail, odds = 0.0, rate / (1 - rate)
    for k in range(count, total + 1):
        tail += term
        term *= odds * (total - k) / (k + 1)
        if term <= tail * 1e-9:
            break
    return min(1.0, tail)


def measured(new: Sample, old: Sample | None) -> str:
    """The figures of a release, with those of the one before it."""
    parts = [f"{_number(new.requests)} requests", f"{_percent(new.error_rate)} failed"]
    p99, before = new.quantile(0.99), old.quantile(0.99) if old else None
    if p99 is not None:
        parts.append(f"p99 {_milliseconds(p99)}")
        if before is not None:
            parts[-1] += f" (before it {_milliseconds(before)})"
    return ", ".join(parts)


def _number(count: int) -> str:
    return f"{count:,}".replace(",", " ")


def _percent(share: float) -> str:
    """
    >>> _percent(0.0), _percent(0.00123), _percent(0.05), _percent(1.0)
    ('0 %', '0.12 %', '5 %', '100 %')
    """
    return f"{share * 100:.2g} %" if share < 0.1 else f"{share:.0%}".replace("%", " %")


def _milliseconds(value: float) -> str:
    return "longer than the edge counts" if value == inf else f"{value:g} ms"
