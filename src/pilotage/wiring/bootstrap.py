"""Docker on hosts that have none: podman in its place where that is, else installed by Docker's own script, as Kamal
does it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from pilotage.docker import podman
from pilotage.errors import TargetError
from pilotage.events import Emit, Note
from pilotage.shell.base import Shell
from pilotage.shell.outcome import last_line_of
from pilotage.shell.told import run_told

INSTALL_LIMIT = 900.0
"""Seconds for the installation on a host: it loads some 100 MB of packages."""

_FIND = ("sh", "-c", podman.FIND)
_HAVE_PODMAN = ("sh", "-c", podman.READY)

# Who is not root needs sudo without a password; and a new log-in until the group counts.
_INSTALL = """\
umask 022
root=
[ "$(id -u)" = 0 ] || { sudo -n true || exit; root="sudo -n"; }
script=$(mktemp) || exit
trap 'rm -f "$script"' EXIT
curl -fsSL https://get.docker.com >"$script" || wget -qO "$script" https://get.docker.com || exit
$root sh "$script" || exit
[ -z "$root" ] || $root usermod -aG docker "$(id -un)"
"""


async def bootstrap(shells: Collection[Shell], emit: Emit) -> tuple[str, ...]:
    """Install Docker where the program is missing, or have podman take its place; on all of those hosts at once.

    Returns the hosts that had neither Docker nor what takes its place. Podman does so where it is there, and where
    Docker's script installs nothing and the distribution has podman.

    Raises
    ------
    TargetError
        It could not be installed on some, or does not answer on some; what was installed stays.
    """
    asked = await asyncio.gather(*(shell.run(_FIND) for shell in shells))
    found = {shell: answer.text for shell, answer in zip(shells, asked, strict=True)}
    lacking = [shell for shell in shells if found[shell] != "docker"]
    told = await asyncio.gather(*(_provide(shell, found[shell], emit) for shell in lacking))
    failed = {shell.host: why for shell, why in zip(lacking, told, strict=True) if why}
    if failed:
        lines = "".join(f"\n    {host}: {why}" for host, why in failed.items())
        raise TargetError(
            f"Docker could not be installed on {len(failed)} host(s):{lines}",
            where=", ".join(failed),
            state="nothing else was changed on any host",
            next="install Docker there (https://docs.docker.com/engine/install), then run this again",
        )
    await require_docker(shells)
    return tuple(shell.host for shell in lacking if found[shell] != "ours")


async def _provide(shell: Shell, found: str, emit: Emit) -> str:
    """Why neither Docker nor podman is of use there; empty when one is. ``found``: by `podman.FIND`."""
    if found == "ours":
        return await _put_podman(shell, emit)
    if found == "podman":
        emit(Note(text=f"{shell.host} has podman and no Docker: podman takes its place"))
        return await _put_podman(shell, emit)
    emit(Note(text=f"{shell.host} has no Docker: it is installed by https://get.docker.com"))
    why = await _install(shell, emit)
    if not why or (await shell.run(_FIND)).text == "docker":
        return why
    emit(
        Note(
            text=f"{shell.host}: {why}; podman of its distribution is tried in the place of Docker"
        )
    )
    instead = await _put_podman(shell, emit)
    return f"{why}; and podman cannot take its place: {instead}" if instead else ""


async def _put_podman(shell: Shell, emit: Emit) -> str:
    """Why podman cannot take Docker's place there; empty when it does."""
    ran = await run_told(shell, _HAVE_PODMAN, emit, limit=INSTALL_LIMIT, check=False)
    if ran.status:
        return last_line_of(ran.err or ran.out, ran.status)
    version, *systemd = ran.text.split()
    known = podman.version_of(f"{podman.CALLED} {version}")
    if known is None or known < podman.MINIMUM:
        return f"podman {version} is too old: {'.'.join(map(str, podman.MINIMUM))} or newer can"
    await shell.put(podman.REGISTRIES_PATH, podman.REGISTRIES.encode(), mode=0o644)
    if systemd:
        await shell.put(podman.UNIT_PATH, podman.UNIT.encode(), mode=0o644)
        ran = await run_told(shell, ("sh", "-c", podman.ENABLE), emit, check=False)
        if ran.status:
            return last_line_of(ran.err or ran.out, ran.status)
    # Last, since it is what says that all of it is there.
    await shell.put(podman.PATH, podman.PROGRAM.encode(), mode=0o755)
    return ""


async def require_docker(shells: Collection[Shell]) -> None:
    """Raise `TargetError` where Docker does not answer, with its own words for each host."""
    told = await asyncio.gather(*(_without_docker(shell) for shell in shells))
    lacking = {shell.host: why for shell, why in zip(shells, told, strict=True) if why}
    if not lacking:
        return
    lines = "".join(f"\n    {host}: {why}" for host, why in lacking.items())
    raise TargetError(
        f"Docker cannot be used on {len(lacking)} host(s):{lines}",
        where=", ".join(lacking),
        state="no container was touched on any host",
        next="start Docker there, and let the user that logs in use it (`usermod -aG docker NAME`, then "
        "log in anew); then run this again",
    )


async def _install(shell: Shell, emit: Emit) -> str:
    """Why it failed, in the words of who tried; empty when it is there."""
    argv = ("sh", "-c", _INSTALL)
    ran = await run_told(shell, argv, emit, limit=INSTALL_LIMIT, check=False)
    return "" if ran.status == 0 else last_line_of(ran.err or ran.out, ran.status)


async def _without_docker(shell: Shell) -> str:
    """Why Docker cannot be used there, in its own words; empty when it can."""
    argv = ("docker", "version", "--format", "{{.Server.Version}}")
    found = await shell.run(argv, check=False, limit=30)
    return "" if found.status == 0 else last_line_of(found.err, found.status)
