"""One host of a service: its containers looked at, and ended, by scripts under the fence."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pilotage.errors import HostError
from pilotage.events import CommandRan, Emit
from pilotage.secret import Secret, mask
from pilotage.shell.base import Shell
from pilotage.shell.fenced import Command, Fence, Lock, Part, Ran, Then, run_script
from pilotage.targets.docker import commands, names
from pilotage.targets.docker.containers import Container, parse
from pilotage.targets.docker.diagnosis import require_recent, unusable
from pilotage.targets.docker.sight import Sight
from pilotage.targets.docker.spec import DockerService

LOOK_LIMIT = 30.0
"""Seconds in which a host says what it has; Docker takes some 0.1, and a hung one answers never."""

ACT_LIMIT = 180.0
"""Seconds in which a container is created or started, the wait for the fence's lock included."""

AFTER_KILL = 10.0
"""Seconds in which a container is gone after SIGKILL."""

ATTEMPTS = 5
"""How often something is tried that others may come in between of."""

CLOCK = Command(("date", "+%s.%N"))
"""Writes the host's clock, for `host_clock`."""


@dataclass(frozen=True, slots=True)
class DockerHost:
    """One host. ``secrets``: what is masked in events and errors."""

    service: DockerService
    shell: Shell
    emit: Emit
    secrets: Collection[Secret]

    @property
    def name(self) -> str:
        """The host's, as the configuration has it."""
        return self.shell.host

    # -- what is there -----------------------------------------------------------------------

    async def look(self, *, token: int | None = None, only: commands.Argv | None = None) -> Sight:
        """Its containers of the service. ``token``: raise the fence to it first. ``only``: those that
        this command lists.

        Raises
        ------
        LeaseLost
            The host has seen a higher token.
        TargetError
            It cannot be looked at: no answer, no Docker, no right to use it.
        """
        listing = only or commands.list_all(self.service)
        for _ in range(ATTEMPTS):
            ran = await self.run(
                (
                    Command(
                        ("grep", "-s", "^[0-9]", f"{self.service.state_dir}/fence"),
                        then=Then.ALWAYS,
                    ),
                    CLOCK,
                    Command(listing),
                    Command(commands.inspect(self.service), words=True),
                ),
                token=token,
                fenced=token is not None,
                limit=LOOK_LIMIT,
            )
            if ran.finished:
                fence, now, *_ = (done.out for done in ran.done)
                inspected = ran.done[3].out if len(ran.done) > 3 else ""
                return Sight(
                    self.service, self.name, parse(inspected), int(fence or 0), host_clock(now)
                )
            if not ran.done or ran.last.argv == listing:
                break
        # Else one of them was removed between the two commands.
        raise self.failed(ran, state="nothing was changed; what runs there is not known")

    async def look_at(self, container: str) -> tuple[Container | None, float]:
        """One container, None when there is none; and the host's clock."""
        sight = await self.look(only=commands.list_one(self.service, container))
        return next((c for c in sight.containers if c.id == container), None), sight.now

    async def prepare(self) -> None:
        """See that its Docker is of use, and make the network where it is missing.

        Raises
        ------
        TargetError
            Docker cannot be used there, or is too old; nothing was changed.
        """
        network = Command(commands.ensure_network(self.service))
        if self.service.docker != "docker":
            await self.ensure_network()
            return
        version = Command(commands.version(self.service))
        ran = await self.run((version, network), fenced=False)
        if not ran.done or ran.last.argv == version.argv:
            raise await unusable(self.shell, self.service.docker, self.masked(ran.words))
        require_recent(self.name, ran.done[0].out)
        if not ran.finished:
            raise self.failed(ran, state="nothing was changed")

    async def ensure_network(self) -> bool:
        """Make the network where it is missing; whether it was.

        Raises
        ------
        TargetError
            It cannot be made.
        """
        ran = await self.run((Command(commands.ensure_network(self.service)),), fenced=False)
        if not ran.finished:
            raise self.failed(ran, state="nothing was changed")
        return ran.last.out != ""

    # -- to its end --------------------------------------------------------------------------

    async def end(self, container: Container, *, grace: float, token: int) -> bool:
        """Its stop signal, grace, SIGKILL; then it is kept under another name. True when it was killed."""
        known = container.id
        if not container.was_started:
            created = Command(commands.list_created(self.service, known), then=Then.IF_SPOKEN)
            remove = Command(commands.remove(self.service, known))
            await self.run((created, remove), token=token, alone=True, limit=ACT_LIMIT)
            return False
        # What has ended within its grace need not be killed, nor waited for again.
        kill = Command(
            commands.signal(self.service, known, "SIGKILL"), then=Then.ALWAYS, otherwise=True
        )
        gone = Command(commands.wait(self.service, known, limit=AFTER_KILL), otherwise=True)
        parts: list[Part] = []
        if container.runs:
            stop = commands.signal(self.service, known, container.stop_signal)
            parts += [
                Command(stop, then=Then.ALWAYS),
                Lock.LET_GO,
                Command(commands.wait(self.service, known, limit=grace), then=Then.ALWAYS),
                Lock.TAKE,
                kill,
                gone,
            ]
        if container.ours:
            name = names.retired(container.name, known)
            parts.append(Command(commands.rename(self.service, known, name)))
        if not parts:
            return False
        ran = await self.run(parts, token=token, limit=grace + AFTER_KILL + ACT_LIMIT)
        killed = any(done.argv == kill.argv and done.status == 0 for done in ran.done)
        if not ran.finished and (await self.look_at(known))[0] is not None:
            raise self.failed(ran, state="it stays on record, and may be running")
        return killed

    # -- in common ---------------------------------------------------------------------------

    async def run(
        self,
        parts: Sequence[Part],
        *,
        token: int | None = None,
        fenced: bool = True,
        alone: bool = False,
        limit: float | None = LOOK_LIMIT,
    ) -> Ran:
        """Run a script under the fence; an event for each of Docker's commands."""
        fence = Fence(self.service.state_dir, token, alone=alone) if fenced else None
        ran = await run_script(self.shell, parts, fence, limit=limit)
        for done in ran.done:
            if self.service.docker in done.argv[:4]:
                self.ran(done.argv, done.seconds, done.status)
        return ran

    def ran(self, argv: Sequence[str], seconds: float, status: int) -> None:
        """Tell of a command."""
        shown = tuple(self.masked(word) for word in argv)
        self.emit(CommandRan(host=self.name, argv=shown, seconds=seconds, status=status))

    def masked(self, text: str) -> str:
        """``text`` without secrets."""
        return mask(text, self.secrets)

    def failed(self, ran: Ran, *, state: str) -> HostError:
        """The error of a script whose last command failed, of those that any host can carry out."""
        what = " ".join(ran.last.argv[:3]) if ran.done else "a script"
        status = f" exited {ran.last.status}" if ran.done else " did not run"
        return HostError(
            self.masked(f"`{what} …`{status}:{ran.words}"),
            where=self.name,
            state=state,
            next="see that Docker runs there, and that this user may use it; then run this again",
        )


def host_clock(text: str) -> float:
    """What ``date +%s.%N`` wrote; where it knows no nanoseconds, it writes the letter."""
    return float(text.strip().removesuffix("N").removesuffix(".") or 0)
