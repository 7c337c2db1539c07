"""A registry on this machine, for a project that has none: hosts reach it through their SSH connections.

It is Docker's own registry in a container, on loopback only. A host pulls from its own
``localhost:PORT``, which leads here for as long as it pulls.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pilotage.errors import CommandFailed, TargetError
from pilotage.shell.base import Shell

CONTAINER = "kamal-docker-registry"
"""Kamal's name of it: a project has one, whoever made it."""

IMAGE = "registry:3"

_LOOKS, _PAUSE = 300, 0.1

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})


def local_port(server: str | None) -> int | None:
    """The port of a registry on this machine (``localhost:5555``); None for any other."""
    host, _, port = (server or "").rpartition(":")
    return int(port) if host in _LOOPBACK and port.isdecimal() else None


@dataclass(frozen=True, slots=True)
class LocalRegistry:
    """``shell``: this machine's."""

    shell: Shell
    port: int
    docker: str = "docker"

    def run(self) -> tuple[str, ...]:
        """The command that starts it."""
        return (
            *(self.docker, "run", "--detach", "--restart", "unless-stopped"),
            *("--publish", f"127.0.0.1:{self.port}:5000", "--name", CONTAINER, IMAGE),
        )

    async def ensure(self) -> bool:
        """Make sure that it answers; True when it was started now.

        A registry that somebody else runs on this port is used as it is.

        Raises
        ------
        TargetError
            It cannot be started; quotes Docker's words.
        """
        if await self.answers():
            return False
        start = (self.docker, "start", CONTAINER)
        if (await self.shell.run(start, check=False)).status:
            try:
                await self.shell.run(self.run())
            except CommandFailed as error:
                words = error.err.decode(errors="replace").strip()
                raise TargetError(
                    f"no registry could be started here: {words}",
                    where=self.shell.host,
                    state="nothing was built",
                    next=f"pull {IMAGE}, free port {self.port}, or name a registry under `registry:`",
                ) from error
        for _ in range(_LOOKS):
            if await self.answers():
                return True
            await asyncio.sleep(_PAUSE)
        raise TargetError(
            f"the registry that was started does not answer after {_LOOKS * _PAUSE:g} s",
            where=f"localhost:{self.port}",
            next=f"{self.docker} logs {CONTAINER}",
        )

    async def answers(self) -> bool:
        """Whether something speaks a registry's protocol on the port."""
        try:
            async with asyncio.timeout(5):
                reader, writer = await self.shell.open_tcp("127.0.0.1", self.port)
                writer.write(b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                head = await reader.read(4096)
                writer.close()
        except OSError:
            return False
        return b" 200 " in head.partition(b"\r\n")[0] and b"registry/2.0" in head

    async def remove(self) -> None:
        """Stop it and delete what it holds. Idempotent."""
        await self.shell.run((self.docker, "rm", "--force", "--volumes", CONTAINER))
