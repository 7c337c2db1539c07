"""Envoy's counts of what was answered, read as a sample."""

from __future__ import annotations

import pytest

from pilotage.model import Sample
from pilotage.proxy.envoy import answers


def requests(
    code: int, flags: str, value: int = 1, *, cluster: str = "one", by: str = "one"
) -> dict:
    at = [f"release-{name}" if name else "" for name in (cluster, by)]
    name = f"answers.requests.cluster.{at[0]}.by.{at[1]}.code.{code}.flags.{flags}"
    return {"name": name, "value": value}


@pytest.mark.parametrize(
    ("code", "flags", "failed"),
    [
        (200, "-", 0),
        (404, "-", 0),
        (500, "-", 1),
        (503, "UF,URX", 1),
        (200, "UC", 1),  # broke off after its head
        (200, "DC", 0),  # the client had enough of it
        (0, "UC", 1),
        (101, "-", 0),
        (101, "UC", 0),  # a WebSocket ends when the app that has it does
    ],
)
def test_what_is_an_error(code, flags, failed):
    stats = {"stats": [requests(code, flags, 5), requests(200, "-", 2)]}
    assert answers.sample(stats, "one") == Sample(7, 5 * failed)


def test_an_answer_that_nobody_waited_for_counts_for_nobody():
    assert answers.sample({"stats": [requests(0, "DC")]}, "one") == Sample()


def test_each_release_has_its_own():
    stats = {
        "stats": [
            requests(200, "-", 3),
            requests(503, "UH", 4, by=""),  # no endpoint could be chosen
            requests(200, "-", 5, cluster="", by="one"),  # held before
            requests(200, "-", 6, cluster="two", by="two"),
            requests(503, "-", 7, cluster="", by=""),  # the page
            {"name": "answers.requests", "value": 9},
        ]
    }
    assert answers.sample(stats, "one") == Sample(12, 4)
    assert answers.sample(stats, "two") == Sample(6, 0)
    assert answers.sample(stats, "three") == Sample()


def test_latency_is_in_milliseconds_and_in_the_upper_bounds_of_envoys_own_buckets():
    bucket = {"lower_bound": 310, "width": 10, "count": 2}
    late = {"lower_bound": 300000.0, "width": 10000, "count": 1}
    histograms = [
        {"name": f"answers.first_byte.by.release-{name}", "totals": totals}
        for name, totals in (
            ("one.route.", [bucket, late]),
            ("two.route.", [bucket]),
            ("one.route.held", [late]),
        )
    ]
    stats = {"stats": [{"histograms": {"details": histograms}}]}
    assert answers.sample(stats, "one") == Sample(latency=((0.32, 2), (310.0, 1)))
