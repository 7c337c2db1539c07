"""What every command does first: read the configuration, and open the project."""

from __future__ import annotations

import os
import re
import shlex
import socket
import sys
from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

from pilotage.cli.options import Settings
from pilotage.cli.selecting import Selectors
from pilotage.config import Config, load_config
from pilotage.events import Emit
from pilotage.hooks import Hook, Hooks
from pilotage.performer import performer, user
from pilotage.secret import MASK, mask
from pilotage.store import Claim
from pilotage.wiring import Project, Use, hooks_of, open_project

if TYPE_CHECKING:
    from pilotage.audit import Audit


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


def hooks_for(
    config: Config,
    settings: Settings,
    emit: Emit,
    *,
    version: str | None = None,
    hosts: Collection[str] | None = None,
    roles: Collection[str] = (),
) -> Hooks:
    """The project's hooks for this command; ``hosts`` and ``roles``: where it is about some of them."""
    return hooks_of(
        config,
        settings.command,
        emit,
        skip=settings.skip_hooks,
        verbose=settings.verbose,
        revision=version,
        hosts=hosts,
        roles=roles,
    )


@asynccontextmanager
async def opened(
    settings: Settings,
    emit: Emit,
    *,
    use: Use,
    deploying: bool = False,
    version: str | None = None,
    changes: bool = False,
    selectors: Selectors | None = None,
) -> AsyncIterator[Project]:
    """The project for the length of a command. ``changes``: it is one for the audit.

    ``selectors``: what it is about, as hooks are told of it; every host is connected to all the same.
    """
    config = configuration(settings, deploying=deploying, version=version)
    only = selectors or Selectors()
    hosts, roles = only.hosts_of(config), only.wanted_roles
    hooks = hooks_for(config, settings, emit, version=version, hosts=hosts, roles=roles)
    async with opened_with(config, hooks, settings, emit, use=use, changes=changes) as project:
        yield project


@asynccontextmanager
async def opened_with(
    config: Config,
    hooks: Hooks,
    settings: Settings,
    emit: Emit,
    *,
    use: Use,
    changes: bool,
    selected: Collection[str] | None = None,
) -> AsyncIterator[Project]:
    """`opened` with what was read already. ``pre-connect`` runs before anything is connected to.

    ``selected``: as `open_project` has it.
    """
    try:
        if _connects(config, use) and not settings.connected:
            await hooks.run(Hook.PRE_CONNECT)
        async with open_project(
            config, emit=emit, use=use, hooks=hooks, selected=selected
        ) as project:
            settings.secrets.extend(config.secrets.values())
            if not changes:
                yield project
                return
            async with recorded(project.audit, config, settings):
                yield project
    finally:
        settings.secrets.extend(config.secrets.values())


def on_terminal() -> bool:
    """Whether a command that we run for somebody can be given a terminal."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def recorded(
    audit: Audit, config: Config, settings: Settings, part: str = ""
) -> AbstractAsyncContextManager[None]:
    """A line in the audit that the command (or ``part`` of it) begins, and one at the end of the block how
    it ended."""
    return audit.command(
        typed(settings.typed) + (f" ({part})" if part else ""),
        who=lambda: performer(config.root),
        origin=owner(),
        tell=lambda text: mask(text, (*settings.secrets, *config.secrets.values())),
    )


def _connects(config: Config, use: Use) -> bool:
    """Whether hosts are connected to. To look at what runs on this machine, nothing is."""
    return use is not Use.DATABASE and (config.target != "local" or use is Use.ACT)


def typed(words: tuple[str, ...]) -> str:
    """A command line to be written down. The values of ``--env`` are nobody else's business."""
    pairs = zip(("", *words), words, strict=False)
    return shlex.join(_without_value(before, word) for before, word in pairs)


def _without_value(before: str, word: str) -> str:
    found = re.fullmatch(r"(-e|--env=)?([^=:]+[=:]).*", word, re.DOTALL)
    if found is None or not (found[1] or re.fullmatch(r"-[A-Za-z]*e|--env", before)):
        return word
    return f"{found[1] or ''}{found[2]}{MASK}"


def claim(what: str, *, reason: str = "", wait: float = 0.0) -> Claim:
    """The claim on the deploy lock of the person who runs this: ``user@host:pid``, and why."""
    return Claim(owner=owner(), reason=reason or what, wait=wait)


def owner() -> str:
    """Who runs this command, where, in which process."""
    return f"{user()}@{socket.gethostname()}:{os.getpid()}"
