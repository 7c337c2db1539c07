"""Counts of an edge: sums, differences and quantiles."""

from __future__ import annotations

from math import inf

import pytest

from pilotage.model import Sample

EARLIER = Sample(10, 1, ((5.0, 8), (10.0, 2)))
LATER = Sample(110, 3, ((5.0, 98), (10.0, 2), (inf, 10)))


def test_a_difference_is_what_came_between() -> None:
    between = LATER - EARLIER
    assert between == Sample(100, 2, ((5.0, 90), (inf, 10)))
    assert between + EARLIER == LATER
    assert Sample.total([between, EARLIER]) == LATER


def test_counts_that_began_anew_are_never_negative() -> None:
    assert Sample() == EARLIER - LATER


@pytest.mark.parametrize(
    ("q", "ms"), [(0.0, 5.0), (0.5, 5.0), (0.9, 10.0), (0.91, 10.0), (0.95, inf)]
)
def test_a_quantile_is_the_bound_of_its_bucket(q: float, ms: float) -> None:
    assert Sample(100, 0, ((5.0, 89), (10.0, 2), (inf, 9))).quantile(q) == ms


def test_nothing_seen_has_no_quantile_and_no_error_rate() -> None:
    assert Sample().quantile(0.99) is None
    assert Sample().error_rate == 0.0
    assert Sample(4, 1).error_rate == 0.25
