"""What the Store keeps of a service: the lease, what is wanted, releases, hosts, history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from pilotage.model.parts import Front, Release


@dataclass(frozen=True, slots=True)
class Spec:
    """What is wanted: one row, written under the lease before anything happens. Unix times.

    ``from_`` is the release that served when this began (None on the first deploy).
    ``aborted_reason`` set: the wanted release is ``from_`` again, and ``to`` is taken up only with
    ``again``. ``downtime``: everything is stopped before the schema changes.
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
    downtime: bool = False

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
            "downtime": self.downtime,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        known = dict(data)
        known["from_"] = known.pop("from")
        return cls(**known)


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """Who holds the deploy lock: owner, reason, what it is doing, since when, until when.

    ``hold``: a person holds it (`pilotage lock acquire`), until a person releases it.
    """

    owner: str
    reason: str = ""
    doing: str = ""
    since: float = 0.0
    expires: float = 0.0
    hold: bool = False

    def over(self, now: float) -> bool:
        """Whether somebody else may take the lock at this (Unix) time."""
        return not self.hold and self.expires <= now

    def to_json(self) -> dict[str, Any]:
        """An object; times are Unix seconds."""
        return {
            "owner": self.owner,
            "reason": self.reason,
            "doing": self.doing,
            "since": self.since,
            "expires": self.expires,
            "hold": self.hold,
        }


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One deploy, rollback or contract, as it ended. ``ended_at`` None: it never said how.

    ``verdict``: what the last watch of the new release came to, in words.
    """

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
    verdict: str = ""

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
            "verdict": self.verdict,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        known = dict(data)
        known["from_"] = known.pop("from")
        return cls(**known)


@dataclass(frozen=True, slots=True)
class Closure:
    """Who closed the edges, since when (Unix time), and what they do instead of passing requests on.

    ``by`` is ``person`` (a deploy leaves it alone) or ``deploy`` (one with downtime, which opens them
    again at its end). ``message``: what a person said, for whoever looks.
    """

    front: Front
    by: str  # person | deploy
    who: str = ""
    since: float = 0.0
    message: str = ""

    def describe(self) -> str:
        """What is on, and by whom: the beginning of a sentence."""
        if self.by == "deploy":
            return f"maintenance is on, by a deploy with downtime of {self.who}"
        if self.front.mode == "pause":
            return f"new requests are held, paused by {self.who}"
        return f"maintenance is on, by {self.who}"

    @property
    def ended_by(self) -> str:
        """The command that ends it."""
        return "pilotage resume" if self.front.mode == "pause" else "pilotage live"

    def to_json(self) -> dict[str, Any]:
        """An object."""
        return {
            "front": self.front.to_json(),
            "by": self.by,
            "who": self.who,
            "since": self.since,
            "message": self.message,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(**{**data, "front": Front.from_json(data["front"])})


@dataclass(frozen=True, slots=True)
class Stopped:
    """A role on a host that a person stopped. ``since``: Unix time."""

    host: str
    role: str
    who: str
    since: float

    @property
    def place(self) -> tuple[str, str]:
        """The host and the role."""
        return self.host, self.role

    def to_json(self) -> dict[str, Any]:
        """An object."""
        return {"host": self.host, "role": self.role, "who": self.who, "since": self.since}


@dataclass(frozen=True, slots=True)
class DeployState:
    """Everything that the Store keeps for a service: one small document, swapped whole.

    ``token`` is the highest lease token ever given. ``hosts`` is the inventory: every host on which
    an instance was ever started, until a person forgets it. ``closure``: what the edges of all hosts do
    instead of passing requests on, also on a host that is new. ``stopped``: what a person stopped, until
    something is started there to the end of a command.
    """

    token: int = 0
    lease: LeaseRow | None = None
    spec: Spec | None = None
    releases: tuple[Release, ...] = ()
    hosts: tuple[str, ...] = ()
    history: tuple[HistoryEntry, ...] = ()
    closure: Closure | None = None
    stopped: tuple[Stopped, ...] = ()

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
            "closure": self.closure.to_json() if self.closure else None,
            "stopped": [row.to_json() for row in self.stopped],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; an empty object is the state before anything happened."""
        lease, spec, closure = data.get("lease"), data.get("spec"), data.get("closure")
        return cls(
            token=data.get("token", 0),
            lease=LeaseRow(**lease) if lease else None,
            spec=Spec.from_json(spec) if spec else None,
            releases=tuple(Release.from_json(r) for r in data.get("releases", ())),
            hosts=tuple(data.get("hosts", ())),
            history=tuple(HistoryEntry.from_json(h) for h in data.get("history", ())),
            closure=Closure.from_json(closure) if closure else None,
            stopped=tuple(Stopped(**row) for row in data.get("stopped", ())),
        )
