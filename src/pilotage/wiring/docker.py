"""``target: docker``: containers on hosts, reached over SSH, behind an edge on each host with traffic."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from functools import partial

from pilotage.audit import ShellLog
from pilotage.config import Config
from pilotage.errors import HostError
from pilotage.events import Emit, Note
from pilotage.image import prune_images
from pilotage.proxy.door import DoorSettings
from pilotage.proxy.envoy.scripts import IMAGE as ENVOY
from pilotage.secret import Secret
from pilotage.shell.base import Shell
from pilotage.shell.fenced import Command
from pilotage.shell.fleet import Fleet, require
from pilotage.source import GitSource
from pilotage.targets.docker import DockerTarget, commands
from pilotage.targets.docker.assets import list_volumes
from pilotage.targets.docker.spec import DockerService
from pilotage.wiring.build import Images, images_of
from pilotage.wiring.docker_service import docker_layout, docker_service
from pilotage.wiring.edges import open_doors, open_edges
from pilotage.wiring.hosts import ssh_settings
from pilotage.wiring.needed import needed
from pilotage.wiring.place import Answer, Place
from pilotage.wiring.use import Use


@contextlib.asynccontextmanager
async def open_docker(
    config: Config,
    source: GitSource,
    *,
    emit: Emit,
    use: Use,
    selected: Collection[str] | None = None,
) -> AsyncIterator[Place]:
    """The hosts of a service, as its place. ``selected``: to act on these alone; None: on all.

    Raises
    ------
    ConfigError
        It asks for what this target cannot do, or lacks a secret.
    HostUnreachable
        To act: some host that is needed cannot be reached; each is named, and nothing was begun anywhere.
    """
    service = docker_service(config, use)
    async with (
        Fleet(service.hosts, ssh_settings(config)) as fleet,
        contextlib.AsyncExitStack() as stack,
    ):
        failures = await fleet.failures()
        why = needed(config, service.hosts if selected is None else selected)
        silent: Mapping[str, HostError] = {}
        if use is Use.ACT:  # else what does not answer is shown as unknown
            silent = _unknown(failures, why, emit)
        shells = {name: shell for name, shell in fleet.shells.items() if name not in silent}
        images = images_of(config, source, emit)
        target = DockerTarget(
            service,
            shells,
            DeliveredImages(images, fleet),
            emit,
            frozenset(config.secrets.values()),
            silent,
            tuple(why),
        )
        stack.push_async_callback(target.close)
        edges = open_edges(config, service, shells, stack, emit=emit, use=use, at=why)
        yield Place(
            target=target,
            logs=target,
            proxy=edges,
            layout=docker_layout(config, use),
            host=service.hosts[0],
            wipe=lambda: _wipe(service, images, fleet),
            ask=_Question(config, source, target),
            build=images.push,
            fetch_ahead=target.fetch_ahead,
            tidy=partial(_tidy, target),
            seen=target.seen,
            shells=shells,
            edges=edges.edges,
            doors=open_doors(config, service, shells, emit),
            audit=ShellLog(tuple(shells.values()), service.state_dir),
            enter=target.enter,
            show=Shown(service, images, fleet),
        )


def _unknown(
    failures: Mapping[str, HostError], why: Mapping[str, str], emit: Emit
) -> Mapping[str, HostError]:
    """The hosts that do not answer and need not, each told of. Raises what is wrong with the others.

    ``why``: the hosts that are needed, see `needed`.
    """
    for host, error in failures.items():
        if why.get(host):
            error.what += f"; it was not selected, but {why[host]}"
    require({host: failures[host] for host in failures if host in why}, of=len(why))
    silent = {host: error for host, error in failures.items() if host not in why}
    for host, error in silent.items():
        text = f"{host} was not selected, and is left out as unknown: {error.what}"
        emit(Note(text=text, level="warning"))
    return silent


@dataclass(frozen=True, slots=True)
class DeliveredImages:
    """`pilotage.targets.docker.Images` by `pilotage.image.Delivery`."""

    images: Images
    fleet: Fleet

    def reference(self, revision: str) -> str:
        """The image of a revision."""
        return self.images.reference(revision)

    async def fetch(self, revision: str, shell: Shell, *, kept: bool = False) -> None:
        """Log in, look for room, pull; none of it where ``kept``, and the image is there."""
        delivery, image = self.images.delivery(self.fleet), self.reference(revision)
        if not (kept and await delivery.has(image, shell)):
            await delivery.fetch(image, shell)

    def prune(self, keep: Collection[str]) -> Command:
        """By the tags of the service's images."""
        return prune_images(self.images.name, keep)


