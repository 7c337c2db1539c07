"""A container as ``docker inspect`` describes it, and the instance that it is.

The container is the record of its instance: created before the gate, started after it. So one that was
only ever created is about to be started by whoever holds the token that is on it, or never will be.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from signal import Signals
from typing import Any

from pilotage.targets.docker import names
from pilotage.targets.docker.spec import NETWORK

FORMAT = (
    "["
    "{{json .ID}},{{json .Name}},{{json .Created}},{{json .RestartCount}},{{json .State}},"
    "{{json .Config.Labels}},{{json .Config.StopSignal}},{{json .Config.Tty}},"
    "{{json .HostConfig.NetworkMode}},{{json .NetworkSettings.Networks}}"
    "]"
)
"""For ``docker inspect --format``: no environment is in it, so no secret comes back from a host."""

_RUNNING = ("running", "paused", "restarting")


@dataclass(frozen=True, slots=True)
class Container:
    """One container. Times are Unix seconds of its host's clock; ``addresses``: IP by network."""

    id: str
    name: str
    status: str
    labels: Mapping[str, str] = field(default_factory=dict)
    created: float = 0.0
    started: float | None = None
    finished: float | None = None
    exit_code: int = 0
    out_of_memory: bool = False
    error: str = ""
    restarts: int = 0
    health: str = ""
    stop_signal: str = "SIGTERM"
    terminal: bool = False
    host_network: bool = False
    addresses: Mapping[str, str] = field(default_factory=dict)

    @property
    def short(self) -> str:
        """Its id as ``docker ps`` shows it."""
        return self.id[:12]

    @property
    def runs(self) -> bool:
        """Whether anything of it may be running."""
        return self.status in _RUNNING

    @property
    def was_started(self) -> bool:
        """Whether it ever ran."""
        return self.started is not None or self.status != "created"

    @property
    def ours(self) -> bool:
        """Whether pilotage created it as an instance."""
        return names.INSTANCE in self.labels

    @property
    def retired(self) -> bool:
        """Whether it was stopped and is kept for its logs alone."""
        return names.is_retired(self.name) and not self.runs

    @property
    def timed_out(self) -> bool:
        """Whether it is a job that ran until its time limit."""
        limit = self.labels.get(names.TIMEOUT)
        if limit is None or self.started is None or self.finished is None:
            return False
        return self.finished - self.started >= float(limit)

    def address(self, port: int) -> str | None:
        """``ip:port`` as its host reaches it; None while it does not run."""
        if not self.runs:
            return None
        if self.host_network:
            return f"127.0.0.1:{port}"
        known = [ip for _, ip in sorted(self.addresses.items()) if ip]
        ip = self.addresses.get(NETWORK) or (known[0] if known else "")
        return f"{ip}:{port}" if ip else None

    def describe(self) -> str:
        """How it is, in words."""
        if self.status == "restarting":
            return f"restarting ({self.restarts} times so far); {self.describe_end()}"
        if self.runs:
            again = f", restarted {self.restarts} times" if self.restarts else ""
            return f"container {self.short}{again}"
        if not self.was_started:
            return f"container {self.short}, created"
        return self.describe_end()

    def describe_end(self) -> str:
        """How it ended the last time, in words."""
        at = ""
        if self.finished is not None:
            at = datetime.fromtimestamp(self.finished, UTC).strftime(" at %Y-%m-%d %H:%M:%S UTC")
        if self.out_of_memory:
            return f"killed{at}: it took more memory than it may have"
        if self.timed_out:
            return f"stopped{at}: it ran longer than its time limit"
        if self.error:
            return f"it did not start: {self.error}"
        if 128 < self.exit_code < 128 + 65:
            number = self.exit_code - 128
            try:
                return f"ended{at} by {Signals(number).name} (exit status {self.exit_code})"
            except ValueError:
                pass
        return f"exited {self.exit_code}{at}"


def parse(text: str) -> tuple[Container, ...]:
    """What ``docker inspect --format FORMAT`` wrote, a container a line."""
    return tuple(_container(json.loads(line)) for line in text.splitlines() if line.strip())


def _container(values: list[Any]) -> Container:
    id_, name, created, restarts, state, labels, signal, terminal, mode, networks = values
    return Container(
        id=id_,
        name=name.removeprefix("/"),
        status=_status(state),
        labels=labels or {},
        created=_time(created) or 0.0,
        started=_time(state.get("StartedAt")),
        finished=_time(state.get("FinishedAt")),
        exit_code=int(state.get("ExitCode") or 0),
        out_of_memory=bool(state.get("OOMKilled")),
        error=str(state.get("Error") or ""),
        restarts=int(restarts or 0),
        health=str((state.get("Health") or state.get("Healthcheck") or {}).get("Status") or ""),
        stop_signal=str(signal or "SIGTERM"),
        terminal=bool(terminal),
        host_network=mode == "host",
        addresses={
            network: str(given.get("IPAddress") or given.get("GlobalIPv6Address") or "")
            for network, given in (networks or {}).items()
        },
    )


def _status(state: Mapping[str, Any]) -> str:
    status = str(state.get("Status") or "").lower()
    # podman's words
    return {
        "configured": "created",
        "initialized": "created",
        "stopping": "running",
        "stopped": "exited",
    }.get(status, status)


def _time(text: str | None) -> float | None:
    if not text or text.startswith("0001-"):
        return None
    return datetime.fromisoformat(text).timestamp()
