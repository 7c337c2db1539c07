"""In which order the files are changed, so that no request meets a cluster that is not there.

Pure: from what is in force and the route that is wanted to a list of files. The route itself is one file
(``rds``), and the change of it is the switch. What it needs is put in force before, what it needs no more
is taken away after. When a change ends between two files, Envoy does what it did before or what was
wanted, and the next change does the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pilotage.model import Route
from pilotage.proxy.envoy import clusters, routes
from pilotage.proxy.envoy.config import EnvoySettings, listener
from pilotage.proxy.envoy.names import (
    HOLD,
    LISTENER,
    Resource,
    cluster_name,
    endpoints_of,
)
from pilotage.proxy.envoy.state import State


@dataclass(frozen=True, slots=True)
class Write:
    """One file (``lds``, ``cds``, ``rds``, ``eds/CLUSTER``) and what shall be in it."""

    kind: str
    resources: tuple[Resource, ...]


@dataclass(frozen=True, slots=True)
class Steps:
    """The files to write: up to the switch (its file is the last), and after it."""

    before: tuple[Write, ...]
    after: tuple[Write, ...]


def batches(writes: Iterable[Write]) -> list[tuple[Write, ...]]:
    """What may be put in force together, in any order; each batch waits for the one before.

    The route waits for all that it needs, a file that is written twice for its first content, and a gate
    goes only after the clusters that led to it.
    """
    found: list[list[Write]] = []
    for write in writes:
        kinds = {it.kind for it in found[-1]} if found else {write.kind}
        if write.kind in ("rds", "lds") or write.kind in kinds:
            found.append([write])
        else:
            found[-1].append(write)
    return [tuple(batch) for batch in found]


def steps(settings: EnvoySettings, now: State, route: Route) -> Steps:
    """The way from what is in force to a route."""
    return _Way(settings, now, route).steps()


@dataclass(frozen=True, slots=True)
class _Way:
    settings: EnvoySettings
    now: State
    route: Route

    def steps(self) -> Steps:
        wanted = self.releases() | self.shared() | self.held()
        everything = {**self.now.clusters, **wanted}
        served = {cluster_name(e.release) for e in (*self.route.active, *self.route.trial)}
        early: list[Write] = []
        late: list[Write] = []
        for name in self.releases():
            write = Write(endpoints_of(name), (clusters.endpoints(self.route, name),))
            # In a cluster that serves no more, an endpoint could come back to life before the switch.
            (early if name in served or name not in self.now.clusters else late).append(write)
        before = [*early, _write("cds", everything)]
        if self.paused:
            before.insert(0, self.listeners())
        if self.opens:
            # What waits goes on, and what comes no longer waits.
            everything = {name: it for name, it in everything.items() if name not in self.now.gates}
            before.append(_write("cds", everything))
        before.append(Write("rds", (routes.routes(self.settings, self.route),)))
        kept = {name: it for name, it in everything.items() if name in wanted or self.busy(name)}
        return Steps(tuple(before), (*late, _write("cds", kept), self.listeners()))

    @property
    def paused(self) -> bool:
        return self.route.front is not None and self.route.front.mode == "pause"

    @property
    def opens(self) -> bool:
        """Whether this lets go of requests that were held."""
        return bool(self.now.gates) and self.route.front is None

    def releases(self) -> dict[str, Resource]:
        names = dict.fromkeys(cluster_name(endpoint.release) for endpoint in self.route.endpoints)
        return {name: clusters.cluster(self.settings, name) for name in names}

    def shared(self) -> dict[str, Resource]:
        """Clusters for several releases that are active together: each may answer for another."""
        names = dict.fromkeys(cluster_name(endpoint.release) for endpoint in self.route.active)
        several = len(names) > 1 and not self.route.trial
        return {**clusters.shared(self.settings, names)} if several else {}

    def held(self) -> dict[str, Resource]:
        """What holds requests, or takes those that were held. Under maintenance they wait on."""
        if self.opens:
            names = dict.fromkeys(cluster_name(endpoint.release) for endpoint in self.route.active)
            return {HOLD: clusters.hold_open(self.settings, names)} if names else {}
        still: dict[str, Resource] = {
            name: self.now.clusters[name]
            for name in (*self.now.gates, HOLD)
            if name in self.now.clusters
        }
        if not self.paused or self.route.front is None:
            return still if self.now.gates else {}
        gate = routes.gate_name(self.route.front)
        return still | {
            gate: clusters.gate(self.settings, gate),
            HOLD: clusters.hold_closed(self.settings, gate),
        }

    def busy(self, name: str) -> bool:
        """Whether a cluster that is not wanted may work on requests that have to be counted."""
        named = {endpoint.instance for endpoint in self.route.endpoints}
        return bool(self.now.instances(name) & named)

    def listeners(self) -> Write:
        found: dict[str, Resource] = {LISTENER: listener(self.settings)}
        if self.route.front is not None:
            found |= {name: it for name, it in self.now.listeners.items() if name in self.now.gates}
            if self.paused:
                gate = routes.gate(self.route.front)
                found[gate["name"]] = gate
        return _write("lds", found)


def _write(kind: str, resources: Mapping[str, Resource]) -> Write:
    return Write(kind, tuple(resources[name] for name in sorted(resources)))
