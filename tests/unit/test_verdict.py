"""The judgement on a new release: errors, times, small numbers, and a bad release before it."""

from __future__ import annotations

import math
from itertools import product

import pytest

from pilotage.model import Sample
from pilotage.verdict import CHANCE, CHANCE_EARLY, Finding, Limits, chance, verdict

GOOD, UNVERIFIED, WORSE = Finding.GOOD, Finding.UNVERIFIED, Finding.WORSE
LIMITS = Limits()
TIMED = Limits(max_p99_ratio=2.0)


def answered(requests: int, errors: int = 0, *, slow: int = 0, ms: float = 20.0) -> Sample:
    """So many requests within ``ms``, ``slow`` of them within a second."""
    latency = ((ms, requests - slow), (1000.0, slow)) if requests else ()
    return Sample(requests, errors, tuple((b, n) for b, n in latency if n))


def test_good_says_its_numbers() -> None:
    found = verdict(answered(1234, 1), answered(5000), TIMED)
    assert found.finding is GOOD
    assert found.why == "1 234 requests, 0.081 % failed, p99 20 ms (before it 20 ms)"


@pytest.mark.parametrize("requests", [0, 1, 49])
def test_too_few_requests_judge_nothing(requests: int) -> None:
    found = verdict(answered(requests, requests), answered(1000), LIMITS)
    assert found.finding is UNVERIFIED
    assert found.why == f"{requests} requests came, and a judgement takes 50"


@pytest.mark.parametrize(
    ("requests", "errors", "finding"),
    [
        (50, 0, GOOD),
        (50, 1, UNVERIFIED),
        (50, 3, UNVERIFIED),
        (50, 4, WORSE),
        (1000, 10, GOOD),
        (1000, 15, UNVERIFIED),
        (1000, 20, WORSE),
        (100_000, 1000, GOOD),
        (100_000, 1100, WORSE),
        (50, 50, WORSE),
    ],
)
def test_errors_above_the_limit_count_where_chance_does_not_explain_them(
    requests: int, errors: int, finding: Finding
) -> None:
    assert verdict(answered(requests, errors), None, LIMITS).finding is finding


def test_worse_says_what_failed_and_what_may() -> None:
    found = verdict(answered(812, 37), answered(1000, 1), LIMITS)
    assert found.finding is WORSE
    assert found.why == "37 of 812 requests failed (4.6 %), and at most 1 % may"
    assert str(found) == f"worse: {found.why}"


def test_an_early_verdict_takes_more_evidence() -> None:
    assert verdict(answered(50, 4), None, LIMITS).finding is WORSE
    assert verdict(answered(50, 4), None, LIMITS, early=True).finding is UNVERIFIED
    assert verdict(answered(50, 5), None, LIMITS, early=True).finding is WORSE


def test_no_error_at_all_may_be_asked_for() -> None:
    strict = Limits(max_error_rate=0.0)
    assert verdict(answered(5000, 1), None, strict).finding is WORSE
    assert verdict(answered(5000, 0), None, strict).finding is GOOD
    assert verdict(answered(5000, 5000), None, Limits(max_error_rate=1.0)).finding is GOOD


def test_what_was_broken_before_is_not_blamed_on_the_new_release() -> None:
    broken = answered(1000, 300)
    assert verdict(answered(1000, 30), broken, LIMITS).finding is GOOD
    assert verdict(answered(1000, 310), broken, LIMITS).finding is UNVERIFIED
    worse = verdict(answered(1000, 500), broken, LIMITS)
    assert worse.finding is WORSE
    assert worse.why == "500 of 1 000 requests failed (50 %), and before it 30 % did"


def test_a_release_before_with_too_few_requests_excuses_nothing() -> None:
    assert verdict(answered(1000, 300), answered(10, 5), LIMITS).finding is WORSE


def test_times_are_judged_only_where_a_ratio_is_set() -> None:
    slow = answered(1000, slow=500)
    assert verdict(slow, answered(1000), LIMITS).finding is GOOD
    found = verdict(slow, answered(1000), TIMED)
    assert found.finding is WORSE
    assert found.why == "p99 is 1000 ms where it was 20 ms, more than 2 times that"


def test_times_are_not_judged_without_a_release_before() -> None:
    slow = answered(1000, slow=500)
    assert verdict(slow, None, TIMED).finding is GOOD
    assert verdict(slow, answered(49), TIMED).finding is GOOD


def test_a_single_slow_request_is_no_p99() -> None:
    assert verdict(answered(50, slow=1), answered(1000), TIMED).finding is UNVERIFIED
    assert verdict(answered(50, slow=4), answered(1000), TIMED).finding is WORSE


def test_a_few_milliseconds_are_never_too_slow() -> None:
    assert verdict(answered(1000, ms=10.0), answered(1000, ms=1.0), TIMED).finding is GOOD
    assert verdict(answered(1000, ms=25.0), answered(1000, ms=1.0), TIMED).finding is WORSE


def test_exactly_the_ratio_is_allowed() -> None:
    assert verdict(answered(1000, ms=40.0), answered(1000, ms=20.0), TIMED).finding is GOOD


def test_times_beyond_what_the_edge_counts() -> None:
    found = verdict(answered(1000, ms=math.inf), answered(1000), TIMED)
    assert found.finding is WORSE
    assert "longer than the edge counts" in found.why


def test_errors_and_times_are_told_together() -> None:
    found = verdict(answered(1000, 500, slow=500), answered(1000), TIMED)
    assert found.why.count(";") == 1
    assert "requests failed" in found.why
    assert "p99 is" in found.why


@pytest.mark.parametrize(("total", "rate"), [*product((1, 7, 50, 300), (0.01, 0.3, 0.9))])
def test_chance_is_the_tail_of_the_binomial_distribution(total: int, rate: float) -> None:
    def exactly(k: int) -> float:
        return math.comb(total, k) * rate**k * (1 - rate) ** (total - k)

    for count in range(math.ceil(total * rate), total + 1):
        expected = sum(exactly(k) for k in range(count, total + 1))
        if expected < 1e-200:
            break  # below it, the powers themselves lose their digits
        assert math.isclose(chance(count, total, rate), min(1.0, expected), rel_tol=1e-6), count


def test_chance_is_cheap_and_sane_for_many_requests() -> None:
    assert chance(5_000_000, 10_000_000, 0.01) == 0.0
    assert 0.4 < chance(100_000, 10_000_000, 0.01) < 0.6
    assert CHANCE_EARLY < CHANCE
