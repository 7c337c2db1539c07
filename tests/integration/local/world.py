"""A project with a git repository, and commands of their own that act on it and can be stopped or killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.contract.target.kits import repository

from pilotage.events import Event
from pilotage.model import Instance, Kind, Life, release_id
from pilotage.source import GitSource
from pilotage.targets.base import Job
from pilotage.targets.local import (
    AliveHealth,
    LocalPrepare,
    LocalRole,
    LocalService,
    LocalTarget,
    default_host,
)
from pilotage.targets.local.records import Records

ROOT = Path(__file__).parents[3]


async def open_gate() -> None:
    """A gate that lets everything through."""


@dataclass(slots=True)
class Project:
    """One project: `target` sees it with the roles that a test wants."""

    root: Path
    revision: str
    host: str
    events: list[Event] = field(default_factory=list)

    @property
    def state_dir(self) -> Path:
        return self.root / ".pilotage"

    @property
    def records(self) -> Records:
        return Records(self.state_dir)

    @property
    def source(self) -> GitSource:
        return GitSource(self.root, state_dir=self.state_dir)

    def target(self, *, prepare: LocalPrepare | None = None, **roles: LocalRole) -> LocalTarget:
        service = LocalService("shop", self.state_dir, self.host, roles, prepare)
        return LocalTarget(service, self.source, self.events.append)

    def worker(self, cmd: str, **options: object) -> LocalTarget:
        """A target with one role, ``job``."""
        options = {"health": AliveHealth(delay=0.0), "stop_timeout": 10.0, **options}
        return self.target(job=LocalRole(cmd=cmd, **options))  # type: ignore[arg-type]

    def instance(self, id: str, *, role: str = "job", kind: Kind = Kind.WORKER) -> Instance:
        return Instance(
            id=id,
            service="shop",
            role=role,
            host=self.host,
            release=release_id(self.revision),
            kind=kind,
            life=Life.STARTING,
        )

    def job(self, id: str, script: str, **options: object) -> Job:
        options = {"kind": Kind.ONCE, "timeout": None, "interactive": False, **options}
        return Job(
            self.instance(id, kind=options.pop("kind")),  # type: ignore[arg-type]
            self.revision,
            ("/bin/sh", "-c", script),
            **options,  # type: ignore[arg-type]
        )

    async def start(self, target: LocalTarget, id: str, *, token: int = 1) -> Instance:
        return await target.start(self.instance(id), self.revision, token=token, gate=open_gate)

    async def observed(self, id: str) -> Instance | None:
        view = await self.target().observe()
        return next((instance for instance in view.instances if instance.id == id), None)

    def main(self, id: str) -> int:
        """The pid of the program of an instance."""
        status = self.records.status(id)
        assert status is not None
        return status.main.pid

    def shim(self, id: str) -> int:
        """The pid of its shim."""
        record = self.records.read(id)
        assert record is not None
        assert record.shim is not None
        return record.shim.pid

    def close(self) -> None:
        async def end() -> None:
            target = self.target()
            for instance in (await target.observe()).instances:
                await target.stop(instance, token=10**9)

        asyncio.run(end())


def make_project(root: Path, files: dict[str, str] | None = None) -> Project:
    """A repository with one commit, and its `.pilotage/`."""
    revision = repository(root, files or {"README": "a project\n"})
    return Project(root, revision, default_host(root / ".pilotage"))


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def until(true: Callable[[], object], *, limit: float = 60.0) -> None:
    """Wait for something to become true; it is an error when it does not."""
    async with asyncio.timeout(limit):
        while not true():
            await asyncio.sleep(0.005)


def wait_until(true: Callable[[], object], *, limit: float = 60.0) -> None:
    """`until`, outside of an event loop."""
    deadline = time.monotonic() + limit
    while not true():
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.005)


@contextlib.contextmanager
def command(script: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Another command: a Python process of its own, which ends with the test."""
    process = subprocess.Popen(
        (sys.executable, "-c", script, *map(str, arguments)),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        process.communicate()


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """No file can grow: what the kernel then says (EFBIG) comes where ENOSPC would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
