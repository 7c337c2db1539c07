"""What the contract suite needs of a target beyond its protocol: how to bring things about.

A kit makes apps that are healthy or sick, kills them behind the target's back, and writes jobs. A new
target joins the suite with a kit of its own, in `KITS`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pilotage.events import Event
from pilotage.model import Instance, Kind, Life, release_id
from pilotage.source import GitSource
from pilotage.targets.base import Job, OnOutput, Target
from pilotage.targets.local import (
    AliveHealth,
    HttpHealth,
    LocalRole,
    LocalService,
    LocalTarget,
    default_host,
)
from pilotage.targets.local.records import Records
from pilotage.targets.memory import MemoryTarget

APP = '''\
"""A web app of the tests: `serve.py STATUS`."""
import asyncio, os, sys

async def answer(reader, writer):
    await reader.readuntil(b"\\r\\n\\r\\n")
    writer.write(b"HTTP/1.1 %s x\\r\\ncontent-length: 0\\r\\n\\r\\n" % sys.argv[1].encode())
    await writer.drain()
    writer.close()

async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", int(os.environ["PORT"]))
    print("listening", flush=True)
    await server.serve_forever()

asyncio.run(main())
'''


def git(root: Path, *arguments: str) -> str:
    """Run git as somebody."""
    who = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.org")
    done = subprocess.run(
        ("git", *who, *arguments), cwd=root, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def repository(root: Path, files: dict[str, str]) -> str:
    """Make a repository with one commit; its revision."""
    root.mkdir(parents=True, exist_ok=True)
    git(root, "init", "--quiet", "--initial-branch=main")
    return commit(root, files)


def commit(root: Path, files: dict[str, str]) -> str:
    """Commit these files; the new revision."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    git(root, "add", "--all", "--", *files)
    git(root, "commit", "--quiet", "--allow-empty", "--message", "change")
    return git(root, "rev-parse", "HEAD")


@dataclass(slots=True)
class Said:
    """The lines that a job printed."""

    lines: list[str] = field(default_factory=list)

    def __call__(self, line: str) -> None:
        self.lines.append(line)


class Kit(Protocol):
    """One target to be held to the protocol. Everything happens on its first host."""

    target: Target
    host: str
    revision: str

    def another(self) -> Target:
        """The same place, seen by another command."""
        ...

    def run(self, story: Coroutine[Any, Any, None]) -> None:
        """Run a story, and close what was opened for it."""
        ...

    def kill(self, instance: Instance) -> None:
        """End an instance behind the target's back."""
        ...

    def cannot_launch(self, instance: Instance) -> None:
        """From now on the instance cannot be launched."""
        ...

    def lives(self, id: str) -> bool:
        """Whether something runs for this instance, asked of the world and not of the target."""
        ...

    def job(self, id: str, *, lines: tuple[str, ...], status: int, until: Path | None) -> Job:
        """A job that prints its lines, waits until a file is there, and exits."""
        ...

    def runs(self, id: str) -> int:
        """How often the job ran."""
        ...

    def close(self) -> None:
        """End everything."""
        ...


def instance_of(kit: Kit, id: str, *, role: str = "web", kind: Kind = Kind.TRAFFIC) -> Instance:
    """An instance that does not exist yet. Roles: ``web``, ``sick`` (never healthy), ``job``."""
    return Instance(
        id=id,
        service="shop",
        role=role,
        host=kit.host,
        release=release_id(kit.revision),
        kind=kind,
        life=Life.STARTING,
    )


class LocalKit:
    """The local target over a git repository with a tiny web app."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state_dir = root / ".pilotage"
        self.revision = repository(root, {"serve.py": APP})
        self.host = default_host(self.state_dir)
        self.events: list[Event] = []
        self.target = self.another()

    def another(self) -> LocalTarget:
        health = HttpHealth(limit=20.0, interval=0.02)
        roles = {
            "web": LocalRole(cmd=f"{sys.executable} serve.py 200", traffic=True, health=health),
            "sick": LocalRole(cmd=f"{sys.executable} serve.py 500", traffic=True, health=health),
            "job": LocalRole(cmd="sleep 600", health=AliveHealth(delay=0.05)),
        }
        return LocalTarget(
            LocalService("shop", self.state_dir, self.host, roles),
            GitSource(self.root, state_dir=self.state_dir),
            self.events.append,
        )

    def run(self, story: Coroutine[Any, Any, None]) -> None:
        asyncio.run(story)

    def kill(self, instance: Instance) -> None:
        status = Records(self.state_dir).status(instance.id)
        assert status is not None
        os.kill(status.main.pid, signal.SIGKILL)

    def cannot_launch(self, instance: Instance) -> None:
        log = Records(self.state_dir).log_path(instance.id)
        log.mkdir(parents=True)  # a directory where the log would be: it cannot be opened

    def lives(self, id: str) -> bool:
        status = Records(self.state_dir).status(id)
        return status is not None and status.main.alive

    def job(self, id: str, *, lines: tuple[str, ...], status: int, until: Path | None) -> Job:
        script = "".join(f"echo {line}\n" for line in lines)
        script += f"echo run >> {self.root}/{id}.runs\n"
        if until is not None:
            script += f"while [ ! -e {until} ]; do sleep 0.02; done\n"
        return Job(
            instance_of(self, id, role="job", kind=Kind.ONCE),
            self.revision,
            ("/bin/sh", "-c", f"{script}exit {status}"),
        )

    def runs(self, id: str) -> int:
        path = self.root / f"{id}.runs"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def close(self) -> None:
        async def end() -> None:
            for instance in (await self.target.observe()).instances:
                await self.target.stop(instance, token=10**9)

        asyncio.run(end())


class MemoryKit:
    """The target in memory, with jobs that do what a shell would."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.revision = "5eed5eed5eed5eed"
        self.host = "here"
        self._jobs: dict[str, tuple[tuple[str, ...], int, Path | None]] = {}
        self._runs: dict[str, int] = {}
        self.target = MemoryTarget((self.host,), run=self._run)
        self.target.unfit.update({"sick-1"})
        self.target.fetched.add(self.revision)

    async def _run(self, job: Job, output: OnOutput) -> int:
        lines, status, until = self._jobs[job.instance.id]
        self._runs[job.instance.id] = self.runs(job.instance.id) + 1
        for line in lines:
            output(line)
        while until is not None and not until.exists():
            await asyncio.sleep(0.001)
        return status

    def another(self) -> MemoryTarget:
        return self.target

    def run(self, story: Coroutine[Any, Any, None]) -> None:
        asyncio.run(story)

    def kill(self, instance: Instance) -> None:
        self.target.kill(instance.id)

    def cannot_launch(self, instance: Instance) -> None:
        self.target.unstartable.add(instance.id)

    def lives(self, id: str) -> bool:
        found = self.target.find(id)
        return found is not None and found.life is Life.RUNNING

    def job(self, id: str, *, lines: tuple[str, ...], status: int, until: Path | None) -> Job:
        self._jobs[id] = (lines, status, until)
        return Job(instance_of(self, id, role="job", kind=Kind.ONCE), self.revision, ("true",))

    def runs(self, id: str) -> int:
        return self._runs.get(id, 0)

    def close(self) -> None:
        pass


KITS: dict[str, Callable[[Path], Kit]] = {"local": LocalKit, "memory": MemoryKit}
