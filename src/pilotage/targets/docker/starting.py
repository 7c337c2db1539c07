"""How an instance comes to life: its container is created, the gate is awaited, the container is started.

So whoever looks in between sees it before it can be alive. What is started is the very container that was
created, by its id: somebody who took it over has made another one of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pilotage.errors import HostError, StartFailed, TargetError
from pilotage.model import Instance
from pilotage.shell.fenced import Command, Part, Ran, Then
from pilotage.targets.docker import commands, names
from pilotage.targets.docker.containers import Container, parse
from pilotage.targets.docker.diagnosis import fault
from pilotage.targets.docker.host import ACT_LIMIT, ATTEMPTS, CLOCK, DockerHost, host_clock
from pilotage.targets.docker.sight import CONSOLE_WAIT

_LOOK_AGAIN = 0.1
_IN_TIME = "[ $(($(date +%s) - $1)) -lt $2 ]"


@dataclass(frozen=True, slots=True)
class Made:
    """A container that was created: its id, and when, by its host's clock."""

    container: str
    at: float


@dataclass(frozen=True, slots=True)
class Start:
    """One deployer's start of one instance. ``create``: makes its container, called ``name``."""

    host: DockerHost
    instance: Instance
    name: str
    create: Command
    token: int | None

    async def record(self, *, again: bool) -> Container | Made:
        """Create the container of an instance, or find it there.

        What is found has been started: it lives, or, unless ``again``, it has ended. One that was created
        only is somebody's who may be gone: it is taken over.

        Raises
        ------
        LeaseLost
            The host has seen a higher token.
        StartFailed
            Docker would not create it, in its own words.
        HostError
            It could not: its disk is full, or it does not answer.
        """
        under_way = Command(
            commands.list_under_way(self.host.service, self.instance.id), then=Then.IF_SILENT
        )
        way: tuple[Part, ...] = ()
        alone = False
        for _ in range(ATTEMPTS):
            parts = (CLOCK, under_way, *way, self.create)
            ran = await self.host.run(parts, token=self.token, alone=alone, limit=ACT_LIMIT)
            if ran.finished:
                # Docker writes the id last: it may have warned before.
                return Made(ran.last.out.split()[-1], host_clock(ran.done[0].out))
            if ran.last.argv != self.create.argv and ran.last.status:
                raise self.host.failed(ran, state="nothing was started")
            known = (await self.host.look()).of(self.instance.id)
            for container in known:
                if container.runs or (container.was_started and not again):
                    return container
            await self._take_over(known)
            if not known and ran.last.argv == self.create.argv:
                if alone:
                    raise await self._refused(ran)
                # The name may be another's. Who takes it away does so alone, lest a third one has it then.
                alone = True
                if again:
                    other = names.replaced(self.name, secrets.token_hex(8))
                    way = (Command(commands.free_name(self.host.service, self.name, other)),)
        raise StartFailed(
            f"its container could not be created: others came in between, {ATTEMPTS} times",
            where=self._where,
            state="it was not started",
            next="make sure that nobody else starts it; then run this again",
        )

    async def _take_over(self, known: Iterable[Container]) -> None:
        """Take away what was created and not started, and give what has ended another name."""
        parts: list[Part] = []
        for container in known:
            if container.was_started:
                retired = names.retired(container.name, container.id)
                parts.append(Command(commands.rename(self.host.service, container.id, retired)))
            else:
                parts.extend(self._unless_started(container.id))
        if parts:
            # Where it fails, somebody else was faster: the next attempt sees what they did.
            await self.host.run(parts, token=self.token, alone=True, limit=ACT_LIMIT)

    async def launch(self, made: Made, *, after: Sequence[Part] = ()) -> Container:
        """Start the container that `record` created; somebody else's, where they took it over.

        Without a token to compare, only its age says whether it is still expected to come.

        Raises
        ------
        StartFailed
            It could not be started, with Docker's words; the record is taken back.
        HostError
            As `record`.
        """
        container = made.container
        start = Command(commands.start(self.host.service, container))
        parts = (
            *((Command(in_time(made)),) if self.token is None else ()),
            start,
            *after,
            Command(commands.inspect(self.host.service, container)),
        )
        for _ in range(2):
            ran = await self.host.run(parts, token=self.token, limit=ACT_LIMIT)
            if ran.finished:
                return parse(ran.last.out)[0]
            current, _ = await self.host.look_at(container)
            if current is None:
                return await self._join()
            if current.was_started:
                return current
            if not await self.host.ensure_network():
                break
        await self.take_back(made)
        raise await self._refused(ran)

    async def _join(self) -> Container:
        """Wait until somebody else, who took our record over, has started the instance."""
        try:
            async with asyncio.timeout(ACT_LIMIT):
                while known := (await self.host.look()).of(self.instance.id):
                    if known[0].was_started:
                        return known[0]
                    await asyncio.sleep(_LOOK_AGAIN)
        except TimeoutError:
            raise StartFailed(
                "somebody else was about to start it, and did not", where=self._where
            ) from None
        raise StartFailed(
            "its record was taken back while it was being started",
            where=self._where,
            state="it was not started",
        )

    async def take_back(self, made: Made) -> None:
        """Remove the container that we created; leave it where it was started, though it may have ended already.

        A caller that goes away while it is being started does not know; what has ended is the record of that.
        """
        with contextlib.suppress(TargetError):  # then it stays on record, and is seen
            await self.host.run(self._unless_started(made.container), alone=True, limit=ACT_LIMIT)

    def _unless_started(self, container: str) -> tuple[Command, Command]:
        """Remove a container that was only created. Alone under the fence: it is not started in between."""
        return (
            Command(commands.list_created(self.host.service, container), then=Then.IF_SPOKEN),
            Command(commands.remove(self.host.service, container)),
        )

    async def _refused(self, ran: Ran) -> StartFailed | HostError:
        """Why it was not started: what was asked for, or the host that could not do what any host can."""
        if ran.last.argv[0] == "sh":
            what = f"its gate let it through only after more than {CONSOLE_WAIT:g} s"
        else:
            words = self.host.masked(ran.words)
            if found := await fault(self.host.shell, self.host.service.docker, words):
                return found
            done = "created" if ran.last.argv == self.create.argv else "started"
            what = f"its container could not be {done}:{words}"
        return StartFailed(
            what,
            where=self._where,
            state="its record was taken back; nothing of it runs",
        )

    @property
    def _where(self) -> str:
        return f"{self.instance.id} on {self.host.name}"


def in_time(made: Made) -> commands.Argv:
    """Exits with 0 while a console that was created may be started."""
    return ("sh", "-c", _IN_TIME, "in-time", str(math.ceil(made.at)), f"{CONSOLE_WAIT:g}")
