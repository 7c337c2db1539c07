"""What one host has of a service at one moment: its containers, and the instances that they are."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from pilotage.docker.names import found_id
from pilotage.model import Instance, Kind, Life, release_id
from pilotage.targets.docker import names
from pilotage.targets.docker.containers import Container
from pilotage.targets.docker.spec import DockerService

CONSOLE_WAIT = 600.0
"""Seconds after which a console that was created, and not started, never will be."""


def _ended(container: Container) -> float:
    return container.finished or container.created


@dataclass(frozen=True, slots=True)
class Sight:
    """Containers of one host as it saw them at one moment.

    ``fence``: the highest token that the host had seen then. ``now``: its clock, Unix seconds.
    """

    service: DockerService
    host: str
    containers: tuple[Container, ...]
    fence: int
    now: float

    def instances(self) -> tuple[Instance, ...]:
        """The instances among them, one for each id: what lives goes before what does not."""
        found: dict[str, Instance] = {}
        for container in sorted(self.containers, key=lambda c: (c.created, c.id)):
            instance = self.instance(container)
            if instance is None:
                continue
            known = found.get(instance.id)
            if known is None or instance.alive or not known.alive:
                found[instance.id] = instance
        return tuple(found.values())

    def of(self, instance_id: str) -> tuple[Container, ...]:
        """The containers of an instance, the living ones first."""
        mine = [
            (instance.alive, container.created, container)
            for container in self.containers
            if (instance := self.instance(container)) is not None and instance.id == instance_id
        ]
        mine.sort(key=lambda entry: entry[:2], reverse=True)
        return tuple(container for _, _, container in mine)

    def with_log(self, instance_id: str) -> Container | None:
        """The container that has the log of an instance, also after it was stopped."""
        known = self.of(instance_id)
        kept = (c for c in self.containers if c.labels.get(names.INSTANCE) == instance_id)
        return known[0] if known else max(kept, key=_ended, default=None)

    def surplus(self, retain: int) -> tuple[Container, ...]:
        """Containers that have ended and need not be kept: all but the newest of each role and kind."""
        groups: dict[tuple[str, str], list[Container]] = {}
        for container in self.containers:
            labels = container.labels
            job = labels.get(names.KIND) in (Kind.ONCE, Kind.TOOL) and container.was_started
            over = not container.runs and (container.retired or job)
            if container.ours and over and self._belongs(container):
                group = (labels.get("role", ""), labels[names.KIND])
                groups.setdefault(group, []).append(container)
        return tuple(
            container
            for group in groups.values()
            for container in sorted(group, key=_ended, reverse=True)[retain:]
        )

    def without(self, ids: Collection[str]) -> Sight:
        """The same without containers that were removed since."""
        return replace(self, containers=tuple(c for c in self.containers if c.id not in ids))

    def after_end(self, ended: Container) -> Sight:
        """The same after the end of a container by `pilotage.targets.docker.host.DockerHost.end`."""
        left = self.without({ended.id})
        if not (ended.ours and ended.was_started):
            return left
        name = names.retired(ended.name, ended.id)
        finished = self.now if ended.runs else ended.finished
        kept = replace(ended, name=name, status="exited", finished=finished)
        return replace(left, containers=(*left.containers, kept))

    def instance(self, container: Container) -> Instance | None:
        """The instance that a container is; None for one that is none of this service's."""
        if not self._belongs(container) or container.retired or container.status == "removing":
            return None
        return self._ours(container) if container.ours else self._found(container)

    def _belongs(self, container: Container) -> bool:
        """Whether it is of this service at this destination, and no part of pilotage's own."""
        labels = container.labels
        return (
            labels.get("service") == self.service.service
            and labels.get("destination", "") == (self.service.destination or "")
            and names.PART not in labels
        )

    def _ours(self, container: Container) -> Instance:
        labels = container.labels
        life, detail = self._life(container)
        kind = Kind(labels[names.KIND])
        role = labels.get("role", "")
        return Instance(
            id=labels[names.INSTANCE],
            service=self.service.service,
            role=role,
            host=self.host,
            release=labels[names.RELEASE],
            config=labels.get(names.CONFIG, ""),
            kind=kind,
            life=life,
            index=int(labels.get(names.INDEX, "0")),
            address=self._address(container, role) if kind is Kind.TRAFFIC else None,
            started_at=container.started,
            detail=detail,
            by=labels.get(names.BY, ""),
        )

    def _found(self, container: Container) -> Instance | None:
        """One that Kamal started: it runs, or it is none."""
        role = container.labels.get("role", "")
        destination = container.labels.get("destination", "")
        version = names.kamal_version(container.name, self.service.service, role, destination)
        if not role or version is None or not container.runs:
            return None
        known = self.service.roles.get(role)
        traffic = known is not None and known.traffic
        return Instance(
            id=found_id(self.service.service, role, container.id),
            service=self.service.service,
            role=role,
            host=self.host,
            release=release_id(version),
            kind=Kind.TRAFFIC if traffic else Kind.WORKER,
            life=Life.RUNNING,
            address=self._address(container, role) if traffic else None,
            started_at=container.started,
            detail=f"{container.describe()} of version {version}, not started by pilotage",
        )

    def _address(self, container: Container, role: str) -> str | None:
        known = self.service.roles.get(role)
        return container.address(known.app_port) if known is not None else None

    def _life(self, container: Container) -> tuple[Life, str]:
        if container.runs:
            return Life.RUNNING, container.describe()
        if container.was_started:
            return Life.DEAD, container.describe()
        if self._will_be_started(container):
            return Life.STARTING, f"{container.describe()}, about to be started"
        return Life.DEAD, f"never started: its deployer was overtaken ({container.describe()})"

    def _will_be_started(self, container: Container) -> bool:
        token = container.labels.get(names.TOKEN)
        if token is None:
            return self.now - container.created < CONSOLE_WAIT
        return int(token) >= self.fence