@dataclass(frozen=True, slots=True)
class Shown:
    """`pilotage.wiring.place.Show`: what Docker says on each host that answers."""

    service: DockerService
    images: Images
    fleet: Fleet

    async def containers(self) -> Mapping[str, str]:
        """Its containers at this destination."""
        return await self._asked(commands.show_containers(self.service))

    async def images_there(self) -> Mapping[str, str]:
        """Its images, whoever uses them."""
        return await self._asked((self.service.docker, "image", "ls", str(self.images.name)))

    async def _asked(self, argv: tuple[str, ...]) -> Mapping[str, str]:
        failures = await self.fleet.failures()

        async def one(host: str, shell: Shell) -> str:
            if host in failures:
                return f"does not answer: {failures[host].what}"
            return (await shell.run(argv)).text

        asked = (one(host, shell) for host, shell in self.fleet.shells.items())
        return dict(zip(self.fleet.shells, await asyncio.gather(*asked), strict=True))


@dataclass(frozen=True, slots=True)
class _Question:
    """`pilotage.wiring.place.Ask` in a container on the primary host."""

    config: Config
    source: GitSource
    target: DockerTarget

    async def __call__(self, line: str, env: Mapping[str, str | Secret], *, limit: float) -> Answer:
        first = (await self.source.resolve(self.config.version)).sha
        role, host = self.config.primary, self.target.service.hosts[0]
        whole = {**self.config.env(role, host), **env}
        ran = await self.target.ask(role, line, whole, otherwise=first, limit=limit)
        where = f"a container on {host}"
        return Answer(ran.last.status, ran.last.out, ran.err, where)


async def _wipe(service: DockerService, images: Images, fleet: Fleet) -> tuple[str, ...]:
    """Delete what is left on the hosts: stopped containers, images, and the folder with the state.

    Images that somebody else's container has are kept by Docker.
    """
    destination = ("--filter", f"label=destination={service.destination or ''}")
    listed = shlex.join((*commands.list_all(service), *destination))
    removed = shlex.join((service.docker, "rm", "--force", "--volumes"))
    script = f'found=$({listed}) || exit; [ -z "$found" ] || {removed} $found >/dev/null\n'
    volumes = shlex.join(list_volumes(service))
    script += f'found=$({volumes}) || exit; [ -z "$found" ] || {service.docker} volume rm $found >/dev/null\n'
    listed = shlex.join(
        (service.docker, "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", str(images.name))
    )
    edges = shlex.join((ENVOY, DoorSettings().image))
    script += f"for image in $({listed}) {edges}; do\n"
    script += f'  {service.docker} image rm "$image" >/dev/null 2>&1 || :\ndone\n'
    script += f"rm -rf -- {shlex.quote(service.state_dir)}\n"
    await asyncio.gather(
        *(shell.run(("sh",), input=script.encode()) for shell in fleet.shells.values())
    )
    return (f"containers, images, logs and state are deleted on {len(fleet.shells)} host(s)",)


async def _tidy(
    target: DockerTarget,
    keep: Collection[str],
    token: int,
    *,
    retain: int,
    hosts: Collection[str] | None = None,
) -> tuple[str, ...]:
    """Remove stopped containers beyond those that are kept, then images of revisions that nobody needs."""
    containers, found = await target.prune(keep, token=token, retain=retain, hosts=hosts)
    told = []
    if containers:
        told.append(f"removed {containers} stopped container(s)")
    if found:
        told.append(f"removed {found} image(s) that nothing needs")
    return tuple(told)
