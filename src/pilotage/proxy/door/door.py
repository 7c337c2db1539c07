"""The door of one host, as a deploy and a person handle it."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from pilotage.errors import (
    CommandTimeout,
    HostLost,
    HostUnreachable,
    ProxyError,
)
from pilotage.events import CommandRan, Emit
from pilotage.proxy.door import scripts
from pilotage.proxy.door.config import caddy, root_name
from pilotage.proxy.door.fragment import DoorSettings, Fragment, OwnCertificate
from pilotage.proxy.door.scripts import Files, Found
from pilotage.shell.base import OnBytes, Shell
from pilotage.shell.fenced import Command, Fence, Ran, run_script

_LIMIT = 60.0
_START = 600.0
"""Seconds to start it, whose image may have to be pulled."""
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Door:
    """Shared by all services of a host; each changes nothing but its own part of it."""

    shell: Shell
    settings: DoorSettings
    emit: Emit

    async def look(self) -> Found:
        """What is there. Raises `ProxyError`."""
        ran = await self._run((scripts.read(self.settings),), None)
        try:
            return scripts.parse(ran.last.out)
        except (ValueError, KeyError, TypeError) as error:
            raise ProxyError(
                f"the door's files cannot be read: {error}",
                where=f"{self.shell.host}:~/{scripts.DIRECTORY}",
                state="the door is as it was",
                next=f"see ~/{scripts.DIRECTORY}/fragments there, and delete the file that is broken",
            ) from error

    async def put(
        self,
        fragment: Fragment,
        fence: Fence | None,
        found: Found | None = None,
        *,
        certificate: OwnCertificate | None = None,
        waits: bool = False,
    ) -> bool:
        """Have the door do what a service wants, and start it where it does not run.

        Whether that changed anything. ``fence``: the service's own, with its deployer's token. ``found``:
        what `look` found just now. ``waits``: it is not started in the place of Kamal's proxy, as long as that
        serves somebody's roles.

        Raises
        ------
        ProxyError
            Another service asks for the same requests, Caddy refuses the configuration, or the ports are
            taken: it goes on as before.
        LeaseLost
            The host has seen a higher token.
        """
        for _ in range(_TRIES):
            found = found or await self.look()
            if found.running and fragment in found.fragments:
                return False
            if await self._write(found, fragment.service, fragment, fence, certificate):
                if not found.running and not (waits and await self._kamal_serves(found)):
                    await self._start(found, fragment.service, fence)
                return True
            found = None
        raise self._overtaken()

    async def drop(self, service: str, fence: Fence | None) -> None:
        """Take a service's part away; with the last one the door goes, too. Idempotent."""
        for _ in range(_TRIES):
            found = await self.look()
            left = [fragment for fragment in found.fragments if fragment.service != service]
            if not left:
                await self._run((*scripts.stop(self.settings), scripts.destroy()), fence)
                return
            if len(left) == len(found.fragments):
                return
            if await self._write(found, service, None, fence, None):
                return
        raise self._overtaken()

    async def halt(self) -> bool:
        """Stop the container, which stays as it is, also when the host restarts; whether it ran."""
        found = await self.look()
        if found.running:
            await self._run((scripts.halt(self.settings),), None)
        return found.running

    async def begin(self) -> bool:
        """Start it, with what is written; whether it did not run.

        Raises
        ------
        ProxyError
            No service has a part in it, or it does not start.
        """
        found = await self.look()
        if found.running:
            return False
        await self._start(found, self._first(found).service, None)
        return True

    async def reboot(self, fence: Fence | None = None) -> None:
        """Replace the container, with what is written anew: an image, ports, options may be others now."""
        found = await self.look()
        first = self._first(found)
        if not await self._write(found, first.service, first, fence, None):
            raise self._overtaken()
        await self._run(scripts.stop(self.settings), fence)
        await self._start(found, first.service, fence)

    async def destroy(self, fence: Fence | None = None) -> None:
        """Take the door down for every service, and forget what they want."""
        await self._run((*scripts.stop(self.settings), scripts.destroy()), fence)

    async def details(self) -> str:
        """The container as Docker shows it."""
        result = await self.shell.run(scripts.details(self.settings), limit=_LIMIT)
        return result.text

    async def logs(
        self,
        output: OnBytes,
        *,
        lines: int | None,
        since: str = "",
        follow: bool = False,
        times: bool = True,
    ) -> int:
        """Give what Caddy says to ``output``; the exit status of the command. ``lines``: the last ones, None for all."""
        argv = scripts.logs(self.settings, lines=lines, since=since, follow=follow, times=times)
        return await self.shell.stream(argv, output)

    async def allow(self) -> None:
        """Let Kamal's proxy be replaced, though it may serve others as well: at the next switch."""
        await self._run((scripts.allow(),), None)

    async def require_alone(self, found: Found, service: str) -> None:
        """Kamal's proxy is not taken away from services that nobody would serve then.

        Raises
        ------
        ProxyError
            It may serve others, and nobody allowed it (`allow`); it goes on.
        """
        if found.may_take_over:
            return
        others = await self._others()
        parts = (service, *(fragment.service for fragment in found.fragments))
        known = {part.partition(".")[0] for part in parts}  # `SERVICE.ROLE` is a service's as well
        left = sorted(others - known)
        if left:
            raise ProxyError(
                f"{scripts.KAMAL} has the ports, and may serve others as well: {', '.join(left)}",
                where=self.shell.host,
                state=f"{scripts.KAMAL} goes on",
                next="`pilotage proxy boot --take-over` allows it; then deploy this and, at once, those with "
                "pilotage as well: until then nobody answers for them",
            )

    async def _kamal_serves(self, found: Found) -> bool:
        return found.kamal and bool(await self._others())

    async def _others(self) -> set[str]:
        """The services with a role that run on the host."""
        ran = await self._run((scripts.others(self.settings),), None)
        return {line for line in ran.last.out.splitlines() if line}

    # -- how ---------------------------------------------------------------------------------

    async def _write(
        self,
        found: Found,
        service: str,
        fragment: Fragment | None,
        fence: Fence | None,
        certificate: OwnCertificate | None,
    ) -> bool:
        """Whether it was written: somebody else may have been in between."""
        others = [it for it in found.fragments if it.service != service]
        config = caddy([*others, *([fragment] if fragment else [])], self.settings)
        root = fragment.acme.root if fragment else None
        files = Files(
            certificate=certificate.name if certificate else "",
            chain=certificate.chain if certificate else "",
            key=certificate.key if certificate else "",
            root_name=root_name(root) if root else "",
            root=root or "",
        )
        commands = scripts.write(
            *(self.settings, found, service, fragment),
            config=config,
            files=files,
            generation=secrets.token_hex(8),
        )
        ran = await self._run(commands, fence, check=False)
        if ran.finished:
            return True
        swapped = len(ran.done) == len(commands)
        if swapped and ran.last.status == scripts.OVERTAKEN:
            return False
        refused = swapped and ran.last.status == scripts.REFUSED
        raise ProxyError(
            f"{'Caddy does not take the configuration' if refused else 'it cannot be written'}:"
            f"{ran.words}",
            where=f"the door of {self.shell.host}",
            state="the door is as it was",
            next="see `proxy:` in the configuration; then run this again",
        )

    def _first(self, found: Found) -> Fragment:
        if not found.fragments:
            raise ProxyError(
                "no service has a part in the door of this host",
                where=self.shell.host,
                state="nothing was started",
                next="`pilotage deploy` starts it",
            )
        return found.fragments[0]

    async def _start(self, found: Found, service: str, fence: Fence | None) -> None:
        if found.kamal:
            await self.require_alone(found, service)
        commands = (
            scripts.network(self.settings),
            scripts.start(self.settings, found, kamal=found.kamal),
        )
        ran = await self._run(commands, fence, limit=_START, check=False)
        argv = scripts.create(self.settings, found)
        status = 0 if ran.finished else 1
        seconds = sum(done.seconds for done in ran.done)
        self.emit(CommandRan(host=self.shell.host, argv=argv, seconds=seconds, status=status))
        if not ran.finished:
            raise ProxyError(
                f"the door does not start:{ran.words}",
                where=self.shell.host,
                state="Kamal's proxy goes on" if found.kamal else "no door runs there",
                next=f"see what has ports {self.settings.http} and {self.settings.https} "
                "(`ss -ltnp`); then run this again",
            )

    def _overtaken(self) -> ProxyError:
        return ProxyError(
            "others change the door all the time",
            where=self.shell.host,
            state="it is as they want it",
            next="run the command again",
        )

    async def _run(
        self,
        commands: Sequence[Command],
        fence: Fence | None,
        *,
        limit: float = _LIMIT,
        check: bool = True,
    ) -> Ran:
        try:
            ran = await run_script(self.shell, commands, fence, limit=limit)
        except (HostUnreachable, HostLost, CommandTimeout) as error:
            begun = not isinstance(error, HostUnreachable)
            raise ProxyError(
                error.what,
                where=error.where or self.shell.host,
                state="it is not known whether the door was changed" if begun else error.state,
                next=error.next,
            ) from error
        if check and not ran.finished:
            raise ProxyError(
                f"the door cannot be looked at or changed:{ran.words}",
                where=self.shell.host,
                next="see that Docker runs there; then run this again",
            )
        return ran
