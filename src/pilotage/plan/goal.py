"""What a planner is asked for: a release, its migrations, how the service should look, and a policy."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from pilotage.migrate.migration import Migrations
from pilotage.model import Instance, Kind, Life, Release, Role
from pilotage.plan.groups import Rolling
from pilotage.verdict import Limits


@dataclass(frozen=True, slots=True)
class Layout:
    """How the service should look: its roles, and for each the digest of its configuration.

    ``by_host``: digests of a role on single hosts, where tags give them an environment of their own.
    ``only``: the places (host, role) that are to be brought to the release now; empty: all of them.
    """

    service: str
    roles: tuple[Role, ...]
    config: Mapping[str, str] = field(default_factory=dict)
    by_host: Mapping[tuple[str, str], str] = field(default_factory=dict)
    only: frozenset[tuple[str, str]] = frozenset()

    def selects(self, instance: Instance) -> bool:
        """Whether an instance is in one of the places that are brought to the release now."""
        return not self.only or (instance.host, instance.role) in self.only

    def without(self, places: Collection[tuple[str, str]]) -> Layout:
        """The layout with nothing at these places (host, role)."""

        def left(role: Role) -> tuple[str, ...]:
            return tuple(host for host in role.hosts if (host, role.name) not in places)

        return replace(self, roles=tuple(replace(role, hosts=left(role)) for role in self.roles))

    def wanted(self, release: Release) -> tuple[Instance, ...]:
        """Every instance that should run, in a fixed order. Ids are derived, never random."""
        return tuple(
            Instance(
                id=instance_id(
                    service=self.service,
                    role=role.name,
                    host=host,
                    release=release.id,
                    config=self.digest(role.name, host),
                    index=index,
                ),
                service=self.service,
                role=role.name,
                host=host,
                release=release.id,
                config=self.digest(role.name, host),
                kind=Kind.TRAFFIC if role.traffic else Kind.WORKER,
                life=Life.STARTING,
                index=index,
            )
            for role in self.roles
            for host in role.hosts
            for index in range(role.instances)
        )

    def digest(self, role: str, host: str) -> str:
        """The digest of a role's configuration on a host; empty where it is not known."""
        return self.by_host.get((role, host)) or self.config.get(role, "")

    def overlap(self, role: str) -> bool:
        """Whether new instances of the role may run beside old ones. A role that is gone: yes."""
        return next((r.overlap for r in self.roles if r.name == role), True)


def instance_id(
    *, service: str, role: str, host: str, release: str, config: str, index: int
) -> str:
    """``SERVICE-ROLE-HOST-RELEASE-CONFIG-INDEX``: the same for every deployer that wants the instance.

    The host belongs to it: registrations of all hosts are rows of one table, keyed by this id.
    """
    parts = (service, role, host, release, config[:6], str(index))
    return "-".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Policy:
    """How to go about it. ``contract``: next, auto or manual.

    ``soak``: seconds between a finished deploy and an `auto` contract. ``drain``: seconds that old
    instances get to finish their requests. ``patience``: seconds that a proof waits for database
    sessions of instances that have just been stopped to go away. ``consumers``: other services that
    use the tables. ``replicas``: how many read replicas must have replayed an expand half before
    new code starts.

    ``verify``: seconds that a release is watched after the switch (0: not at all). ``canary``: shares
    of the new requests, ascending, that it gets before; each for ``step`` seconds. ``limits``: what is
    asked of it meanwhile. ``rolling``: hosts take turns; None: all of them switch at once.

    ``first``: seconds for one instance to get ready alone, before any other starts, where images may
    prepare a database in their entrypoint; None: all start at once.
    """

    contract: str = "next"
    soak: float = 600.0
    drain: float = 30.0
    patience: float = 3.0
    consumers: tuple[str, ...] = ()
    replicas: int = 0
    verify: float = 0.0
    canary: tuple[float, ...] = ()
    step: float = 60.0
    limits: Limits = field(default_factory=Limits)
    rolling: Rolling | None = None
    first: float | None = None


@dataclass(frozen=True, slots=True)
class Goal:
    """A release to run, and how.

    ``migrations`` are the release's own files; ``before`` those of the release that serves now, whose
    held contract halves may come first although the new release no longer has their files. ``hooks``:
    the project's programs that there are, name → path as it is shown.
    """

    release: Release
    layout: Layout
    policy: Policy = Policy()
    migrations: Migrations = field(default_factory=Migrations)
    before: Migrations = field(default_factory=Migrations)
    hooks: Mapping[str, str] = field(default_factory=dict)

    @property
    def files(self) -> Migrations:
        """All files at hand; where both releases have one, the new release's."""
        return Migrations(
            {**self.before.by_version, **self.migrations.by_version}, self.migrations.framework
        )
