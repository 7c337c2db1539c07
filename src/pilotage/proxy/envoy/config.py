"""Envoy's configuration as pure data: what is in each file, and why each setting that is not a default.

Nothing here reads or writes. The listener, the routes and the cluster change with the configuration
of the service only; a switch changes the *endpoints*, and nothing else, because that is the one change
that Envoy makes without touching a connection.

All paths are relative to the directory that Envoy runs in (`proxy/` of ``.pilotage/``), and every file
has a directory of its own, since a rename into a watched directory makes Envoy read again what it
watches there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotage.model import Endpoint, Route

CLUSTER = "web"
LISTENER = "edge"
ADMIN_SOCKET = "admin.sock"
METADATA = "pilotage"

_TYPE = "type.googleapis.com/envoy."
_UNLIMITED = 1_000_000
"""Envoy's default limits (3 retries, 1024 pending) fail requests that would only have to wait."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """A certificate chain and its key, as PEM files that Envoy reads itself, and reads again when they change."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class EnvoySettings:
    """One edge. Times are seconds.

    ``state_dir``: ``.pilotage/``. ``host``: the name in the inventory. ``port`` and ``address``: where
    the edge listens. ``upstream_idle``: how long an unused connection to an instance is kept; it must be
    shorter than any app server's own limit (gunicorn 2, node and uvicorn 5), or a request meets a
    connection that the app is just closing. ``retries``: of what is safe to send again whatever its
    method. ``confirm``: how long Envoy has to confirm a change; ``start``: to be ready. ``access_log``: a
    file, or None for none. ``concurrency``: worker threads, None for one a core.
    """

    state_dir: Path
    host: str
    port: int
    address: str = "0.0.0.0"  # noqa: S104 (an edge is there to be reached)
    service: str = "web"
    tls: TlsFiles | None = None
    connect_timeout: float = 5.0
    upstream_idle: float = 1.0
    retries: int = 3
    confirm: float = 10.0
    start: float = 30.0
    access_log: Path | None = None
    concurrency: int | None = None

    @property
    def directory(self) -> Path:
        """Where Envoy runs, and where its files are."""
        return self.state_dir / "proxy"


def bootstrap(settings: EnvoySettings) -> dict[str, Any]:
    """What Envoy is started with: where it is asked, and where the rest is read from."""
    return {
        "node": {"id": settings.host, "cluster": settings.service},
        "admin": {"address": {"pipe": {"path": ADMIN_SOCKET, "mode": 0o600}}},
        "dynamic_resources": {"lds_config": _source("lds"), "cds_config": _source("cds")},
    }


def listener(settings: EnvoySettings) -> dict[str, Any]:
    """LDS: the edge itself."""
    manager: dict[str, Any] = {
        "@type": f"{_TYPE}extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": LISTENER,
        "codec_type": "AUTO",  # HTTP/1.1 and HTTP/2
        "rds": {"route_config_name": LISTENER, "config_source": _source("rds")},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_TYPE}extensions.filters.http.router.v3.Router"},
            }
        ],
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        # An edge: the client's address goes into x-forwarded-for, a request gets an id of ours.
        "use_remote_address": True,
        "server_header_transformation": "PASS_THROUGH",
        # A quiet event stream or WebSocket is not a dead one.
        "stream_idle_timeout": "0s",
        "request_timeout": "0s",
        "request_headers_timeout": "60s",
        "http_protocol_options": {
            "accept_http_10": True,
            "default_host_for_http_10": settings.service,
        },
        "http2_protocol_options": {"allow_connect": True, "max_concurrent_streams": 250},
    }
    if settings.access_log:
        manager["access_log"] = [
            {
                "name": "envoy.access_loggers.file",
                "typed_config": {
                    "@type": f"{_TYPE}extensions.access_loggers.file.v3.FileAccessLog",
                    "path": str(settings.access_log),
                },
            }
        ]
    chain: dict[str, Any] = {
        "filters": [
            {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
        ]
    }
    if settings.tls:
        chain["transport_socket"] = {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": f"{_TYPE}extensions.transport_sockets.tls.v3.DownstreamTlsContext",
                "common_tls_context": {
                    "alpn_protocols": ["h2", "http/1.1"],
                    "tls_certificate_sds_secret_configs": [
                        {"name": LISTENER, "sds_config": _source("sds")}
                    ],
                },
            },
        }
    return {
        "@type": f"{_TYPE}config.listener.v3.Listener",
        "name": LISTENER,
        "address": {"socket_address": {"address": settings.address, "port_value": settings.port}},
        # With SO_REUSEPORT, two edges would share a port without a word, and its requests.
        "enable_reuse_port": False,
        "connection_balance_config": {"exact_balance": {}},
        "filter_chains": [chain],
    }


