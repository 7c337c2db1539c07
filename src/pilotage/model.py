"""What pilotage reasons about, as frozen values, and the one rule: a release *fits* a schema.

Everything here is pure. `fits` is asked by the planner for every plan, by the executor before every
migration step, start and switch, by the start gate of every instance, and by the readiness endpoint.
Change it with more care than anything else in this project.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Self

# ----------------------------------------------------------------------------------------------
# Migrations, as the rule sees them
# ----------------------------------------------------------------------------------------------


class Half(StrEnum):
    """The two halves of a migration."""

    EXPAND = "expand"
    CONTRACT = "contract"


def version_key(version: str) -> tuple[int, str]:
    """The order of migration versions: numeric (versions are strings of digits)."""
    return (int(version), version)


@dataclass(frozen=True, slots=True)
class HalfRef:
    """One half of one migration, written ``VERSION/expand`` or ``VERSION/contract``."""

    version: str
    half: Half

    def __str__(self) -> str:
        return f"{self.version}/{self.half}"

    def __lt__(self, other: HalfRef) -> bool:
        return self.sort_key < other.sort_key

    @property
    def sort_key(self) -> tuple[int, str, bool]:
        """File order; within a file expand comes before contract."""
        return (*version_key(self.version), self.half is Half.CONTRACT)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``VERSION/half``; a bare ``VERSION`` means its expand half.

        Raises
        ------
        ValueError
            The text is neither.
        """
        version, slash, half = text.partition("/")
        if not version.isdecimal():
            raise ValueError(f"{text!r} is not VERSION/expand or VERSION/contract")
        return cls(version, Half(half) if slash else Half.EXPAND)


def expand(version: str) -> HalfRef:
    """The expand half of ``version``."""
    return HalfRef(version, Half.EXPAND)


def contract(version: str) -> HalfRef:
    """The contract half of ``version``."""
    return HalfRef(version, Half.CONTRACT)


