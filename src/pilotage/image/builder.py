"""Builds the image of a revision and pushes it: by buildx where it is, else by `docker build`.

Debian's Docker comes without the buildx plugin. Up to version 22 `docker build` has BuildKit built in, which does
the same work for one architecture; from 23 on there is only the older builder without the plugin. What
that cannot do is refused, with the plugin's name.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pilotage.errors import TargetError
from pilotage.events import CommandRan, Emit, Output
from pilotage.image import commands
from pilotage.image.local_registry import local_port
from pilotage.image.login import log_in
from pilotage.image.spec import BuildSpec, Login
from pilotage.secret import Secret, mask
from pilotage.shell.base import Shell, Stream
from pilotage.shell.lines import Lines
from pilotage.shell.script import with_environment

_QUOTED = 15
_WITHOUT_BUILDKIT = 23
"""The major version of Docker's client from which on BuildKit comes with the plugin alone."""


@dataclass(frozen=True, slots=True)
class ImageBuilder:
    """Builds on ``shell``'s host, which is this machine: the context is a folder of its."""

    shell: Shell
    spec: BuildSpec
    emit: Emit
    login: Login | None = None
    docker: str = "docker"

    async def build(
        self,
        revision: str,
        context: Path,
        *,
        push: bool = True,
        export: str | None = None,
        fresh: bool = False,
    ) -> None:
        """Build the image of a revision from a folder; ``push`` it, or keep it here. ``fresh``: without a cache.

        ``export``: what BuildKit makes of it in the place of both, as ``local,dest=FOLDER``.

        Raises
        ------
        TargetError
            Docker is missing, the build failed or the registry refused; quotes the last lines.
        """
        if self.spec.pack:
            if export:
                raise TargetError(
                    f"`pack` makes images, and no {export.partition(',')[0]!r}",
                    where=self.shell.host,
                    state="nothing was built",
                    next="`--output docker` keeps the image here",
                )
            await self._pack(revision, context, push=push, fresh=fresh)
            return
        push = push and not export
        self._require_dockerfile(context)
        spec = self.spec
        plugin = await self._has(commands.has_buildx(self.docker))
        buildkit = plugin or await self._has_buildkit()
        exports = f"`--output {export}`" if export else ""
        what = spec.needs_buildx or ("" if buildkit else spec.needs_buildkit or exports)
        if what and not plugin:
            raise TargetError(
                f"{what} needs Docker's buildx plugin, which is not installed here",
                where=self.shell.host,
                state="nothing was built",
                next="install docker-buildx (Debian trixie) or docker-buildx-plugin (Docker's own "
                "packages), or take the key out of `builder:`",
            )
        if push and self.login:
            await log_in(self.shell, self.login, docker=self.docker)
        if plugin:
            name = await self._own_builder()
            argv = commands.buildx(
                *(spec, revision, str(context)),
                builder=name,
                push=push,
                export=export,
                fresh=fresh,
                docker=self.docker,
            )
            await self._run(argv, "the build", secret=True)
            return
        argv = commands.build(
            spec, revision, str(context), export=export, fresh=fresh, docker=self.docker
        )
        await self._run(argv, "the build", secret=True, buildkit=buildkit)
        if push:
            await self._push(revision)

    async def _push(self, revision: str) -> None:
        for tag in self.spec.tags(revision):
            await self._run(commands.push(self.spec, tag, docker=self.docker), "the push")

    async def _pack(self, revision: str, context: Path, *, push: bool, fresh: bool) -> None:
        if not await self._has(commands.has_pack()):
            raise TargetError(
                "`builder.pack` needs the program `pack`, which is not installed here",
                where=self.shell.host,
                state="nothing was built",
                next="install it (https://buildpacks.io), or take the key out of `builder:`",
            )
        if push and self.login:
            await log_in(self.shell, self.login, docker=self.docker)
        argv = commands.pack(self.spec, revision, str(context), fresh=fresh)
        await self._run(argv, "the build", secret=True)
        if push:
            await self._push(revision)

    def _require_dockerfile(self, context: Path) -> None:
        path = context / self.spec.dockerfile
        if not path.is_file():
            raise TargetError(
                f"there is no {self.spec.dockerfile}",
                where=str(context),
                state="nothing was built",
                next="write one, or name it as `builder.dockerfile`; it must be committed unless "
                "`builder.context` is set",
            )

    # -- a builder of our own ------------------------------------------------------------------

    @property
    def builder_name(self) -> str | None:
        """What our own builder is called; None where Docker's default builder does.

        What a builder cannot have changed afterwards is in its name: where it is, and which loopback it reaches.
        """
        spec = self.spec
        if spec.pack or spec.driver == "docker":
            return None
        if spec.is_cloud:
            return re.sub(r"[ /]", "-", spec.driver or "")
        if not (spec.remote or spec.needs_buildx):
            return None
        kind = "hybrid" if spec.remote_platforms else "remote" if spec.remote else "local"
        where = re.sub(r"[^a-z0-9_-]", "-", spec.remote or "")
        registry = "local-registry" if self._local_registry else ""
        parts = ("pilotage", kind, spec.driver or "container", where, registry)
        return "-".join(filter(None, parts))

    @property
    def _local_registry(self) -> bool:
        return local_port(self.spec.image.registry) is not None

    async def _own_builder(self) -> str | None:
        name = self.builder_name
        if name and not await self._has(commands.find_builder(name, self.docker)):
            for argv in commands.create_builder(
                self.spec, name, host_network=self._local_registry, docker=self.docker
            ):
                await self._run(argv, "creating the builder")
        return name

    async def create(self) -> str | None:
        """Make the builder that `build` would make; its name, or None where none is needed."""
        return await self._own_builder()

    async def remove(self) -> bool:
        """Take our own builder away; False when there was none."""
        name = self.builder_name
        if name is None or not await self._has(commands.find_builder(name, self.docker)):
            return False
        await self._run(commands.remove_builder(name, self.docker), "removing the builder")
        return True

    async def details(self, output: Callable[[str], None]) -> None:
        """The builders and the versions of Docker, in Docker's words."""
        if await self._has(commands.has_buildx(self.docker)):
            output((await self.shell.run(commands.inspect_builders(self.docker))).text)
        output((await self.shell.run(commands.version(self.docker), check=False)).text)

    # -- running -------------------------------------------------------------------------------

    async def _has(self, argv: tuple[str, ...]) -> bool:
        return (await self.shell.run(argv, check=False)).status == 0

    async def _has_buildkit(self) -> bool:
        """Whether `docker build` has BuildKit without the plugin."""
        said = await self.shell.run(commands.client_version(self.docker), check=False)
        found = re.search(r"version (\d+)\.", said.text)
        return found is not None and int(found[1]) < _WITHOUT_BUILDKIT

    async def _run(
        self, argv: tuple[str, ...], what: str, *, secret: bool = False, buildkit: bool = True
    ) -> None:
        """Run one command, its output told line by line. ``secret``: with the build's secrets."""
        given = self.spec.secrets if secret else ()
        env: dict[str, str | Secret] = {"DOCKER_BUILDKIT": "1" if buildkit else "0"}
        env |= {it.name: it.value for it in given}
        hidden = [it.value for it in given]
        if self.login:
            hidden.append(self.login.password)
        lines = Lines(
            lambda line: self.emit(Output(source="build", line=mask(line, hidden))), keep=_QUOTED
        )

        def take(_: Stream, block: bytes) -> None:
            lines.feed(block)

        began = time.monotonic()
        status = await self.shell.stream(("sh",), take, input=with_environment(argv, env))
        lines.close()
        seconds = time.monotonic() - began
        self.emit(CommandRan(host=self.shell.host, argv=argv, seconds=seconds, status=status))
        if status:
            quoted = "\n    ".join(("", *(mask(line, hidden) for line in lines.kept)))
            raise TargetError(
                f"{what} failed with status {status}; the last lines:{quoted}",
                where=self.shell.host,
                state="nothing was started",
                next="mend it, then run the same command again",
            )