def routes(settings: EnvoySettings) -> dict[str, Any]:
    """RDS: everything goes to the one cluster, for as long as it takes."""
    return {
        "@type": f"{_TYPE}config.route.v3.RouteConfiguration",
        "name": LISTENER,
        "virtual_hosts": [
            {
                "name": "all",
                "domains": ["*"],
                "routes": [
                    {
                        "match": {"prefix": "/"},
                        "route": {
                            "cluster": CLUSTER,
                            "timeout": "0s",
                            "retry_policy": _retries(settings),
                        },
                    }
                ],
            }
        ],
    }


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
                    "@type": f"{_TYPE}extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                },
            }
        ],
        "host_selection_retry_max_attempts": "5",
    }


def cluster(settings: EnvoySettings) -> dict[str, Any]:
    """CDS: the instances, as a whole."""
    limits = {
        "max_connections": _UNLIMITED,
        "max_pending_requests": _UNLIMITED,
        "max_requests": _UNLIMITED,
        "max_retries": _UNLIMITED,
    }
    return {
        "@type": f"{_TYPE}config.cluster.v3.Cluster",
        "name": CLUSTER,
        "type": "EDS",
        "eds_cluster_config": {"service_name": CLUSTER, "eds_config": _source("eds")},
        "connect_timeout": f"{settings.connect_timeout:g}s",
        "lb_policy": "LEAST_REQUEST",
        # Never send a new request to a draining instance, however few others there are.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "circuit_breakers": {"thresholds": [limits]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{_TYPE}extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http_protocol_options": {}},
                "common_http_protocol_options": {"idle_timeout": f"{settings.upstream_idle:g}s"},
            }
        },
    }


def certificate(tls: TlsFiles) -> dict[str, Any]:
    """SDS: the certificate by its files, so that no key is written here."""
    return {
        "@type": f"{_TYPE}extensions.transport_sockets.tls.v3.Secret",
        "name": LISTENER,
        "tls_certificate": {
            "certificate_chain": {"filename": str(tls.certificate)},
            "private_key": {"filename": str(tls.key)},
            "watched_directory": {"path": str(tls.certificate.parent)},
        },
    }


def endpoints(route: Route) -> dict[str, Any]:
    """EDS: the instances that take requests, and those that only finish what they have."""
    return {
        "@type": f"{_TYPE}config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": CLUSTER,
        "endpoints": [
            {
                "lb_endpoints": [
                    *(_endpoint(endpoint, "HEALTHY") for endpoint in route.active),
                    *(_endpoint(endpoint, "DRAINING") for endpoint in route.draining),
                ]
            }
        ],
    }


def _endpoint(endpoint: Endpoint, health: str) -> dict[str, Any]:
    host, _, port = endpoint.address.rpartition(":")
    return {
        "endpoint": {"address": {"socket_address": {"address": host, "port_value": int(port)}}},
        "health_status": health,
        "metadata": {
            "filter_metadata": {
                METADATA: {"instance": endpoint.instance, "release": endpoint.release}
            }
        },
    }


def read_endpoints(assignment: Mapping[str, Any]) -> Route:
    """The route in a cluster load assignment: the inverse of `endpoints`.

    Raises
    ------
    KeyError
        It was not written by `endpoints`.
    """
    active: list[Endpoint] = []
    draining: list[Endpoint] = []
    for locality in assignment.get("endpoints", ()):
        for entry in locality.get("lb_endpoints", ()):
            address = entry["endpoint"]["address"]["socket_address"]
            ours = entry["metadata"]["filter_metadata"][METADATA]
            endpoint = Endpoint(
                instance=ours["instance"],
                release=ours["release"],
                address=f"{address['address']}:{address['port_value']}",
            )
            # Envoy's own dump of a draining endpoint says UNHEALTHY.
            (active if entry.get("health_status") == "HEALTHY" else draining).append(endpoint)
    return Route(active=tuple(active), draining=tuple(draining))


def discovery(resource: Mapping[str, Any], *, number: int) -> dict[str, Any]:
    """The content of one file: a resource and its version, which names its content (``7-3f9ac21b``)."""
    digest = hashlib.sha256(json.dumps(resource, sort_keys=True).encode()).hexdigest()[:8]
    return {"version_info": f"{number}-{digest}", "resources": [resource]}


def same_content(one: Mapping[str, Any] | None, other: Mapping[str, Any]) -> bool:
    """Whether two files say the same, whatever their versions."""
    return one is not None and one.get("resources") == other["resources"]


def _source(kind: str) -> dict[str, Any]:
    return {
        "resource_api_version": "V3",
        "path_config_source": {
            "path": f"{kind}/{kind}.json",
            "watched_directory": {"path": kind},
        },
    }
