"""What the local target is told: the service's roles, how each is run, and how its health is asked.

Values of this package's own, so that it knows nothing of the configuration file; the wiring converts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pilotage.secret import Secret

Environment = Mapping[str, str | Secret]


@dataclass(frozen=True, slots=True)
class HttpHealth:
    """Healthy once ``GET path`` answers with ``status``; None means any 2xx.

    ``host``: the Host header, by default the address. ``interval``, ``timeout`` (of one request) and
    ``limit`` (of the whole wait) are seconds.
    """

    path: str = "/up"
    host: str | None = None
    status: int | None = None
    interval: float = 0.1
    timeout: float = 5.0
    limit: float = 30.0


@dataclass(frozen=True, slots=True)
class AliveHealth:
    """Healthy once the process has been alive for ``delay`` seconds."""

    delay: float = 1.0


@dataclass(frozen=True, slots=True)
class CommandHealth:
    """Healthy once the command, run as the instance is (its folder, its environment), exits with 0."""

    cmd: str
    interval: float = 1.0
    timeout: float = 10.0
    limit: float = 30.0


Health = HttpHealth | AliveHealth | CommandHealth


@dataclass(frozen=True, slots=True)
class LocalRole:
    """How the instances of one role are run. ``cmd`` is a line for ``sh``; ``stop_timeout``: seconds."""

    cmd: str
    env: Environment = field(default_factory=dict)
    traffic: bool = False
    stop_timeout: float = 30.0
    health: Health = field(default_factory=AliveHealth)


@dataclass(frozen=True, slots=True)
class LocalPrepare:
    """What makes a fresh checkout ready to run (install dependencies, build assets), run once in it."""

    cmd: str
    env: Environment = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LocalService:
    """One service on this machine. ``host`` is the name of this machine in the host inventory."""

    service: str
    state_dir: Path
    host: str
    roles: Mapping[str, LocalRole]
    prepare: LocalPrepare | None = None
