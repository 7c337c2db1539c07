"""What runs, and who gets the requests: releases, instances, endpoints, routes, roles, hosts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, Self

from pilotage.model.rule import Ships

_HEX = re.compile(r"[0-9a-f]{12,}")
RELEASE_ID_LENGTH = 12
SESSION_PREFIX = "plt-"
WITNESSES = ("readiness", "entrypoint")
"""Sessions that pilotage itself opens in an instance: they show that its process is there, and nothing
of whether the application's own driver names its sessions."""
_SESSION = re.compile(rf"{SESSION_PREFIX}([0-9a-f]{{{RELEASE_ID_LENGTH}}})(?![0-9a-f])")


def release_id(revision: str) -> str:
    """The short id of a revision: 12 hexadecimal digits, the same wherever it is computed."""
    if _HEX.fullmatch(revision):
        return revision[:RELEASE_ID_LENGTH]
    return hashlib.sha256(revision.encode()).hexdigest()[:RELEASE_ID_LENGTH]


def session_name(release: str, witness: str = "") -> str:
    """The ``application_name`` that the database sessions of a release carry (16 bytes).

    ``witness``: what of pilotage's opened the session in the release's process (`WITNESSES`).
    """
    return f"{SESSION_PREFIX}{release}:{witness}" if witness else SESSION_PREFIX + release


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
    TOOL = "tool"  # pilotage itself, in an instance of its own; no release's code runs in it


class Life(StrEnum):
    """Where an instance is in its life, as its target sees it."""

    STARTING = "starting"  # recorded, perhaps not running yet
    RUNNING = "running"
    DEAD = "dead"  # recorded, no longer running


@dataclass(frozen=True, slots=True)
class Instance:
    """A process, container or pod of a role at a release, on a host.

    ``config`` is the digest of the configuration that it was started with: release id and ``config``
    together are its identity, so a rotated secret makes a new instance of the same release. Of one of kind
    `TOOL` it is the checksum of the half. ``address`` is ``host:port`` as the proxy reaches it, or None.
    ``by``: who began it, where that is recorded.
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
    by: str = ""

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
            "by": self.by,
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
class Front:
    """What the edge does with new requests instead of passing them on.

    ``maintenance`` answers each with ``status`` and ``body``; ``pause`` holds each until the edge
    opens again, for at most ``limit`` seconds. ``retry_after``: seconds, for the header of that name.
    """

    mode: str  # maintenance | pause
    body: str = ""
    content_type: str = "text/html; charset=utf-8"
    status: int = 503
    retry_after: int | None = None
    limit: float = 30.0

    def to_json(self) -> dict[str, Any]:
        """An object."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(**data)


@dataclass(frozen=True, slots=True)
class Route:
    """What one host's proxy does.

    ``active`` endpoints get new requests, ``draining`` ones do not. ``trial`` endpoints, of a release
    that is on trial, get the ``share`` (0…1) of the new requests; ``active`` ones get the rest.
    ``front`` set: no new request reaches any of them, whatever the rest says.
    """

    active: tuple[Endpoint, ...] = ()
    draining: tuple[Endpoint, ...] = ()
    trial: tuple[Endpoint, ...] = ()
    share: float = 0.0
    front: Front | None = None

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """All of them."""
        return (*self.active, *self.trial, *self.draining)

    def to_json(self) -> dict[str, Any]:
        """An object."""
        return {
            "active": [endpoint.to_json() for endpoint in self.active],
            "draining": [endpoint.to_json() for endpoint in self.draining],
            "trial": [endpoint.to_json() for endpoint in self.trial],
            "share": self.share,
            "front": self.front.to_json() if self.front else None,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        front = data.get("front")
        return cls(
            active=tuple(Endpoint(**endpoint) for endpoint in data.get("active", ())),
            draining=tuple(Endpoint(**endpoint) for endpoint in data.get("draining", ())),
            trial=tuple(Endpoint(**endpoint) for endpoint in data.get("trial", ())),
            share=data.get("share", 0.0),
            front=Front.from_json(front) if front else None,
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


@dataclass(frozen=True, slots=True)
class Host:
    """A host as the target sees it now. An unreachable host is *unknown*, never assumed."""

    name: str
    reachable: bool = True
    detail: str = ""
