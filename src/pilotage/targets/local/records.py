"""What is on record of each instance: one file, written whole, that holds no environment.

``instances/ID.json`` is written by the deployer under the fence; ``instances/ID.status`` by the
instance's shim, when it starts and when it has ended. A record without a shim was never launched,
because the shim starts nothing before it is on record.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from signal import Signals
from typing import Any, Self

from pilotage.errors import TargetError
from pilotage.host.fence import unwritable
from pilotage.host.files import dump_json, read_json, sync_directory, write_atomic
from pilotage.host.launch import Status, read_status, still_alive
from pilotage.host.process import ProcessId
from pilotage.model import Instance, Life

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


@dataclass(frozen=True, slots=True)
class Record:
    """One instance as its host knows it.

    ``claim`` is made by whoever is about to launch it, ``claimer`` is their process: nobody else may
    take the record back. ``shim`` is set from just before the launch.
    """

    instance: Instance
    revision: str
    claim: str
    claimer: ProcessId
    stop_timeout: float
    port: int | None = None
    cwd: str = ""
    shim: ProcessId | None = None

    def to_json(self) -> dict[str, Any]:
        """The content of the file."""
        return {
            "instance": self.instance.to_json(),
            "revision": self.revision,
            "claim": self.claim,
            "claimer": self.claimer.to_json(),
            "stop_timeout": self.stop_timeout,
            "port": self.port,
            "cwd": self.cwd,
            "shim": self.shim.to_json() if self.shim else None,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        known = dict(data)
        known["instance"] = Instance.from_json(known["instance"])
        known["claimer"] = ProcessId.from_json(known["claimer"])
        known["shim"] = ProcessId.from_json(known["shim"]) if known["shim"] else None
        return cls(**known)


@dataclass(frozen=True, slots=True)
class Records:
    """The records of one ``.pilotage/`` directory."""

    state_dir: Path

    @property
    def directory(self) -> Path:
        """Where the files are."""
        return self.state_dir / "instances"

    def path(self, id: str) -> Path:
        """The record file of an instance.

        Raises
        ------
        TargetError
            The id cannot be a file name.
        """
        if not _ID.fullmatch(id):
            raise TargetError(f"{id!r} cannot be the id of an instance", where="local target")
        return self.directory / f"{id}.json"

    def status_path(self, id: str) -> Path:
        """Where the shim of an instance writes."""
        return self.path(id).with_suffix(".status")

    def log_path(self, id: str) -> Path:
        """The output of an instance."""
        return self.state_dir / "logs" / f"{self.path(id).stem}.log"

    def read(self, id: str) -> Record | None:
        """The record of an instance, or None.

        Raises
        ------
        TargetError
            The file cannot be read, or is no record.
        """
        path = self.path(id)
        try:
            data = read_json(path)
            return Record.from_json(data) if data is not None else None
        except OSError as error:
            raise TargetError(f"cannot read: {error.strerror}", where=str(path)) from error
        except (ValueError, KeyError, TypeError) as error:
            raise TargetError(
                "this is not the record of an instance",
                where=str(path),
                state="nothing was changed",
                next="see what runs (`ps -ef | grep pilotage`), end it, then delete the file",
            ) from error

    def all(self) -> Iterator[Record]:
        """Every record.

        Raises
        ------
        TargetError
            One cannot be read: what it hides may be running.
        """
        for path in sorted(self.directory.glob("*.json")) if self.directory.is_dir() else ():
            if not path.name.startswith(".") and (record := self.read(path.stem)):
                yield record

    def write(self, record: Record) -> None:
        """Write a record, whole.

        Raises
        ------
        TargetError
            It cannot be written; the file is what it was.
        """
        path = self.path(record.instance.id)
        try:
            for directory in (self.directory, self.state_dir / "logs"):
                directory.mkdir(mode=0o700, exist_ok=True)
            write_atomic(path, dump_json(record.to_json()))
        except OSError as error:
            raise unwritable(path, error) from error

    def forget(self, id: str) -> None:
        """Remove the record of an instance that is gone; its log stays."""
        for path in (self.path(id), self.status_path(id)):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
        if self.directory.is_dir():
            sync_directory(self.directory)

    def status(self, id: str) -> Status | None:
        """What the shim wrote last."""
        try:
            return read_status(self.status_path(id))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def alive(self, record: Record) -> bool:
        """Whether anything of a launched instance still runs."""
        shim = record.shim
        return shim is not None and still_alive(shim, self.status(record.instance.id))

    def view(self, record: Record) -> Instance:
        """The instance as it is now."""
        status = self.status(record.instance.id)
        instance = replace(
            record.instance,
            started_at=status.started_at if status else record.instance.started_at,
        )
        if record.shim is None:
            if record.claimer.alive:
                return replace(instance, life=Life.STARTING, detail="about to be launched")
            return replace(
                instance, life=Life.DEAD, detail="never launched: its deployer ended before"
            )
        if self.alive(record):
            life = Life.RUNNING if status else Life.STARTING
            pid = status.main.pid if status else record.shim.pid
            return replace(instance, life=life, detail=f"process {pid}")
        return replace(instance, life=Life.DEAD, detail=describe_end(status))


def describe_end(status: Status | None) -> str:
    """How a program ended, in words."""
    if status is None:
        return "ended before it ran"
    if status.ended_at is None:
        return "ended, and nobody was there to see how (reboot, or its supervisor was killed)"
    at = datetime.fromtimestamp(status.ended_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    if status.timed_out:
        return f"stopped at {at}: it ran longer than its time limit"
    if status.signal is not None:
        try:
            name = Signals(status.signal).name
        except ValueError:
            name = f"signal {status.signal}"
        return f"killed by {name} at {at}"
    return f"exited {status.exit} at {at}"
