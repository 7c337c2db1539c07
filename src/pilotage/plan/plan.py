"""A plan, as data: what ``pilotage plan`` prints and ``pilotage.deploy`` executes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from pilotage.errors import Refused
from pilotage.migrate.migration import Migrations
from pilotage.model import HalfRef, Instance, Release, Spec
from pilotage.steps import Step


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in order, what was decided on the way, and what stands in the way.

    ``spec`` is the row that is written before the first step. ``refusals``: the plan may not run.
    ``held``: contract halves that stay pending. ``point_of_no_return``: the index of the first step
    after which the release before cannot be rolled back to, or None. ``downtime``: the edges are closed
    while it runs, and stay closed when it fails. ``left``: what is not as wanted in places that it does not
    concern. ``stopped``: places (host, role) where a person wants nothing to run, now or since before.
    """

    verb: str
    release: Release
    spec: Spec
    steps: tuple[Step, ...] = ()
    notes: tuple[str, ...] = ()
    refusals: tuple[Refused, ...] = ()
    held: tuple[HalfRef, ...] = ()
    evidence: tuple[str, ...] = ()
    point_of_no_return: int | None = None
    downtime: bool = False
    migrations: Migrations = field(default_factory=Migrations)
    left: tuple[Instance, ...] = ()
    stopped: tuple[tuple[str, str], ...] = ()

    @property
    def fingerprint(self) -> str:
        """12 hexadecimal digits of everything that the plan would do."""
        data = [self.verb, self.release.id, self.spec.from_, [s.to_json() for s in self.steps]]
        text = json.dumps(data, sort_keys=True)
        files = [m.checksum(ref.half) for m in self.migrations for ref in m.halves()]
        return hashlib.sha256("\n".join([text, *files]).encode()).hexdigest()[:12]

    def to_json(self) -> dict[str, Any]:
        """What ``pilotage plan --json`` prints."""
        return {
            "verb": self.verb,
            "release": self.release.to_json(),
            "from": self.spec.from_,
            "to": self.spec.to,
            "attempt": self.spec.attempt,
            "steps": [step.to_json() for step in self.steps],
            "notes": list(self.notes),
            "refusals": [refusal.to_json() for refusal in self.refusals],
            "held": [str(ref) for ref in self.held],
            "evidence": list(self.evidence),
            "point_of_no_return": self.point_of_no_return,
            "downtime": self.downtime,
            "left": [instance.id for instance in self.left],
            "fingerprint": self.fingerprint,
        }
