"""RDS, and the gate: which cluster gets a new request, or what it gets instead."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pilotage.model import Endpoint, Front, Route
from pilotage.proxy.checks import LARGEST_PAGE
from pilotage.proxy.envoy.config import HELD_BODY, EnvoySettings, ask
from pilotage.proxy.envoy.names import (
    AUTHORIZE,
    GATE,
    HELD,
    HOLD,
    HOLD_HEADER,
    LISTENER,
    MANAGER,
    METADATA,
    NOWHERE,
    ROUTER,
    TYPE,
    cluster_name,
    shared_name,
    socket_of,
)

_WHOLE = 1_000_000
_RETRIED_BODY = 1 << 20
"""Bytes of a body that Envoy keeps in order to send the request again."""


def routes(settings: EnvoySettings, route: Route) -> dict[str, Any]:
    """RDS: what happens to every new request, for as long as it takes."""
    return {
        "@type": f"{TYPE}config.route.v3.RouteConfiguration",
        "name": LISTENER,
        "max_direct_response_body_size_bytes": LARGEST_PAGE,
        "virtual_hosts": [
            {
                "name": "all",
                "domains": ["*"],
                "routes": [{"match": {"prefix": "/"}, **_action(settings, route), **_said(route)}],
            }
        ],
    }


def _action(settings: EnvoySettings, route: Route) -> dict[str, Any]:
    front = route.front
    if front is None:
        return {
            "route": {**_target(route), **_forward(settings)},
            "request_body_buffer_limit": _RETRIED_BODY,
        }
    if front.mode == "maintenance":
        return _page(front)
    held = {
        "@type": f"{TYPE}extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
        "check_settings": {"http_service": ask(gate_name(front))},
    }
    return {
        "name": HELD,
        "route": {"cluster": HOLD, **_forward(settings)},
        "request_body_buffer_limit": HELD_BODY,
        "request_headers_to_remove": [HOLD_HEADER],
        "typed_per_filter_config": {AUTHORIZE: held},
    }


def _target(route: Route) -> dict[str, Any]:
    weights = _weights(route)
    if len(weights) < 2:
        return {"cluster": next(iter(weights), NOWHERE)}
    entries = [{"name": name, "weight": weight} for name, weight in weights.items()]
    return {"weighted_clusters": {"clusters": entries}}


def _weights(route: Route) -> dict[str, int]:
    """How much each cluster gets. Several active releases share by the number of their endpoints."""
    share = round(_WHOLE * route.share) if route.trial else 0
    active, trial = _split(route.active, _WHOLE - share), _split(route.trial, share)
    if len(active) > 1 and not trial:
        return {shared_name(name): weight for name, weight in active.items()}
    return {**(active or ({NOWHERE: _WHOLE - share} if trial else {})), **trial}


def _split(endpoints: tuple[Endpoint, ...], share: int) -> dict[str, int]:
    counts = Counter(cluster_name(endpoint.release) for endpoint in endpoints)
    return {name: share * count // len(endpoints) for name, count in counts.items()}


def _forward(settings: EnvoySettings) -> dict[str, Any]:
    return {"timeout": "0s", "retry_policy": _retries(settings)}


def _retries(settings: EnvoySettings) -> dict[str, Any]:
    return {
        # Each of these says that the app has not seen the request, so any method may be sent again.
        "retry_on": "connect-failure,refused-stream,reset-before-request",
        "num_retries": settings.retries,
        "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {
                    "@type": f"{TYPE}extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                },
            }
        ],
        "host_selection_retry_max_attempts": "5",
        # Only where clusters are shared is there another priority: the next release.
        "retry_priority": {
            "name": "envoy.retry_priorities.previous_priorities",
            "typed_config": {
                "@type": f"{TYPE}extensions.retry.priority.previous_priorities.v3"
                ".PreviousPrioritiesConfig",
                "update_frequency": 1,
            },
        },
    }


def _said(route: Route) -> dict[str, Any]:
    """What the action does not tell of the route, for whoever reads it back."""
    ours = {
        "active": sorted({cluster_name(endpoint.release) for endpoint in route.active}),
        "trial": sorted({cluster_name(endpoint.release) for endpoint in route.trial}),
        "share": route.share,
        "front": _front(route.front) if route.front else None,
        "gate": gate_name(route.front) if route.front else None,
    }
    return {"metadata": {"filter_metadata": {METADATA: ours}}}


def _front(front: Front) -> dict[str, Any]:
    """The same for 30 s and 30.0 s: what is written is compared, and a gate's name made of it."""
    return {**front.to_json(), "limit": float(front.limit)}


def read_front(said: Mapping[str, Any] | None) -> Front | None:
    """The front that `_said` told of. In Envoy's dump every number is one of JavaScript's."""
    if said is None:
        return None
    front = Front.from_json(said)
    after = front.retry_after
    return replace(
        front,
        status=int(front.status),
        limit=float(front.limit),
        retry_after=None if after is None else int(after),
    )


def _page(front: Front) -> dict[str, Any]:
    headers = {"content-type": front.content_type}
    if front.retry_after is not None:
        headers["retry-after"] = str(front.retry_after)
    page: dict[str, Any] = {"status": front.status}
    if front.body:
        page["body"] = {"inline_string": front.body}
    return {
        "direct_response": page,
        "response_headers_to_add": [
            {
                "header": {"key": key, "value": value.replace("%", "%%")},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }
            for key, value in headers.items()
        ],
    }


def gate_name(front: Front) -> str:
    """One for each kind of pause: those who wait already go on waiting as they began."""
    text = json.dumps(_front(front), sort_keys=True)
    return GATE + hashlib.sha256(text.encode()).hexdigest()[:12]


def gate(front: Front) -> dict[str, Any]:
    """The gate's listener: asked for leave, it says nothing until the limit; any other request gets the page."""
    wait: Mapping[str, Any] = {
        "name": "envoy.filters.http.fault",
        "typed_config": {
            "@type": f"{TYPE}extensions.filters.http.fault.v3.HTTPFault",
            "delay": {
                "fixed_delay": f"{max(front.limit, 0.001):.3f}s",
                "percentage": {"numerator": 100},
            },
            "headers": [{"name": HOLD_HEADER, "present_match": True}],
        },
    }
    page = {
        "name": "page",
        "max_direct_response_body_size_bytes": LARGEST_PAGE,
        "virtual_hosts": [
            {
                "name": "all",
                "domains": ["*"],
                "routes": [{"match": {"prefix": "/"}, **_page(front)}],
            }
        ],
    }
    manager = {
        "@type": f"{TYPE}{MANAGER}",
        "stat_prefix": "gate",
        "codec_type": "HTTP2",
        "route_config": page,
        "http_filters": [wait, ROUTER],
        "stream_idle_timeout": "0s",
        "request_timeout": "0s",
        "http2_protocol_options": {"max_concurrent_streams": 1000},
        "server_header_transformation": "PASS_THROUGH",
    }
    chain = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    return {
        "@type": f"{TYPE}config.listener.v3.Listener",
        "name": gate_name(front),
        "address": {"pipe": {"path": socket_of(gate_name(front)), "mode": 0o600}},
        "filter_chains": [{"filters": chain}],
    }
