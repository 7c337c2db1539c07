"""Logging in at a registry, on any host; the password goes over standard input."""

from __future__ import annotations

from pilotage.errors import CommandFailed, TargetError
from pilotage.image import commands
from pilotage.image.spec import Login
from pilotage.shell.base import Shell
from pilotage.shell.fenced import Command
from pilotage.shell.outcome import last_line
from pilotage.shell.script import LINES


async def log_in(shell: Shell, login: Login, *, docker: str = "docker") -> None:
    """Log a host in.

    Raises
    ------
    TargetError
        The registry refused, or does not answer; quotes Docker's words.
    """
    argv = commands.login(login.server, login.user, docker=docker)
    try:
        await shell.run(argv, input=login.password.reveal().encode())
    except CommandFailed as error:
        raise refused(login, shell, last_line(error)) from error


def log_in_command(login: Login, *, docker: str = "docker") -> Command:
    """The command of a script that logs in; the password is on a descriptor of the script."""
    argv = commands.login(login.server, login.user, docker=docker)
    return Command(("sh", "-c", f'exec "$@" <{LINES}', "login", *argv), lines=(login.password,))


def refused(login: Login, shell: Shell, words: str) -> TargetError:
    """The error of a log-in that failed. ``words``: Docker's."""
    return TargetError(
        f"{login.user} could not log in at {login.server or 'Docker Hub'}: {words}",
        where=shell.host,
        state="nothing was changed",
        next="look at `registry:` in the configuration, and at the secret that it names",
    )


async def log_out(shell: Shell, server: str | None, *, docker: str = "docker") -> None:
    """Log a host out. Idempotent."""
    await shell.run(commands.logout(server, docker=docker))
