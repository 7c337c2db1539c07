"""Config and command line → the hooks of a run."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from pilotage.config import Config
from pilotage.config.select import all_hosts
from pilotage.errors import PilotageError
from pilotage.events import Emit
from pilotage.hooks import OWN_FOLDER, Command, Hooks
from pilotage.performer import performer
from pilotage.source import GitSource


def hooks_of(
    config: Config,
    words: tuple[str, ...],
    emit: Emit,
    *,
    skip: bool = False,
    verbose: bool = False,
    revision: str | None = None,
    hosts: Collection[str] | None = None,
    roles: Collection[str] = (),
) -> Hooks:
    """The hooks of the project for a command; ``words``: its name, and its subcommand's.

    ``verbose``: their output is shown where the configuration does not say. ``revision``: what the command
    line names. ``hosts``: those that it is about, None for all of them, those of accessories too, as Kamal
    tells them; ``roles``: those that were asked for.
    """

    def command() -> Command:
        return Command(
            service=config.service,
            words=words,
            hosts=all_hosts(config) if hosts is None else tuple(hosts),
            performer=performer(config.root),
            destination=config.destination,
            roles=tuple(roles),
        )

    async def version() -> str:
        """The commit that the command is about, as far as git knows; a hook may run without one."""
        source = GitSource(root=config.root, state_dir=config.root / ".pilotage")
        named = revision or config.version
        try:
            return (await source.resolve(named)).sha
        except PilotageError:
            return named or ""

    def shown(hook: str) -> bool:
        wanted = config.hook_output(hook)
        return verbose if wanted is None else wanted == "verbose"

    return Hooks(
        folders=folders_of(config),
        root=config.root,
        command=command,
        secrets=config.store.all,
        version=version,
        shown=shown,
        told=lambda hook: verbose or config.hook_output(hook) != "quiet",
        emit=emit,
        skip=skip,
    )


def folders_of(config: Config) -> tuple[Path, ...]:
    """Where hooks are looked for, the strongest first."""
    return (config.root / OWN_FOLDER, config.hooks_path)
