"""What an Envoy does, read from the resources that it has in force, or from the files that it would start with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pilotage.model import Endpoint, Front, Route
from pilotage.proxy.envoy.names import GATE, HOLD, LISTENER, METADATA, Resource
from pilotage.proxy.envoy.routes import read_front


@dataclass(frozen=True, slots=True)
class State:
    """Resources by name. ``endpoints``: assignments by the name of their cluster."""

    listeners: Mapping[str, Resource] = field(default_factory=dict)
    routes: Resource | None = None
    clusters: Mapping[str, Resource] = field(default_factory=dict)
    endpoints: Mapping[str, Resource] = field(default_factory=dict)

    @property
    def gates(self) -> set[str]:
        """Where requests may be waiting."""
        return {name for name in self.clusters if name.startswith(GATE)}

    @property
    def paused(self) -> bool:
        """Whether the route was written for a pause, which may have ended since."""
        front = (self._said() or {}).get("front")
        return front is not None and front["mode"] == "pause"

    def _said(self) -> Mapping[str, Any] | None:
        found: Mapping[str, Any] | None = (
            _only_route(self.routes).get("metadata", {}).get("filter_metadata", {}).get(METADATA)
        )
        return found

    def route(self) -> Route:
        """The route that these resources make together, whatever they were written for.

        An endpoint is *draining* when no new request can reach it: nothing is routed to its cluster,
        or it is marked so in one that serves.
        """
        ours = self._said()
        if ours is None:
            # Before there was a cluster for each release, one had the endpoints of all of them.
            cluster = _only_route(self.routes).get("route", {}).get("cluster")
            return self._sorted({cluster}, set())
        front = read_front(ours["front"])
        if front is not None and front.mode == "pause" and ours["gate"] not in self.clusters:
            return self._sorted(self._behind_hold(), set())  # it ended, but for the last file
        active, trial = set(ours["active"]), set(ours["trial"])
        return self._sorted(active, trial, share=float(ours["share"]), front=front)

    def _behind_hold(self) -> set[str | None]:
        kind = self.clusters.get(HOLD, {}).get("cluster_type", {})
        return set(kind.get("typed_config", {}).get("clusters", ()))

    def _sorted(
        self,
        active: set[str | None],
        trial: set[str | None],
        *,
        share: float = 0.0,
        front: Front | None = None,
    ) -> Route:
        found: dict[Endpoint, tuple[int, int]] = {}
        for cluster, endpoint, serves, place in self._entries():
            role = 0 if serves and cluster in active else 1 if serves and cluster in trial else 2
            found[endpoint] = min(found.get(endpoint, (2, place)), (role, place))
        parts: tuple[list[Endpoint], ...] = ([], [], [])
        for endpoint, (role, _) in sorted(found.items(), key=lambda item: item[1]):
            parts[role].append(endpoint)
        return Route(
            active=tuple(parts[0]),
            trial=tuple(parts[1]),
            draining=tuple(parts[2]),
            share=share,
            front=front,
        )

    def instances(self, cluster: str) -> set[str]:
        """The instances among the endpoints of a cluster."""
        return {endpoint.instance for name, endpoint, *_ in self._entries() if name == cluster}

    def _entries(self) -> Iterator[tuple[str, Endpoint, bool, int]]:
        for cluster in self.clusters:
            for locality in self.endpoints.get(cluster, {}).get("endpoints", ()):
                for place, entry in enumerate(locality.get("lb_endpoints", ())):
                    ours = entry.get("metadata", {}).get("filter_metadata", {}).get(METADATA)
                    if ours is None:
                        continue  # a gate
                    address = entry["endpoint"]["address"]["socket_address"]
                    endpoint = Endpoint(
                        instance=ours["instance"],
                        release=ours["release"],
                        address=f"{address['address']}:{address['port_value']}",
                    )
                    # Envoy's own dump of a draining endpoint says UNHEALTHY.
                    serves = entry.get("health_status") == "HEALTHY"
                    yield cluster, endpoint, serves, int(ours.get("place", place))


def _only_route(configuration: Resource | None) -> Mapping[str, Any]:
    for host in (configuration or {}).get("virtual_hosts", ()):
        for route in host.get("routes", ()):
            return route  # type: ignore[no-any-return]
    return {}


_KINDS = (
    "dynamic_listeners",
    "dynamic_active_clusters",
    "dynamic_endpoint_configs",
    "dynamic_route_configs",
)


def from_dump(dump: Mapping[str, Any]) -> State:
    """The state in Envoy's answer to ``/config_dump?include_eds``."""
    return from_resources(
        entry for part in dump["configs"] for kind in _KINDS for entry in part.get(kind, ())
    )


def from_resources(entries: Iterable[Mapping[str, Any]]) -> State:
    """The state in what Envoy says of resources, of some kinds or of all."""
    listeners: dict[str, Resource] = {}
    clusters: dict[str, Resource] = {}
    endpoints: dict[str, Resource] = {}
    routes: Resource | None = None
    for entry in entries:
        if "active_state" in entry:
            listeners[entry["name"]] = entry["active_state"]["listener"]
        elif "cluster" in entry:
            clusters[entry["cluster"]["name"]] = entry["cluster"]
        elif "endpoint_config" in entry:
            assignment = entry["endpoint_config"]
            endpoints[assignment["cluster_name"]] = assignment
        elif entry.get("route_config", {}).get("name") == LISTENER:
            routes = entry["route_config"]
    return State(listeners, routes, clusters, endpoints)
