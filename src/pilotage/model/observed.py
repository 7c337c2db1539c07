"""What is, at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pilotage.model.parts import Front, Host, Instance, Kind, Route
from pilotage.model.rule import Ships
from pilotage.model.schema import SchemaView
from pilotage.model.state import DeployState


@dataclass(frozen=True, slots=True)
class Observed:
    """What is, at one moment: gathered by `pilotage.observe`, read by `pilotage.plan`."""

    state: DeployState = field(default_factory=DeployState)
    hosts: tuple[Host, ...] = ()
    instances: tuple[Instance, ...] = ()
    routes: Mapping[str, Route] = field(default_factory=dict)
    schema: SchemaView = field(default_factory=SchemaView)

    @property
    def unreachable(self) -> tuple[str, ...]:
        """Hosts of the inventory, or of the target, that did not answer."""
        seen = {host.name for host in self.hosts if host.reachable}
        known = dict.fromkeys((*self.state.hosts, *(host.name for host in self.hosts)))
        return tuple(name for name in known if name not in seen)

    @property
    def alive(self) -> tuple[Instance, ...]:
        """Every instance that may be running: seen by the target, or registered where nobody can look.

        A registration on a host that answers, and that does not know the instance, is a ghost: an
        instance is recorded on its host *before* it registers. Pilotage itself is not among them.
        """
        seen = tuple(i for i in self.instances if i.alive and i.kind is not Kind.TOOL)
        answering = {host.name for host in self.hosts if host.reachable}
        unseen = tuple(
            Instance(
                id=r.instance,
                service=r.service,
                role="",
                host=r.host,
                release=r.release,
                kind=r.kind,
                detail="registered; its host cannot be asked",
            )
            for r in self.schema.registered
            if r.host not in answering
        )
        return seen + unseen

    @property
    def front(self) -> Front | None:
        """What every edge should do instead of passing requests on, by the state."""
        return self.state.closure.front if self.state.closure else None

    @property
    def astray(self) -> tuple[str, ...]:
        """Hosts that answer and whose edge does something else than the state wants."""
        return tuple(host for host, route in self.routes.items() if route.front != self.front)

    @property
    def closed_by_deploy(self) -> bool:
        """Whether a deploy with downtime has closed the edges and not opened them again."""
        return self.state.closure is not None and self.state.closure.by == "deploy"

    def ships(self, release: str) -> Ships | None:
        """What a release ships, by its record, else by what one of its instances registered."""
        recorded = self.state.release(release)
        if recorded and recorded.ships:
            return recorded.ships
        return next((r.ships for r in self.schema.registered if r.release == release), None)
