"""Boots, stops and removes accessories on their hosts, all hosts of one at once.

A deploy never touches one: an accessory is booted by `pilotage setup` or by hand, and what is there
already is left as it is.
"""

from __future__ import annotations

import asyncio
import posixpath
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pilotage.accessory import commands
from pilotage.accessory.spec import AccessorySpec
from pilotage.errors import CommandFailed, TargetError
from pilotage.events import Emit, Note
from pilotage.image import log_in
from pilotage.proxy.door import Door
from pilotage.secret import mask
from pilotage.shell.base import Result, Shell, Stream
from pilotage.shell.everywhere import everywhere
from pilotage.shell.lines import Lines
from pilotage.shell.network import ensure_network
from pilotage.shell.script import with_environment
from pilotage.shell.told import run_told
from pilotage.targets.docker.environment import Given, given

T = TypeVar("T")

_NOTHING = Given((), {}, ())

OnOutput = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Accessories:
    """``shells``: by host. ``docker``: the program that runs containers."""

    shells: Mapping[str, Shell]
    emit: Emit
    docker: str = "docker"

    # -- verbs ---------------------------------------------------------------------------------

    async def boot(self, spec: AccessorySpec) -> None:
        """Run it on all of its hosts, behind their doors where it answers requests from outside. Idempotent.

        Raises
        ------
        TargetError
            It could not be run on some hosts, and names them all; what was begun on others is finished.
        ProxyError
            It runs, and a door does not take what it wants.
        """
        await self._everywhere(spec, self._boot, "booted")

    async def reboot(self, spec: AccessorySpec) -> None:
        """Pull its image, stop it, remove its container, and run it anew: its data is in its volumes."""

        async def one(spec: AccessorySpec, host: str) -> None:
            # What can be refused comes before what is stopped.
            await self._fetch(spec, host, again=True)
            await self._take_down(spec, host)
            await self._boot(spec, host)

        await self._everywhere(spec, one, "booted anew")

    async def start(self, spec: AccessorySpec) -> None:
        """Start the container that is there."""
        argv = commands.start(spec.service, docker=self.docker)
        await self._everywhere(spec, lambda _, host: self._do(host, argv), "started")

    async def stop(self, spec: AccessorySpec) -> None:
        """Stop the container that is there."""
        argv = commands.stop(spec.service, docker=self.docker)
        await self._everywhere(spec, lambda _, host: self._do(host, argv), "stopped")

    async def restart(self, spec: AccessorySpec) -> None:
        """Stop and start it."""
        await self.stop(spec)
        await self.start(spec)

    async def remove(self, spec: AccessorySpec) -> None:
        """Remove its container, its image, and its folder **with all the data in it**. Idempotent."""

        async def one(spec: AccessorySpec, host: str) -> None:
            if spec.front:
                door = Door(self.shells[host], spec.front.doors[host], self.emit)
                await door.drop(spec.front.fragment.service, None)
            await self._take_down(spec, host)
            image = commands.remove_image(spec.image, docker=self.docker)
            await self._do(host, image, check=False)
            await self._do(host, ("rm", "-rf", posixpath.join(await self._home(host), spec.folder)))

        await self._everywhere(spec, one, "removed")

    async def details(self, spec: AccessorySpec) -> Mapping[str, str]:
        """What `docker ps` says of it, by host."""
        argv = commands.details(spec.service, docker=self.docker)
        told = await self._everywhere(spec, lambda _, host: self._do(host, argv), "looked at")
        return {host: result.text for host, result in told.items()}

    async def execute(
        self,
        spec: AccessorySpec,
        argv: Sequence[str],
        *,
        interactive: bool = False,
        reuse: bool = False,
        output: Callable[[bool, bytes], None],
    ) -> int:
        """Run a command in the container that runs (``reuse``), or in a new one of its image.

        ``interactive``: on the caller's terminal, on the first host. Else on every host, one after the other,
        and ``output`` is given what it writes, byte for byte; true for its standard error. Returns the
        highest exit status.
        """
        worst = 0
        for host in spec.hosts[:1] if interactive else spec.hosts:
            shell, ways = self.shells[host], _NOTHING
            if reuse:
                line = commands.execute(
                    spec.service, argv, terminal=interactive, docker=self.docker
                )
            else:
                ways, booted = _environment(spec, host), await self._state(spec, host)
                line = commands.run_once(
                    *(spec, argv),
                    environment=ways.words,
                    home=await (self._home(host) if booted else self._prepare(spec, host)),
                    terminal=interactive,
                    docker=self.docker,
                )
            if interactive:
                worst = await self._attached(shell, line, ways)
                continue
            script = with_environment(line, ways.exported, ways.lines)
            status = await shell.stream(
                ("sh",), lambda stream, block: output(stream is Stream.ERR, block), input=script
            )
            worst = max(worst, status)
        return worst

    async def _attached(self, shell: Shell, argv: tuple[str, ...], ways: Given) -> int:
        """Run a command on a terminal: its variables come from a file, as its input is the terminal."""
        if not ways.exported and not ways.lines:
            return await shell.interactive(argv)
        path = f".pilotage/console-{secrets.token_hex(8)}"
        await shell.put(path, with_environment(argv, ways.exported, ways.lines, reads=True))
        # The shell has the file open: it can be deleted before the first line of it is read.
        return await shell.interactive(("sh", "-c", 'exec 3<"$0"; rm -f "$0"; . /dev/fd/3', path))

    async def logs(
        self,
        spec: AccessorySpec,
        output: OnOutput,
        *,
        since: str | None = None,
        lines: int | None = None,
        follow: bool = False,
        times: bool = True,
    ) -> None:
        """Give what it printed to ``output``, host after host; of all at once when they are followed."""

        async def one(host: str) -> None:
            argv = commands.logs(
                spec.service,
                since=since,
                lines=lines,
                follow=follow,
                timestamps=times,
                docker=self.docker,
            )
            name = f"{host} │ " if len(spec.hosts) > 1 else ""
            taken = Lines(lambda line: output(name + line))
            await self.shells[host].stream(argv, lambda _, block: taken.feed(block))
            taken.close()

        if follow:
            await asyncio.gather(*map(one, spec.hosts))
            return
        for host in spec.hosts:
            await one(host)

    # -- one host ------------------------------------------------------------------------------

    async def _boot(self, spec: AccessorySpec, host: str) -> None:
        await self._run(spec, host)
        if spec.front:
            door = Door(self.shells[host], spec.front.doors[host], self.emit)
            given = spec.front.certificate
            await door.put(spec.front.fragment, None, certificate=given, waits=True)

    async def _run(self, spec: AccessorySpec, host: str) -> None:
        state = await self._state(spec, host)
        if state == "running":
            self.emit(Note(text=f"{spec.service} runs already on {host}"))
            return
        if state:
            self.emit(Note(text=f"{spec.service} is there on {host}, {state}: it is started"))
            await self._do(host, commands.start(spec.service, docker=self.docker))
            return
        ways = _environment(spec, host)
        home = await self._prepare(spec, host)
        argv = commands.run(spec, environment=ways.words, home=home, docker=self.docker)
        script = with_environment(argv, ways.exported, ways.lines)
        try:
            await self._do(host, argv, script=script)
        except CommandFailed as error:
            # Docker keeps the container whose port was taken: the next boot would only start it.
            await self._do(host, commands.remove(spec.service, docker=self.docker), check=False)
            words = mask(error.err.decode(errors="replace").strip(), spec.secrets)
            raise TargetError(
                f"the accessory {spec.name} could not be run: {words or f'exit {error.status}'}",
                where=host,
                state="its container was taken away again; files and data stay",
                next=f"mend it, then `pilotage accessory boot {spec.name}`",
            ) from error

    async def _prepare(self, spec: AccessorySpec, host: str) -> str:
        """Have on a host what a container of it is made with; the home there."""
        home = await self._home(host)
        await self._fetch(spec, host)
        await self._do(host, ensure_network(self.docker, spec.network))
        await self._place(spec, host, home)
        return home

    async def _fetch(self, spec: AccessorySpec, host: str, *, again: bool = False) -> None:
        """Have the image before anything is stopped. ``again``: what the registry has by its name today."""
        if spec.login:
            await log_in(self.shells[host], spec.login, docker=self.docker)
        known = (self.docker, "image", "inspect", "--format", "{{.Id}}", spec.image)
        if again or (await self._do(host, known, check=False)).status:
            await self._do(host, commands.pull(spec.image, docker=self.docker))

    async def _place(self, spec: AccessorySpec, host: str, home: str) -> None:
        """Write its files, and make its directories."""
        shell = self.shells[host]
        if argv := commands.prepare(spec, home=home):
            await self._do(host, argv)
        for file in spec.files:
            path = file.at(home, spec.folder)
            # A container runs as whom it likes: without a mode, everybody may read, as with Kamal.
            await shell.put(path, file.content, mode=int(file.mode or "755", 8))
            if file.owner:
                await self._do(host, commands.own(path, file.owner))

    async def _take_down(self, spec: AccessorySpec, host: str) -> None:
        state = await self._state(spec, host)
        if state in ("running", "restarting", "paused"):
            await self._do(host, commands.stop(spec.service, docker=self.docker))
        if state:
            await self._do(host, commands.remove(spec.service, docker=self.docker))

    async def _state(self, spec: AccessorySpec, host: str) -> str:
        return (await self._do(host, commands.state(spec.service, docker=self.docker))).text

    async def _home(self, host: str) -> str:
        return (await self.shells[host].run(("pwd",))).text

    # -- running -------------------------------------------------------------------------------

    async def _everywhere(
        self, spec: AccessorySpec, one: Callable[[AccessorySpec, str], Awaitable[T]], done: str
    ) -> dict[str, T]:
        """All hosts at once, each to its end. ``done``: what it could not be, where they say different things."""
        actions = {host: one(spec, host) for host in spec.hosts}
        return await everywhere(actions, failed=f"{spec.service} could not be {done}")

    async def _do(
        self, host: str, argv: tuple[str, ...], *, script: bytes = b"", check: bool = True
    ) -> Result:
        """Run one command, and say so. ``script``: for ``sh``, which becomes ``argv``."""
        return await run_told(self.shells[host], argv, self.emit, script=script, check=check)


def _environment(spec: AccessorySpec, host: str) -> Given:
    return given(spec.env.get(host, {}), spec.secrets)
