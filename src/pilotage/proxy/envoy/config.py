"""Envoy's configuration as pure data: what is the same whatever the route is, and why each setting that
is not a default. What follows from a route is in `clusters` and `routes`; the order in which it is put
in force in `steps`.

Nothing here reads or writes. All paths are relative to the directory that Envoy runs in (`proxy/` of
``.pilotage/``), and every file has a directory of its own, since a rename into a watched directory makes
Envoy read again what it watches there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotage.proxy.envoy import answers
from pilotage.proxy.envoy.names import (
    ADMIN_SOCKET,
    AUTHORIZE,
    HOLD_HEADER,
    LISTENER,
    MANAGER,
    NOWHERE,
    ROUTER,
    TYPE,
    Resource,
    source,
)

HELD_BODY = 65_536
_LONGER_THAN_ANY_PAUSE = "86400s"


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
    file, or None for none. ``concurrency``: worker threads, None for one a core. ``in_front``: proxies of
    ours before this one, whose X-Forwarded headers are believed and passed on as they are.
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
    in_front: int = 0

    @property
    def directory(self) -> Path:
        """Where Envoy runs, and where its files are."""
        return self.state_dir / "proxy"


def bootstrap(settings: EnvoySettings) -> dict[str, Any]:
    """What Envoy is started with: where it is asked, and where the rest is read from."""
    return {
        "node": {"id": settings.host, "cluster": settings.service},
        "admin": {"address": {"pipe": {"path": ADMIN_SOCKET, "mode": 0o600}}},
        "dynamic_resources": {"lds_config": source("lds"), "cds_config": source("cds")},
        # Envoy adds up its workers' histograms at a flush: so old is the latency that `measure` gives.
        "stats_flush_interval": "1s",
    }


def listener(settings: EnvoySettings) -> dict[str, Any]:
    """LDS: the edge itself."""
    manager: dict[str, Any] = {
        "@type": f"{TYPE}{MANAGER}",
        "stat_prefix": LISTENER,
        "codec_type": "AUTO",  # HTTP/1.1 and HTTP/2
        "rds": {"route_config_name": LISTENER, "config_source": source("rds")},
        "http_filters": [_authorize(), ROUTER],
        "access_log": answers.loggers(),
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
    if settings.in_front:
        manager |= {"xff_num_trusted_hops": settings.in_front, "skip_xff_append": True}
    if settings.access_log:
        manager["access_log"].append(
            {
                "name": "envoy.access_loggers.file",
                "typed_config": {
                    "@type": f"{TYPE}extensions.access_loggers.file.v3.FileAccessLog",
                    "path": str(settings.access_log),
                },
            }
        )
    chain: dict[str, Any] = {
        "filters": [
            {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
        ]
    }
    if settings.tls:
        chain["transport_socket"] = {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": f"{TYPE}extensions.transport_sockets.tls.v3.DownstreamTlsContext",
                "common_tls_context": {
                    "alpn_protocols": ["h2", "http/1.1"],
                    "tls_certificate_sds_secret_configs": [
                        {"name": LISTENER, "sds_config": source("sds")}
                    ],
                },
            },
        }
    return {
        "@type": f"{TYPE}config.listener.v3.Listener",
        "name": LISTENER,
        "address": {"socket_address": {"address": settings.address, "port_value": settings.port}},
        # With SO_REUSEPORT, two edges would share a port without a word, and its requests.
        "enable_reuse_port": False,
        # What a request that is held may keep here of its body; `routes` has more for one that is not.
        "per_connection_buffer_limit_bytes": HELD_BODY,
        "connection_balance_config": {"exact_balance": {}},
        "filter_chains": [chain],
    }


def _authorize() -> dict[str, Any]:
    """What holds a request during a pause, and is off otherwise: it asks a gate, which does not answer.

    A gate that cannot be asked (any more) lets the request pass: that is how the pause ends.
    """
    return {
        "name": AUTHORIZE,
        "disabled": True,
        "typed_config": {
            "@type": f"{TYPE}extensions.filters.http.ext_authz.v3.ExtAuthz",
            "http_service": ask(NOWHERE),
            "failure_mode_allow": True,
            "transport_api_version": "V3",
        },
    }


def ask(gate: str) -> dict[str, Any]:
    """Whom `_authorize` asks."""
    return {
        "server_uri": {"uri": f"http://{gate}", "cluster": gate, "timeout": _LONGER_THAN_ANY_PAUSE},
        "authorization_request": {"headers_to_add": [{"key": HOLD_HEADER, "value": "1"}]},
    }


def certificate(tls: TlsFiles) -> dict[str, Any]:
    """SDS: the certificate by its files, so that no key is written here."""
    return {
        "@type": f"{TYPE}extensions.transport_sockets.tls.v3.Secret",
        "name": LISTENER,
        "tls_certificate": {
            "certificate_chain": {"filename": str(tls.certificate)},
            "private_key": {"filename": str(tls.key)},
            "watched_directory": {"path": str(tls.certificate.parent)},
        },
    }


def discovery(resources: Sequence[Resource], *, number: int) -> dict[str, Any]:
    """The content of one file: resources and a version that names its content (``7-3f9ac21b``)."""
    digest = hashlib.sha256(json.dumps(resources, sort_keys=True).encode()).hexdigest()[:8]
    return {"version_info": f"{number}-{digest}", "resources": list(resources)}


def same_content(one: Mapping[str, Any] | None, other: Mapping[str, Any]) -> bool:
    """Whether two files say the same, whatever their versions."""
    return one is not None and one.get("resources") == other["resources"]
