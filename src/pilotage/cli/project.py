"""What every command does first: read the configuration, and open the project."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pilotage.cli.options import Settings
from pilotage.config import Config, load_config
from pilotage.events import Emit
from pilotage.store import Claim
from pilotage.wiring import Project, Use, open_project


def configuration(
    settings: Settings, *, deploying: bool = False, version: str | None = None
) -> Config:
    """The configuration that the command line names; its secrets are masked from now on.

    ``deploying``: commands in the files are run, as for every verb that deploys.
    """
    config = load_config(
        settings.config_file,
        destination=settings.destination,
        run_commands=deploying or settings.run_commands,
        version=version,
    )
    settings.secrets.extend(config.secrets.values())
    return config


@asynccontextmanager
async def opened(
    settings: Settings,
    emit: Emit,
    *,
    use: Use,
    deploying: bool = False,
    version: str | None = None,
) -> AsyncIterator[Project]:
    """The project for the length of a command."""
    config = configuration(settings, deploying=deploying, version=version)
    try:
        async with open_project(config, emit=emit, use=use) as project:
            settings.secrets.extend(config.secrets.values())
            yield project
    finally:
        settings.secrets.extend(config.secrets.values())


def claim(what: str, *, reason: str = "", wait: float = 0.0) -> Claim:
    """The claim on the deploy lock of the person who runs this: ``user@host:pid``, and why."""
    return Claim(owner=owner(), reason=reason or what, wait=wait)


def owner() -> str:
    """Who runs this command, where, in which process."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # an account without a name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}:{os.getpid()}"
