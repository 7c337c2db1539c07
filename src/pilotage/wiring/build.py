"""Building, pushing and delivering the image of a revision, as `pilotage build` and a deploy do it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pilotage.config import Config
from pilotage.errors import UsageError
from pilotage.events import Emit
from pilotage.image import Delivery, ImageBuilder, ImageName, LocalRegistry, local_port
from pilotage.shell.fleet import Fleet
from pilotage.shell.local import LocalShell
from pilotage.source import GitSource
from pilotage.wiring.hosts import ssh_settings
from pilotage.wiring.images import build_context, builder_of, image_of, login_of


@dataclass(frozen=True, slots=True)
class Images:
    """The images of one service. ``docker``: the program, here and on hosts."""

    config: Config
    source: GitSource
    emit: Emit
    docker: str = "docker"

    @property
    def builder(self) -> ImageBuilder:
        """What builds on this machine. Only who builds needs what it asks for: the registry's and the build's secrets.

        Paths that a person gives start where they are.
        """
        here = LocalShell(home=Path.cwd())
        return builder_of(self.config, here, self.emit, docker=self.docker)

    @property
    def registry(self) -> LocalRegistry | None:
        """The registry of this machine, where the project uses one."""
        server = self.config.registry.server if self.config.registry else None
        port = local_port(server)
        return None if port is None else LocalRegistry(LocalShell(), port, self.docker)

    @property
    def name(self) -> ImageName:
        """What the image is called, without a tag."""
        return image_of(self.config)

    def reference(self, revision: str) -> str:
        """The image of a revision, with its tag."""
        return self.name.at(revision)

    async def push(self, revision: str, *, fresh: bool = False) -> None:
        """Build the image of a revision, and push it. ``fresh``: without a cache.

        Raises
        ------
        TargetError
            It could not be built or pushed; nothing else was touched.
        """
        if self.registry:
            await self.registry.ensure()
        context = await build_context(self.config, self.source, revision)
        async with self._builder_reaches_registry():
            await self.builder.build(revision, context, fresh=fresh)

    async def build(self, revision: str, *, export: str | None = None, fresh: bool = False) -> None:
        """Build it, and keep it on this machine; or ``export`` it, as ``local,dest=FOLDER``."""
        context = await build_context(self.config, self.source, revision)
        await self.builder.build(revision, context, push=False, export=export, fresh=fresh)

    @contextlib.asynccontextmanager
    async def _builder_reaches_registry(self) -> AsyncIterator[None]:
        """Have the registry of this machine on the loopback of a remote builder, for as long as it builds."""
        remote = urlsplit(self.builder.spec.remote or "")
        if self.registry is None or remote.scheme != "ssh":
            yield
            return
        port = self.registry.port
        async with (
            Fleet((remote.netloc,), ssh_settings(self.config)) as fleet,
            fleet[remote.netloc].reverse(port, to=("127.0.0.1", port)),
        ):
            yield

    def delivery(self, fleet: Fleet) -> Delivery:
        """What pulls images on hosts."""
        server = self.config.registry.server if self.config.registry else None
        return Delivery(
            fleet.shells,
            self.emit,
            login=login_of(self.config),
            tunnel=local_port(server),
            docker=self.docker,
        )


def images_of(config: Config, source: GitSource, emit: Emit) -> Images:
    """The images of a service.

    Raises
    ------
    UsageError
        The service has no images.
    """
    if config.target == "local":
        raise UsageError(
            "`target: local` runs the checkout itself: there is no image",
            where=str(config.path),
            next="`target: docker` builds one",
        )
    return Images(config, source, emit)
