"""The Docker target on real Docker hosts, reached over SSH."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine
from pathlib import Path
from typing import Any

from tests.lab import images
from tests.lab.lab import Lab

from pilotage.errors import TargetError
from pilotage.events import Event
from pilotage.model import Instance, Kind, Life, release_id
from pilotage.shell.address import SshSettings
from pilotage.shell.base import Shell
from pilotage.shell.fenced import Command
from pilotage.shell.fleet import Fleet
from pilotage.targets.base import Job
from pilotage.targets.docker import (
    AliveHealth,
    DockerRole,
    DockerService,
    DockerTarget,
    HttpHealth,
)

APP = "target/app:1"


def settings(lab: Lab) -> SshSettings:
    """How the hosts of a lab are reached."""
    return SshSettings(files=(lab.ssh_config,))


def provide_app(lab: Lab, *, hosts: int = 1) -> None:
    """Have the application on the first hosts of a lab."""
    reference = lab.push(images.app("1"), APP)
    for host in lab.hosts[:hosts]:
        host.docker("pull", "--quiet", reference)
        host.docker("tag", reference, APP)


class OnHosts:
    """Images that are on the hosts: the application, under a tag for each revision that there is."""

    def __init__(self, *revisions: str) -> None:
        self.revisions = revisions

    def reference(self, revision: str) -> str:
        return f"shop:{revision}"

    async def fetch(self, revision: str, shell: Shell, *, kept: bool = False) -> None:
        if revision not in self.revisions:
            raise TargetError(f"there is no image of {revision}", where=shell.host)
        await shell.run(("docker", "tag", APP, self.reference(revision)))

    def prune(self, keep: Collection[str]) -> Command:
        return Command(("true",))


class DockerKit:
    """The Docker target on the first host of a lab."""

    def __init__(self, root: Path, lab: Lab) -> None:
        self.root = root
        root.mkdir(parents=True)
        self.lab = lab
        self.place = lab.hosts[0]
        self.host = self.place.address
        self.revision = "5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed"
        self.events: list[Event] = []
        provide_app(lab)
        self.fleet = Fleet((self.host,), settings(lab))
        self.target = self.another()

    def another(self) -> DockerTarget:
        health = HttpHealth(limit=30.0, interval=0.1)
        roles = {
            "web": DockerRole(traffic=True, health=health, stop_timeout=20),
            "sick": DockerRole(
                traffic=True, health=health, env={"FAIL": "unhealthy"}, stop_timeout=20
            ),
            "job": DockerRole(
                cmd=("sleep", "600"),
                health=AliveHealth(delay=0.05),
                volumes=(f"{self.root.parent}:{self.root.parent}",),
                stop_timeout=1,
            ),
        }
        service = DockerService("shop", (self.host,), roles)
        images = OnHosts(self.revision)
        return DockerTarget(service, self.fleet.shells, images, self.events.append)

    def run(self, story: Coroutine[Any, Any, None]) -> None:
        async def whole() -> None:
            try:
                await story
            finally:
                await self.fleet.close()

        asyncio.run(whole())

    def container(self, id: str) -> str:
        """The id of the container of an instance that runs; empty when none does."""
        label = f"label=pilotage.instance={id}"
        return self.place.docker("ps", "--quiet", "--filter", label).strip()

    def kill(self, instance: Instance) -> None:
        self.place.docker("kill", self.container(instance.id))

    def cannot_launch(self, instance: Instance) -> None:
        self.place.docker("rmi", f"shop:{self.revision}")

    def lives(self, id: str) -> bool:
        return self.container(id) != ""

    def job(self, id: str, *, lines: tuple[str, ...], status: int, until: Path | None) -> Job:
        script = "".join(f"echo {line}\n" for line in lines)
        script += f"echo run >> {self.root}/{id}.runs\n"
        if until is not None:
            script += f"while [ ! -e {until} ]; do sleep 0.02; done\n"
        instance = Instance(
            id, "shop", "job", self.host, release_id(self.revision), kind=Kind.ONCE,
            life=Life.STARTING,
        )  # fmt: skip
        return Job(instance, self.revision, ("/bin/sh", "-c", f"{script}exit {status}"))

    def runs(self, id: str) -> int:
        path = self.root / f"{id}.runs"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def close(self) -> None:
        pass  # the lab is cleaned for the next test
