"""Waiting until an instance is healthy: over HTTP, by a command in it, by Docker's word, or by its age."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pilotage.errors import ForwardingForbidden, HostError
from pilotage.events import Note
from pilotage.shell.fenced import Command
from pilotage.targets.docker import commands
from pilotage.targets.docker.containers import Container
from pilotage.targets.docker.host import LOOK_LIMIT, DockerHost
from pilotage.targets.docker.listening import LIST, instead
from pilotage.targets.docker.spec import DockerRole
from pilotage.targets.shared.health import (
    AliveHealth,
    CommandHealth,
    HttpHealth,
    Patience,
    probe_http,
)

HOPELESS = 3
"""Restarts after which an instance is not waited for any longer. One or two may be of an application whose
database is still on its way up; Docker waits longer before each."""

_FIRST = 0.05
_LONGER = 1.25
"""How much longer each pause is than the one before, up to the role's interval: an instance is seen to be
healthy at most a quarter later than it is."""
_STEP = 1.0
_LOOK_AGAIN = 0.5
"""Seconds for which an instance that does not answer is taken to be as it was seen: to look costs its host more
than to ask it."""


@dataclass(slots=True)
class Check:
    """One wait for one instance. ``container``: as it was seen last; None for one that nobody knows.

    ``now``: the host's clock when it was.
    """

    host: DockerHost
    role: DockerRole
    container: Container | None
    now: float = 0.0
    _lost: bool = False
    """Whether Docker did not answer: when it does again, what is at the instance's address may be another one."""
    _seen: float = 0.0  # seconds after the beginning

    async def wait(self, limit: float | None, *, quiet: float = 0.0) -> tuple[float, str]:
        """Seconds that it took, and why it is not healthy: an empty string when it is.

        ``quiet``: see `Patience`.

        Raises
        ------
        HostError
            Its host could not be asked, which says nothing of the instance.
        """
        health = self.role.health
        patience = Patience(health.limit if limit is None else limit, quiet)
        interval = _STEP if isinstance(health, AliveHealth) else health.interval
        pause, answered, warned = min(_FIRST, interval), 0.0, False
        while True:
            lost: HostError | None = None
            try:
                why, hopeless = await self._ask(patience)
            except ForwardingForbidden:
                raise
            except HostError as error:
                why, hopeless, lost = error.what, False, error
            left = patience.left
            if not why or hopeless:
                return patience.passed, why
            # What it was given to prepare something is not for a host that is gone.
            answered = answered if lost else patience.passed
            if lost is not None and (left <= 0 or patience.passed - answered >= patience.seconds):
                raise lost
            if patience.unheard and (left <= 0 or (patience.overdue and not warned)):
                warned = True
                elsewhere = await self._elsewhere(waits=left > 0)
                why += f"; {elsewhere}" if elsewhere else ""
            if left <= 0:
                after = f"not healthy after {patience.given:g} s: " if patience.given else ""
                return patience.passed, f"{after}{why}"
            await self._pause(min(pause, left), left)
            pause = min(pause * _LONGER, interval)

    async def _ask(self, patience: Patience) -> tuple[str, bool]:
        """Why it is not healthy, and whether it never will be."""
        health = self.role.health
        if self._lost and (wrong := await self._look()):
            return wrong
        if isinstance(health, HttpHealth):
            address = self.container.address(self.role.app_port) if self.container else None
            why = "it has no address to ask"
            if address is not None:
                connect = patience.hearing(self.host.shell.open_tcp)
                why = await probe_http(health, address, connect)
            return await self._look_again(patience) or (why, False) if why else ("", False)
        if wrong := await self._look():
            return wrong
        assert self.container is not None
        if isinstance(health, CommandHealth):
            return await self._command(health, self.container), False
        return self._alive(health, self.container), False

    async def _look_again(self, patience: Patience) -> tuple[str, bool] | None:
        """`_look`, but not while it was seen just before: whoever listens soon is asked again sooner."""
        recent = patience.passed < self._seen + _LOOK_AGAIN
        if self.container is not None and recent and patience.left > 0:
            return None
        self._seen = patience.passed
        return await self._look()

    async def _look(self) -> tuple[str, bool] | None:
        """See how the container is; what is wrong with it, and whether that is the end."""
        if self.container is None:
            return "it is not on record: it was stopped, or never started", True
        self._lost = True
        found, self.now = await self.host.look_at(self.container.id)
        self._lost = False
        if found is None or found.retired:
            return "it is not on record any more: it was stopped", True
        self.container = found
        if not found.was_started:
            return "it has not been started", False
        if not found.runs:
            return found.describe_end(), True
        if found.restarts >= HOPELESS:
            return f"it was restarted {found.restarts} times; {found.describe_end()}", True
        return None

    async def _elsewhere(self, *, waits: bool) -> str:
        """Where it listens instead. Who waits on is told now: it may be for nothing."""
        container, port = self.container, self.role.app_port
        if not isinstance(self.role.health, HttpHealth) or container is None:
            return ""
        if container.host_network:  # the ports of all its neighbours
            return ""
        argv = commands.execute(self.host.service, container.id, LIST, limit=LOOK_LIMIT)
        try:
            ran = await self.host.run((Command(argv),), fenced=False)
        except HostError:
            return ""
        found = instead(ran.last.out, port) if ran.done else ""
        if found and waits:
            text = f"{container.name} on {self.host.name}: {found}; it is waited for all the same"
            self.host.emit(Note(text=text, level="warning"))
        return found

    async def _command(self, health: CommandHealth, container: Container) -> str:
        argv = commands.execute(self.host.service, container.id, health.cmd, limit=health.timeout)
        ran = await self.host.run((Command(argv),), fenced=False)
        if ran.finished:
            return ""
        status = ran.last.status if ran.done else 1
        if status == 124:
            return f"`{health.cmd}` did not end within {health.timeout:g} s"
        return f"`{health.cmd}` exited {status}"

    def _age(self, container: Container) -> float:
        return self.now - (container.started or self.now)

    def _alive(self, health: AliveHealth, container: Container) -> str:
        if container.health:  # the image, or an option, says how, and Docker asks
            fine = container.health == "healthy"
            return "" if fine else f"Docker's health check says that it is {container.health}"
        age = self._age(container)
        fine = age >= health.delay and container.status == "running"
        return "" if fine else f"{container.status}, for {age:.1f} of {health.delay:g} s"

    async def _pause(self, seconds: float, left: float) -> None:
        """Wait before the next question; where only age is waited for, see an end at once."""
        health, container = self.role.health, self.container
        if isinstance(health, AliveHealth) and container is not None and not container.health:
            missing = min(health.delay - self._age(container), left)
            if missing >= 1:
                waiting = commands.wait(self.host.service, container.id, limit=missing)
                await self.host.run((Command(waiting),), fenced=False, limit=missing + LOOK_LIMIT)
                return
            seconds = max(seconds, missing)
        await asyncio.sleep(seconds)
