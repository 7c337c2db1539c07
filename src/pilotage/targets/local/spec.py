"""What the local target is told: the service's roles, how each is run, and how its health is asked.

Values of this package's own, so that it knows nothing of the configuration file; the wiring converts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pilotage.targets.shared.environment import Environment
from pilotage.targets.shared.health import AliveHealth, Health


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
