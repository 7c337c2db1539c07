"""The proof that a contract half needs: nothing that was written before it is left, anywhere.

Pure. `pilotage.plan` shows it, and `pilotage.deploy` asks it again *after* the intents are written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pilotage.model import HalfRef, Observed, Ships


@dataclass(frozen=True, slots=True)
class Proof:
    """What stands in the way (``blockers``; none: proven), and what the proof rests on (``evidence``)."""

    blockers: tuple[str, ...]
    evidence: tuple[str, ...]

    def __bool__(self) -> bool:
        return not self.blockers

    def to_json(self) -> dict[str, Any]:
        """An object of two lists."""
        return {"blockers": list(self.blockers), "evidence": list(self.evidence)}


def prove(
    observed: Observed, refs: tuple[HalfRef, ...], *, consumers: tuple[str, ...] = ()
) -> Proof:
    """Whether everything that may be running was written for a schema without what ``refs`` remove."""
    return Proof(
        blockers=(
            *_hosts(observed),
            *_instances(observed, refs),
            *_sessions(observed, refs),
            *_consumers(observed, consumers),
        ),
        evidence=evidence(observed),
    )


def _lacking(ships: Ships | None, refs: tuple[HalfRef, ...]) -> list[str]:
    """The versions among ``refs`` that a release does not ship the contract half of."""
    return [r.version for r in refs if ships is None or not ships.ships_contract(r.version)]


def _hosts(observed: Observed) -> list[str]:
    return [
        f"host {host} does not answer, or is no longer configured; instances of an older release "
        f"may run there (`pilotage status --forget-host {host}` when it is gone for good)"
        for host in observed.unreachable
    ]


def _instances(observed: Observed, refs: tuple[HalfRef, ...]) -> list[str]:
    blockers = []
    alive = observed.alive
    releases = {instance.release for instance in alive}
    found = {release: _lacking(observed.ships(release), refs) for release in releases}
    for instance in alive:
        lacking = found[instance.release]
        if lacking:
            blockers.append(
                f"{instance.kind} {instance.id} of release {instance.release} runs on "
                f"{instance.host} and does not know {', '.join(lacking)}"
            )
    return blockers


def _sessions(observed: Observed, refs: tuple[HalfRef, ...]) -> list[str]:
    blockers = []
    for session in observed.schema.sessions or ():
        if session.release and _lacking(observed.ships(session.release), refs):
            client = f" from {session.client}" if session.client else ""
            blockers.append(
                f"database session {session.pid}{client} is of release {session.release} "
                f"(application_name {session.application_name!r})"
            )
    return blockers


def _consumers(observed: Observed, consumers: tuple[str, ...]) -> list[str]:
    registered = {registration.service for registration in observed.schema.registered}
    return [
        f"consumer {name} has no instance registered here, so nobody knows which release it runs"
        for name in consumers
        if name not in registered
    ]


def evidence(observed: Observed) -> tuple[str, ...]:
    """What the proof can rest on here, and which evidence is missing.

    Database sessions count only with a positive control: the running releases' own sessions must
    have been seen by name. Else a pooler or a driver may hide the old ones just as well. Our own
    sessions in an instance are no such control: they are not made by the application's driver.
    """
    hosts = [host.name for host in observed.hosts if host.reachable]
    lines = [f"instances: listed on {', '.join(hosts) or 'no host'}, and registered in the schema"]
    if observed.schema.sessions is None:
        lines.append(
            f"sessions: instances only; {observed.schema.dialect} does not show sessions by name"
        )
        return tuple(lines)
    running = {i.release for i in observed.alive if i.kind in ("traffic", "worker")}
    seen = {session.release for session in observed.schema.sessions if not session.witness}
    unseen = running - seen
    if not running:
        lines.append("sessions: instances only; nothing runs whose sessions could be recognised")
    elif unseen:
        lines.append(
            f"sessions: instances only; no session of {', '.join(sorted(unseen))} was seen by name "
            "(a pooler, or a driver that ignores application_name)"
        )
    else:
        lines.append("sessions: every running release was seen by name, so an older one would be")
    return tuple(lines)
