"""Why the Docker of a host is of no use to us, and what to do about it: looked at once it has failed."""

from __future__ import annotations

import re

from pilotage.docker import podman
from pilotage.errors import HostError, TargetError
from pilotage.shell.base import Shell

MINIMUM = (20, 10)
"""``docker create --pull never`` is of this version."""

LEFT = 16 * 1024
"""KiB on the disk of its containers below which a host is at fault, whatever Docker could not do."""

_MISSING, _FORBIDDEN, _SILENT = 3, 4, 5

_LOOK = f"""\
command -v "$1" >/dev/null || exit {_MISSING}
[ ! -S /var/run/docker.sock ] || [ -w /var/run/docker.sock ] || {{ id -un; exit {_FORBIDDEN}; }}
root=$("$1" info --format '{{{{.DockerRootDir}}}}' 2>/dev/null) ||
root=$("$1" info --format '{{{{.Store.GraphRoot}}}}' 2>/dev/null) || exit {_SILENT}
set -- $(df -Pk "$root" 2>/dev/null | tail -n 1)
echo "${{4:-unknown}} $root"
"""


async def unusable(shell: Shell, docker: str, words: str) -> HostError:
    """The error of a host whose Docker failed with these words, and could be of no use at all."""
    return await fault(shell, docker, words) or _silent(shell, words)


async def fault(shell: Shell, docker: str, words: str) -> HostError | None:
    """What is wrong with a host on which Docker failed with these words; None where nothing is, and they are
    about what Docker was asked for."""
    try:
        looked = await shell.run(("sh", "-c", _LOOK, "look", docker), limit=30, check=False)
    except HostError as error:
        return error
    match looked.status:
        case 0:
            free, _, root = looked.text.partition(" ")
            return _full(shell, int(free), root, words) if free.isdigit() else None
        case status if status == _MISSING:
            what = "Docker is not installed"
            todo = (
                "`pilotage server bootstrap` installs it, or has podman take its place where that is there; "
                "then run this again"
            )
        case status if status == _FORBIDDEN:
            what = f"the user {looked.text} may not use Docker"
            todo = (
                f"`sudo usermod -aG docker {looked.text}` there, or set `ssh.user` to one who may; "
                "then run this again"
            )
        case _:
            return _silent(shell, words)
    return HostError(what, where=shell.host, state="nothing was changed there", next=todo)


def _silent(shell: Shell, words: str) -> HostError:
    return HostError(
        f"Docker does not answer:{words}",
        where=shell.host,
        state="nothing was changed there",
        next="see what it says there (`systemctl status docker`); then run this again",
    )


def _full(shell: Shell, free: int, root: str, words: str) -> HostError | None:
    if free >= LEFT:
        return None
    return HostError(
        f"its disk is full: {free // 1024} MiB are free where Docker keeps containers ({root}):{words}",
        where=shell.host,
        state="nothing was started there",
        next="give it room (`pilotage prune` removes old containers and images); then run this again",
    )


def require_recent(host: str, version: str) -> None:
    """Raise `TargetError` for a Docker, or a podman in its place, that is too old. A version that cannot be read is none of these."""
    as_podman = podman.version_of(version)
    found = re.match(r"(\d+)\.(\d+)", version)
    name, known, minimum = "Docker ", found and (int(found[1]), int(found[2])), MINIMUM
    if as_podman is not None:
        name, known, minimum = "", as_podman, podman.MINIMUM
    if known and known < minimum:
        raise TargetError(
            f"{name}{version} is too old",
            where=host,
            state="nothing was changed there",
            next=f"install {'.'.join(map(str, minimum))} or newer there; then run this again",
        )
