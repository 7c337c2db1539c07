"""What the parts of Envoy's configuration call each other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

TYPE = "type.googleapis.com/envoy."
MANAGER = "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
AUTHORIZE = "envoy.filters.http.ext_authz"
ROUTER: Mapping[str, Any] = {
    "name": "envoy.filters.http.router",
    "typed_config": {"@type": f"{TYPE}extensions.filters.http.router.v3.Router"},
}

LISTENER = "edge"
METADATA = "pilotage"
ADMIN_SOCKET = "admin.sock"

GATE = "gate-"
"""What the name of the listener and cluster begins with that a request waits for during a pause."""
HELD = "held"
"""The name of the route during a pause."""
HOLD_HEADER = "x-pilotage-hold"
"""How a gate tells a question for leave from a request that was held for too long."""
HOLD = "hold"
"""The cluster to which a held request goes when the pause ends."""
NOWHERE = "nowhere"
"""A cluster that does not exist: Envoy answers 503 for it."""

Resource = Mapping[str, Any]
"""One of Envoy's resources, as JSON."""


def cluster_name(release: str) -> str:
    """The cluster of a release. A name is part of a path and of the names of Envoy's counters."""
    safe = re.sub(r"[^A-Za-z0-9_-]", lambda match: f"~{ord(match[0]):x}~", release)
    return f"release-{safe}"


def shared_name(cluster: str) -> str:
    """A cluster with others to fall back on."""
    return f"{cluster}+"


def endpoints_of(cluster: str) -> str:
    """The kind of file that lists a cluster's endpoints."""
    return f"eds/{cluster}"


def socket_of(gate: str) -> str:
    """Where a gate listens."""
    return f"{gate}.sock"


def path(kind: str) -> str:
    """The file of a kind: ``rds/rds.json``, ``eds/NAME/NAME.json``."""
    return f"{kind}/{kind.rpartition('/')[2]}.json"


def source(kind: str) -> dict[str, Any]:
    """Where a resource is read from, and which directory is watched for it."""
    return {
        "resource_api_version": "V3",
        "path_config_source": {"path": path(kind), "watched_directory": {"path": kind}},
    }
