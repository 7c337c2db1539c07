"""CDS and EDS: a cluster a release, so that what a release answers is counted for itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pilotage.docker.names import network_alias
from pilotage.model import Endpoint, Route
from pilotage.proxy.envoy.addresses import ALIAS
from pilotage.proxy.envoy.config import EnvoySettings
from pilotage.proxy.envoy.names import (
    HOLD,
    METADATA,
    TYPE,
    cluster_name,
    endpoints_of,
    shared_name,
    socket_of,
    source,
)

_UNLIMITED = 1_000_000
"""Envoy's default limits (3 retries, 1024 pending) fail requests that would only have to wait."""


def cluster(settings: EnvoySettings, name: str) -> dict[str, Any]:
    """The cluster of a release."""
    return {
        **_cluster(settings, name),
        "type": "EDS",
        "eds_cluster_config": {"service_name": name, "eds_config": source(endpoints_of(name))},
        "lb_policy": "LEAST_REQUEST",
        # Never send a new request to a draining instance, however few others there are.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "typed_extension_protocol_options": _protocol(
            {"http_protocol_options": {}},
            common_http_protocol_options={"idle_timeout": f"{settings.upstream_idle:g}s"},
        ),
    }


def gate(settings: EnvoySettings, gate: str, *, name: str = "") -> dict[str, Any]:
    """A gate's listener in this same Envoy, as a cluster (of the gate's name, unless it has another)."""
    name = name or gate
    address = {"endpoint": {"address": {"pipe": {"path": socket_of(gate)}}}}
    return {
        **_cluster(settings, name),
        "type": "STATIC",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [address]}]},
        "typed_extension_protocol_options": _protocol(
            {"http2_protocol_options": {"max_concurrent_streams": 1000}}
        ),
    }


def hold_closed(settings: EnvoySettings, by: str) -> dict[str, Any]:
    """Where a request goes that was held for as long as it may: the gate answers it."""
    return gate(settings, by, name=HOLD)


def hold_open(settings: EnvoySettings, names: Iterable[str]) -> dict[str, Any]:
    """Where the held requests go when the pause ends: to the clusters that then serve."""
    return _first_of(settings, HOLD, names)


def shared(settings: EnvoySettings, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """For each of several clusters one that is it first, and the others when a request is retried."""
    every = list(names)
    return {
        shared_name(name): _first_of(
            settings, shared_name(name), (name, *(it for it in every if it != name))
        )
        for name in every
    }


def _first_of(settings: EnvoySettings, name: str, names: Iterable[str]) -> dict[str, Any]:
    members = {
        "@type": f"{TYPE}extensions.clusters.aggregate.v3.ClusterConfig",
        "clusters": list(names),
    }
    return {
        **_cluster(settings, name),
        "lb_policy": "CLUSTER_PROVIDED",
        "cluster_type": {"name": "envoy.clusters.aggregate", "typed_config": members},
    }


def _cluster(settings: EnvoySettings, name: str) -> dict[str, Any]:
    limits = {
        "max_connections": _UNLIMITED,
        "max_pending_requests": _UNLIMITED,
        "max_requests": _UNLIMITED,
        "max_retries": _UNLIMITED,
    }
    return {
        "@type": f"{TYPE}config.cluster.v3.Cluster",
        "name": name,
        "connect_timeout": f"{settings.connect_timeout:g}s",
        "circuit_breakers": {"thresholds": [limits]},
    }


def _protocol(explicit: dict[str, Any], **more: Any) -> dict[str, Any]:
    name = "extensions.upstreams.http.v3.HttpProtocolOptions"
    options = {"@type": f"{TYPE}{name}", "explicit_http_config": explicit, **more}
    return {f"envoy.{name}": options}


def endpoints(route: Route, name: str) -> dict[str, Any]:
    """The endpoints of one cluster.

    Those that drain are marked only where others of the same cluster serve. Otherwise nothing is
    routed to the cluster, and a request that is still on its way may be retried at any of them.
    """
    serving = _entries(route.active, name, "HEALTHY") + _entries(route.trial, name, "HEALTHY")
    rest = _entries(route.draining, name, "DRAINING" if serving else "HEALTHY")
    return {
        "@type": f"{TYPE}config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": name,
        "endpoints": [{"lb_endpoints": serving + rest}],
    }


def _entries(of: tuple[Endpoint, ...], name: str, health: str) -> list[dict[str, Any]]:
    return [
        _entry(endpoint, health, place, name)
        for place, endpoint in enumerate(of)
        if cluster_name(endpoint.release) == name
    ]


def _entry(endpoint: Endpoint, health: str, place: int, name: str) -> dict[str, Any]:
    host, _, port = endpoint.address.rpartition(":")
    ours: dict[str, str | int] = {
        "instance": endpoint.instance,
        "release": endpoint.release,
        "cluster": name,
        "place": place,
    }
    if not host.startswith("127."):
        ours[ALIAS] = network_alias(endpoint.instance)
    return {
        # Before the address: `pilotage.proxy.envoy.addresses` reads line by line.
        "metadata": {"filter_metadata": {METADATA: ours}},
        "endpoint": {"address": {"socket_address": {"address": host, "port_value": int(port)}}},
        "health_status": health,
    }
