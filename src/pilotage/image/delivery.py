"""An image on its way to the hosts: room for it, a log-in, a pull, on all of them at once."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

from pilotage.errors import TargetError
from pilotage.events import CommandRan, Emit
from pilotage.image.architecture import architecture, runs_on
from pilotage.image.login import log_in_command, refused
from pilotage.image.spec import Login
from pilotage.shell.base import Shell
from pilotage.shell.everywhere import everywhere
from pilotage.shell.fenced import Command, Ran, run_script
from pilotage.shell.local import LocalShell

ROOM = 512 * 1024 * 1024
"""Bytes that must be free where a host keeps its images before anything is pulled."""

LOOK_LIMIT = 30.0
"""Seconds in which a host says whether it has an image."""

PULL_LIMIT = 1800.0
"""Seconds for one pull, and what goes before it."""

# A disk that is full in the middle of a pull may be the one that the database writes to. $1: docker, $2: KiB.
# podman has other words for it. Docker's folder may be nobody's to look at: then the pull will tell. What it
# writes is for whether the image runs there.
_ROOM = """\
told=$("$1" info --format '{{.OSType}}/{{.Architecture}} {{.DockerRootDir}}' 2>/dev/null) ||
told=$("$1" info --format '{{.Host.OS}}/{{.Host.Arch}} {{.Store.GraphRoot}}') || exit
root=${told#* }
set -- "$2" $(df -Pk "$root" 2>/dev/null | tail -n 1)
[ "${5:-$1}" -ge "$1" ] || { echo "$5 $root"; exit 1; }
echo "${told%% *}" $(ls /proc/sys/fs/binfmt_misc 2>/dev/null)
"""
_IDENTIFIED = "{{.Id}} {{.Os}}/{{.Architecture}}"


@dataclass(frozen=True, slots=True)
class Delivery:
    """``shells``: by host. ``tunnel``: the port of a registry on this machine, else None."""

    shells: Mapping[str, Shell]
    emit: Emit
    login: Login | None = None
    tunnel: int | None = None
    docker: str = "docker"

    async def pull(self, image: str) -> Mapping[str, str]:
        """Have an image on every host, all at once; its id on each. Idempotent.

        Raises
        ------
        TargetError
            A host has no room, cannot log in, the registry has no such image, or it is made for another
            architecture; every host is named, and what others pulled stays.
        """
        pulls = {host: self.fetch(image, shell) for host, shell in self.shells.items()}
        return await everywhere(pulls, failed=f"{image} could not be had")

    async def has(self, image: str, shell: Shell) -> bool:
        """Whether a host has an image."""
        ran = await run_script(shell, (self._found(image),), limit=LOOK_LIMIT)
        return ran.finished

    async def fetch(self, image: str, shell: Shell) -> str:
        """Have an image on one host, in one script; its id. Idempotent. Raises as `pull`."""
        async with contextlib.AsyncExitStack() as stack:
            if self.tunnel is not None and not isinstance(shell, LocalShell):
                here = ("127.0.0.1", self.tunnel)
                await stack.enter_async_context(shell.reverse(self.tunnel, to=here))
            parts = self._parts(image)
            ran = await run_script(shell, parts, limit=PULL_LIMIT)
        for part, done in zip(parts, ran.done, strict=False):
            if part.argv[0] == self.docker:
                self.emit(
                    CommandRan(
                        host=shell.host, argv=done.argv, seconds=done.seconds, status=done.status
                    )
                )
        if not ran.finished:
            raise self._refused(image, shell, ran)
        found, _, made_for = ran.last.out.partition(" ")
        _require_runs(image, made_for, shell, ran.done[-3].out)
        return found

    def _parts(self, image: str) -> list[Command]:
        parts = [log_in_command(self.login, docker=self.docker)] if self.login else []
        return [
            *parts,
            Command(("sh", "-c", _ROOM, "room", self.docker, str(ROOM // 1024))),
            Command((self.docker, "pull", "--quiet", image)),
            self._found(image),
        ]

    def _found(self, image: str) -> Command:
        """Writes its id, and what it was made for."""
        return Command((self.docker, "image", "inspect", "--format", _IDENTIFIED, image))

    def _refused(self, image: str, shell: Shell, ran: Ran) -> TargetError:
        """What it was that failed: the log-in, the room, or the pull."""
        words = ran.err.strip().splitlines()
        last = words[-1] if words else "it said nothing"
        if ran.done and ran.last.argv[:3] == ("sh", "-c", _ROOM) and ran.last.out:
            free, _, root = ran.last.out.partition(" ")
            return TargetError(
                f"{int(free) // 1024} MiB are free where Docker keeps its images ({root}), and a pull "
                f"wants {ROOM // 2**20}",
                where=shell.host,
                state="nothing was pulled there",
                next="`pilotage prune` removes old containers and images",
            )
        if self.login and len(ran.done) == 1:
            return refused(self.login, shell, last)
        return TargetError(
            f"{image} could not be pulled: {last}",
            where=shell.host,
            state="nothing was started",
            next="see that it was pushed (`pilotage build push`), and that the host reaches the registry",
        )


def _require_runs(image: str, made_for: str, shell: Shell, told: str) -> None:
    """Raise `TargetError` for an image that the host cannot run. ``told``: what `_ROOM` wrote there."""
    host, *emulators = told.split()
    system, _, machine = host.partition("/")
    own = architecture(machine)
    if runs_on(made_for, f"{system}/{own}", emulators):
        return
    raise TargetError(
        f"{image} is made for {made_for}, and this host is {system}/{own}",
        where=shell.host,
        state="nothing was started",
        next=f"set `builder.arch` to {own} (a list, where hosts differ); then build and push it again "
        "(`pilotage build push`)",
    )