@dataclass(frozen=True, slots=True)
class Ships:
    """What one release ships of one stream: the versions of its halves and what they declare.

    ``replaces`` holds the ranges (first, last; inclusive) that its squash migrations stand for.
    ``breaks_old`` holds the versions that say ``new-data=breaks-old``: once a release that ships
    them took traffic, a release that does not ship them may not start again.
    """

    expands: frozenset[str] = frozenset()
    contracts: frozenset[str] = frozenset()
    requires: frozenset[HalfRef] = frozenset()
    replaces: tuple[tuple[str, str], ...] = ()
    breaks_old: frozenset[str] = frozenset()

    def covers(self, version: str) -> bool:
        """Whether a squash migration of this release stands for ``version``."""
        key = version_key(version)
        return any(version_key(lo) <= key <= version_key(hi) for lo, hi in self.replaces)

    def ships_contract(self, version: str) -> bool:
        """Whether this release was written for a schema without what ``version`` removes."""
        return version in self.contracts or self.covers(version)

    def ships_expand(self, version: str) -> bool:
        """Whether this release knows what ``version`` added."""
        return version in self.expands or self.covers(version)

    def to_json(self) -> dict[str, Any]:
        """An object of sorted lists."""
        return {
            "expands": sorted(self.expands, key=version_key),
            "contracts": sorted(self.contracts, key=version_key),
            "requires": [str(ref) for ref in sorted(self.requires)],
            "replaces": [list(pair) for pair in self.replaces],
            "breaks_old": sorted(self.breaks_old, key=version_key),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(
            expands=frozenset(data["expands"]),
            contracts=frozenset(data["contracts"]),
            requires=frozenset(HalfRef.parse(text) for text in data.get("requires", ())),
            replaces=tuple((lo, hi) for lo, hi in data.get("replaces", ())),
            breaks_old=frozenset(data.get("breaks_old", ())),
        )


@dataclass(frozen=True, slots=True)
class Applied:
    """What is applied to the schema of one stream, as the rule counts it.

    ``expanded``: expand halves that have *finished* (their first backfill included).
    ``contracted``: contract halves from the moment they have *started*.
    ``finished``: contract halves that have finished (what ``requires`` asks for).
    ``opened``: versions with ``new-data=breaks-old`` whose release has taken traffic.
    """

    expanded: frozenset[str] = frozenset()
    contracted: frozenset[str] = frozenset()
    finished: frozenset[str] = frozenset()
    opened: frozenset[str] = frozenset()

    def has(self, ref: HalfRef) -> bool:
        """Whether the half is applied to its end."""
        return ref.version in (self.expanded if ref.half is Half.EXPAND else self.finished)

    def plus(self, *refs: HalfRef) -> Applied:
        """The schema once these halves are applied as well."""
        expands = frozenset(ref.version for ref in refs if ref.half is Half.EXPAND)
        contracts = frozenset(ref.version for ref in refs if ref.half is Half.CONTRACT)
        return replace(
            self,
            expanded=self.expanded | expands,
            contracted=self.contracted | contracts,
            finished=self.finished | contracts,
        )

    def minus(self, *refs: HalfRef) -> Applied:
        """The schema once these halves are taken back (``-- down``)."""
        expands = frozenset(ref.version for ref in refs if ref.half is Half.EXPAND)
        contracts = frozenset(ref.version for ref in refs if ref.half is Half.CONTRACT)
        return replace(
            self,
            expanded=self.expanded - expands,
            contracted=self.contracted - contracts,
            finished=self.finished - contracts,
        )


@dataclass(frozen=True, slots=True)
class Fit:
    """The answer of `fits`: true when the release fits, else what is wrong."""

    known: bool = True
    missing_expands: tuple[str, ...] = ()
    foreign_contracts: tuple[str, ...] = ()
    missing_requires: tuple[HalfRef, ...] = ()

    def __bool__(self) -> bool:
        return self.known and not (
            self.missing_expands or self.foreign_contracts or self.missing_requires
        )

    def describe(self) -> str:
        """Why not, in words; ``"fits"`` when it does."""
        if not self.known:
            return "unknown: nobody recorded which migrations it ships"
        reasons = []
        if self.missing_expands:
            reasons.append(f"needs {_refs(map(expand, self.missing_expands))}, not applied yet")
        if self.foreign_contracts:
            reasons.append(
                f"was written before {_refs(map(contract, self.foreign_contracts))}, which "
                "removed what it may still use"
            )
        if self.missing_requires:
            reasons.append(f"requires {_refs(self.missing_requires)}, not applied yet")
        return "; ".join(reasons) or "fits"


def _refs(refs: Iterable[HalfRef]) -> str:
    return ", ".join(str(ref) for ref in refs)


def fits(ships: Ships | None, applied: Applied) -> Fit:
    """Whether a release that ships ``ships`` can run on a schema with ``applied``.

    1. Every expand half that it ships is applied,
    2. every contract half that is applied is one that it ships, and
    3. every half that one of its migrations requires is applied.

    ``ships`` is None when nobody knows what the release ships: the answer is then *unknown*, which
    is false.
    """
    if ships is None:
        return Fit(known=False)
    return Fit(
        missing_expands=tuple(sorted(ships.expands - applied.expanded, key=version_key)),
        foreign_contracts=tuple(
            sorted((v for v in applied.contracted if not ships.ships_contract(v)), key=version_key)
        ),
        missing_requires=tuple(sorted(ref for ref in ships.requires if not applied.has(ref))),
    )


def cannot_return(ships: Ships | None, applied: Applied) -> tuple[str, ...]:
    """The versions whose new data this release would not understand, if it were started again.

    Old instances that still drain after a switch are not judged by this; starts and rollbacks are.
    """
    if ships is None:
        return tuple(sorted(applied.opened, key=version_key))
    return tuple(sorted((v for v in applied.opened if not ships.ships_expand(v)), key=version_key))


# ----------------------------------------------------------------------------------------------
# Releases, instances, routes
# ----------------------------------------------------------------------------------------------

_HEX = re.compile(r"[0-9a-f]{12,}")
RELEASE_ID_LENGTH = 12
SESSION_PREFIX = "plt-"
_SESSION = re.compile(rf"{SESSION_PREFIX}([0-9a-f]{{{RELEASE_ID_LENGTH}}})(?![0-9a-f])")


def release_id(revision: str) -> str:
    """The short id of a revision: 12 hexadecimal digits, the same wherever it is computed."""
    if _HEX.fullmatch(revision):
        return revision[:RELEASE_ID_LENGTH]
    return hashlib.sha256(revision.encode()).hexdigest()[:RELEASE_ID_LENGTH]


def session_name(release: str) -> str:
    """The ``application_name`` that the database sessions of a release carry (16 bytes)."""
    return SESSION_PREFIX + release


def session_release(application_name: str) -> str | None:
    """The release id in an ``application_name``, or None. A name cut short proves nothing."""
    found = _SESSION.search(application_name)
    return found[1] if found else None


@dataclass(frozen=True, slots=True)
class Release:
    """A revision and what it ships. ``ships`` is None when nobody recorded it.

    ``how`` is ``recorded`` for a release that pilotage deployed, or ``seen`` for one that was found
    running and that nobody recorded: that one is taken to ship only the contract halves already
    applied when it was first seen, so it blocks every other.
    """

    id: str
    revision: str
    ships: Ships | None = None
    how: str = "recorded"
    deployed_at: float | None = None

    def to_json(self) -> dict[str, Any]:
        """An object; ``deployed_at`` is the Unix time of its first completed deploy, or null."""
        return {
            "id": self.id,
            "revision": self.revision,
            "ships": self.ships.to_json() if self.ships else None,
            "how": self.how,
            "deployed_at": self.deployed_at,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        ships = data.get("ships")
        return cls(
            id=data["id"],
            revision=data["revision"],
            ships=Ships.from_json(ships) if ships else None,
            how=data.get("how", "recorded"),
            deployed_at=data.get("deployed_at"),
        )


class Kind(StrEnum):
    """What an instance is for."""

    TRAFFIC = "traffic"  # takes requests from the proxy
    WORKER = "worker"  # consumes as soon as it runs
    ONCE = "once"  # one command of the release phase, in an instance of its own
    CONSOLE = "console"  # `exec`, started by a person; a deploy never stops it


class Life(StrEnum):
    """Where an instance is in its life, as its target sees it."""

    STARTING = "starting"  # recorded, perhaps not running yet
    RUNNING = "running"
    DEAD = "dead"  # recorded, no longer running


@dataclass(frozen=True, slots=True)
class Instance:
    """A process, container or pod of a role at a release, on a host.

    ``config`` is the digest of the configuration that it was started with: release id and ``config``
    together are its identity, so a rotated secret makes a new instance of the same release.
    ``address`` is ``host:port`` as the proxy reaches it, or None.
    """

    id: str
    service: str
    role: str
    host: str
    release: str
    config: str = ""
    kind: Kind = Kind.WORKER
    life: Life = Life.RUNNING
    index: int = 0
    address: str | None = None
    started_at: float | None = None
    detail: str = ""

    @property
    def alive(self) -> bool:
        """Whether it may be running."""
        return self.life is not Life.DEAD

    def to_json(self) -> dict[str, Any]:
        """An object."""
        return {
            "id": self.id,
            "service": self.service,
            "role": self.role,
            "host": self.host,
            "release": self.release,
            "config": self.config,
            "kind": str(self.kind),
            "life": str(self.life),
            "index": self.index,
            "address": self.address,
            "started_at": self.started_at,
            "detail": self.detail,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        known = dict(data)
        known["kind"] = Kind(known["kind"])
        known["life"] = Life(known["life"])
        return cls(**known)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the proxy of a host sends requests: an instance and its ``host:port``."""

    instance: str
    release: str
    address: str

    def to_json(self) -> dict[str, str]:
        """An object."""
        return {"instance": self.instance, "release": self.release, "address": self.address}


@dataclass(frozen=True, slots=True)
class Route:
    """What one host's proxy does: ``active`` endpoints get new requests, ``draining`` ones do not."""

    active: tuple[Endpoint, ...] = ()
    draining: tuple[Endpoint, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """An object."""
        return {
            "active": [endpoint.to_json() for endpoint in self.active],
            "draining": [endpoint.to_json() for endpoint in self.draining],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(
            active=tuple(Endpoint(**endpoint) for endpoint in data.get("active", ())),
            draining=tuple(Endpoint(**endpoint) for endpoint in data.get("draining", ())),
        )


@dataclass(frozen=True, slots=True)
class Role:
    """What a role of the service should look like, from the configuration.

    ``overlap`` false: the old instances of the role stop before the new ones start.
    """

    name: str
    hosts: tuple[str, ...]
    instances: int = 1
    traffic: bool = False
    overlap: bool = True


# ----------------------------------------------------------------------------------------------
# Observed: what is
# ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HalfRow:
    """One row of ``pilotage_migrations``. Times are Unix seconds.

    ``how``: ``applied``, ``marked`` (a person ran it) or ``adopted`` (a squash found it there).
    """

    ref: HalfRef
    name: str = ""
    checksum: str = ""
    release: str | None = None
    started_at: float | None = None
    finished_at: float | None = None
    statements_done: int = 0
    how: str = "applied"
    opened_at: float | None = None


@dataclass(frozen=True, slots=True)
class Intent:
    """A half that somebody is about to apply (or to ``revert``): the door is closed to what it breaks.

    ``token`` is the lease token of whoever wrote it, None for a manual verb.
    """

    ref: HalfRef
    token: int | None = None
    revert: bool = False


@dataclass(frozen=True, slots=True)
class Registration:
    """One row of ``pilotage_instances``: an instance announced itself *before* it read the intents."""

    instance: str
    service: str
    host: str
    release: str
    ships: Ships | None
    kind: Kind = Kind.WORKER
    registered_at: float | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A session of the application's database, by its ``application_name``."""

    pid: int
    application_name: str
    client: str = ""

    @property
    def release(self) -> str | None:
        """The release id that the name carries, if it does."""
        return session_release(self.application_name)


@dataclass(frozen=True, slots=True)
class SchemaView:
    """What the application's database says of itself.

    ``sessions`` is None where the database has no such evidence (SQLite, no permission).
    ``fresh``: the database was empty when pilotage first saw it, and no instance was ever
    registered: expand and contract halves then run together, in file order.
    """

    exists: bool = True
    fresh: bool = False
    rows: tuple[HalfRow, ...] = ()
    intents: tuple[Intent, ...] = ()
    registered: tuple[Registration, ...] = ()
    sessions: tuple[Session, ...] | None = None
    dialect: str = "none"

    @property
    def applied(self) -> Applied:
        """The rows as the rule counts them, without intents."""
        return Applied(
            expanded=frozenset(
                r.ref.version for r in self.rows if r.ref.half is Half.EXPAND and r.finished_at
            ),
            contracted=frozenset(r.ref.version for r in self.rows if r.ref.half is Half.CONTRACT),
            finished=frozenset(
                r.ref.version for r in self.rows if r.ref.half is Half.CONTRACT and r.finished_at
            ),
            opened=frozenset(r.ref.version for r in self.rows if r.opened_at),
        )

    @property
    def announced(self) -> Applied:
        """What a start must fit: what is applied *and* what somebody intends to do."""
        return announced(self.applied, self.intents)

    def row(self, ref: HalfRef) -> HalfRow | None:
        """The row of a half, or None."""
        return next((row for row in self.rows if row.ref == ref), None)


def announced(applied: Applied, intents: Iterable[Intent]) -> Applied:
    """``applied`` as a start must see it: contract intents count as started, reverts as done."""
    refs = tuple(intents)
    contracts = frozenset(
        i.ref.version for i in refs if not i.revert and i.ref.half is Half.CONTRACT
    )
    after = applied.minus(*(i.ref for i in refs if i.revert and i.ref.half is Half.EXPAND))
    return replace(after, contracted=after.contracted | contracts)


@dataclass(frozen=True, slots=True)
class Spec:
    """What is wanted: one row, written under the lease before anything happens. Unix times.

    ``from_`` is the release that served when this began (None on the first deploy).
    ``aborted_reason`` set: the wanted release is ``from_`` again, and ``to`` is taken up only with
    ``again``.
    """

    to: str
    from_: str | None = None
    direction: str = "deploy"  # deploy | rollback
    attempt: int = 1
    started_at: float = 0.0
    switched_at: float | None = None
    verified_at: float | None = None
    finished_at: float | None = None
    aborted_reason: str | None = None

    @property
    def wanted(self) -> str | None:
        """The release that this spec wants to be running."""
        return self.from_ if self.aborted_reason else self.to

    def to_json(self) -> dict[str, Any]:
        """An object with the design's names (``from``, ``to``, …)."""
        return {
            "from": self.from_,
            "to": self.to,
            "direction": self.direction,
            "attempt": self.attempt,
            "started_at": self.started_at,
            "switched_at": self.switched_at,
            "verified_at": self.verified_at,
            "finished_at": self.finished_at,
            "aborted_reason": self.aborted_reason,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        known = dict(data)
        known["from_"] = known.pop("from")
        return cls(**known)


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """Who holds the deploy lock: owner, reason, what it is doing, since when, until when."""

    owner: str
    reason: str = ""
    doing: str = ""
    since: float = 0.0
    expires: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """An object; times are Unix seconds."""
        return {
            "owner": self.owner,
            "reason": self.reason,
            "doing": self.doing,
            "since": self.since,
            "expires": self.expires,
        }


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One deploy, rollback or contract, as it ended. ``ended_at`` None: it never said how."""

    id: int
    verb: str
    who: str
    from_: str | None
    to: str
    started_at: float
    ended_at: float | None = None
    outcome: str = "running"  # running | done | failed | aborted | interrupted
    detail: str = ""
    skew_ms: float | None = None

    def to_json(self) -> dict[str, Any]:
        """An object."""
        return {
            "id": self.id,
            "verb": self.verb,
            "who": self.who,
            "from": self.from_,
            "to": self.to,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "outcome": self.outcome,
            "detail": self.detail,
            "skew_ms": self.skew_ms,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        known = dict(data)
        known["from_"] = known.pop("from")
        return cls(**known)


@dataclass(frozen=True, slots=True)
class DeployState:
    """Everything that the Store keeps for a service: one small document, swapped whole.

    ``token`` is the highest lease token ever given. ``hosts`` is the inventory: every host on which
    an instance was ever started, until a person forgets it.
    """

    token: int = 0
    lease: LeaseRow | None = None
    spec: Spec | None = None
    releases: tuple[Release, ...] = ()
    hosts: tuple[str, ...] = ()
    history: tuple[HistoryEntry, ...] = ()

    def release(self, id: str | None) -> Release | None:
        """The recorded release with this id."""
        return next((release for release in self.releases if release.id == id), None)

    def with_release(self, release: Release) -> DeployState:
        """The state with ``release`` recorded (in place of an older record of the same id)."""
        others = tuple(r for r in self.releases if r.id != release.id)
        return replace(self, releases=(*others, release))

    def to_json(self) -> dict[str, Any]:
        """An object: what the Store writes."""
        return {
            "token": self.token,
            "lease": self.lease.to_json() if self.lease else None,
            "spec": self.spec.to_json() if self.spec else None,
            "releases": [release.to_json() for release in self.releases],
            "hosts": list(self.hosts),
            "history": [entry.to_json() for entry in self.history],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; an empty object is the state before anything happened."""
        lease, spec = data.get("lease"), data.get("spec")
        return cls(
            token=data.get("token", 0),
            lease=LeaseRow(**lease) if lease else None,
            spec=Spec.from_json(spec) if spec else None,
            releases=tuple(Release.from_json(r) for r in data.get("releases", ())),
            hosts=tuple(data.get("hosts", ())),
            history=tuple(HistoryEntry.from_json(h) for h in data.get("history", ())),
        )


@dataclass(frozen=True, slots=True)
class Host:
    """A host as the target sees it now. An unreachable host is *unknown*, never assumed."""

    name: str
    reachable: bool = True
    detail: str = ""


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
        instance is recorded on its host *before* it registers.
        """
        seen = tuple(instance for instance in self.instances if instance.alive)
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

    def ships(self, release: str) -> Ships | None:
        """What a release ships, by its record, else by what one of its instances registered."""
        recorded = self.state.release(release)
        if recorded and recorded.ships:
            return recorded.ships
        return next((r.ships for r in self.schema.registered if r.release == release), None)
