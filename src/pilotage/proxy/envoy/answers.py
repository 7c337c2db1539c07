"""What each release answered: counted by Envoy as it writes an access log, read as a `Sample`.

The log has one entry for each request of a client, when it is over: a request that was retried and then
answered is one good answer, and one that Envoy itself had to answer is one bad one. Envoy's counters of
a cluster have no such entry: a reset before the head of an answer is in them twice, one after it once.

Latency is the time from the last byte of the request to the first of the answer, in microseconds: how long
a stream, a WebSocket or a slow client then lasts is not the release's latency.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from pilotage.model import Sample
from pilotage.proxy.envoy.names import HELD, METADATA, TYPE, cluster_name

STATS = "answers"
"""What the names of these counters begin with."""

_REQUESTS = re.compile(
    rf"{STATS}\.requests\.cluster\.([^.]*)\.by\.([^.]*)\.code\.(\d*)\.flags\.([^.]*)"
)
_LATENCY = re.compile(rf"{STATS}\.first_byte\.by\.([^.]*)\.route\.([^.]*)")
_LEFT = "DC"
_BROKEN = frozenset(("UC", "UR", "LR", "UPE", "UT", "SI", "UMSDR"))
"""Envoy's flags for an answer that ended before its end, for which the client is not to blame."""
_UPGRADED = 101


def loggers() -> list[dict[str, Any]]:
    """The access loggers of the edge's listener."""
    # Whose an answer is, its endpoint says; the cluster only does where none could be chosen.
    by = {"name": "by", "value_format": f"%UPSTREAM_METADATA({METADATA}:cluster)%"}
    tags = [
        {"name": "cluster", "value_format": "%UPSTREAM_CLUSTER%"},
        by,
        {"name": "code", "value_format": "%RESPONSE_CODE%"},
        {"name": "flags", "value_format": "%RESPONSE_FLAGS%"},
    ]
    requests = {"stat": {"name": "requests", "tags": tags}, "value_fixed": 1}
    first_byte = {
        "stat": {
            "name": "first_byte",
            "tags": [by, {"name": "route", "value_format": "%ROUTE_NAME%"}],
        },
        "unit": "Microseconds",
        "value_format": "%COMMON_DURATION(DS_RX_END:US_RX_BEG:us)%",
    }
    answered = f"response.code_details == 'via_upstream' && response.code != {_UPGRADED}"
    return [
        _logger({"counters": [requests]}),
        {**_logger({"histograms": [first_byte]}), "filter": _only(answered)},
    ]


def _logger(stats: Mapping[str, Any]) -> dict[str, Any]:
    config = {
        "@type": f"{TYPE}extensions.access_loggers.stats.v3.Config",
        "stats_scope": {"prefix": STATS},
    }
    return {"name": "envoy.access_loggers.stats", "typed_config": {**config, **stats}}


def _only(expression: str) -> dict[str, Any]:
    config = {
        "@type": f"{TYPE}extensions.access_loggers.filters.cel.v3.ExpressionFilter",
        "expression": expression,
    }
    name = "envoy.access_loggers.extension_filters.cel"
    return {"extension_filter": {"name": name, "typed_config": config}}


def sample(stats: Mapping[str, Any], release: str) -> Sample:
    """What a release answered, in Envoy's answer to ``/stats`` with ``histogram_buckets=detailed``."""
    name = cluster_name(release)
    requests = errors = 0
    latency: Counter[float] = Counter()
    for stat in stats["stats"]:
        if match := _REQUESTS.fullmatch(stat.get("name", "")):
            cluster, by, code, flags = match.groups()
            status, marks = int(code or 0), set(flags.split(","))
            if (by or cluster) != name or (not status and _LEFT in marks):
                continue  # nobody waited for that answer any more
            requests += stat["value"]
            errors += stat["value"] if _failed(status, marks) else 0
        for histogram in stat.get("histograms", {}).get("details", ()):
            match = _LATENCY.fullmatch(histogram["name"])
            # The time for which a request was held is not the release's.
            if match and match[1] == name and match[2] != HELD:
                for bucket in histogram["totals"]:
                    bound = (bucket["lower_bound"] + bucket["width"]) / 1000
                    latency[round(bound, 6)] += bucket["count"]
    return Sample(requests, errors, tuple(sorted(latency.items())))


def _failed(status: int, marks: set[str]) -> bool:
    if status == _UPGRADED or _LEFT in marks:
        return status >= 500
    return not status or status >= 500 or bool(marks & _BROKEN)
