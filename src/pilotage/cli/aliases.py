"""Words that the project's ``aliases:`` stand for, and Kamal's words that pilotage has not.

The configuration is read only when a word is no command: an alias never hides one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from pilotage.cli.lazy import LazyGroup

_FILES = ("config/deploy.yml", "deploy.yml")
"""As in `pilotage.config.load`, which is too slow to import for a word that is mistyped."""

WHY_NOT: Mapping[str, str] = {
    "accessory": "accessories are containers, and this version runs none yet",
    "build": "a deploy on this machine checks the commit out, and builds no image",
    "docs": "the keys of the configuration are described in docs/reference/configuration.md",
    "proxy": "a deploy starts the edge, and `pilotage remove` ends it",
    "prune": "every deploy removes what nothing needs any more",
    "registry": "a deploy on this machine needs no image",
    "server": "this machine needs no set-up",
    "setup": "`pilotage deploy` sets up what it needs",
    "upgrade": "that is for a project of Kamal 1; Kamal 2 files are read as they are",
    "version": "it is `pilotage --version`; `pilotage app version` tells what runs",
}
"""Kamal's command → what to do instead. One that is built is found before it is looked for here."""


class AliasGroup(LazyGroup):
    """A `LazyGroup` that knows the project's aliases as well."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """A command, or what an alias of the project stands for."""
        name = args[0]
        if name in self.entries or name.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        expanded = self._expanded(ctx, args)
        first = expanded[0]
        if first not in self.entries and first in WHY_NOT:
            raise click.UsageError(f"{_said(name, first)}: {WHY_NOT[first]}.", ctx)
        if first != name and first not in self.entries:
            raise click.UsageError(f"{_said(name, first)}.", ctx)
        return super().resolve_command(ctx, expanded)

    def _expanded(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The words with every alias at their front replaced; of an alias of an alias, too."""
        import shlex

        known: Mapping[str, str] | None = None
        seen: list[str] = []
        while args[0] not in self.entries:
            known = _aliases(ctx, args) if known is None else known
            words = known.get(args[0])
            if words is None:
                return args
            if args[0] in seen:
                raise click.UsageError(f"The alias {args[0]!r} stands for itself.", ctx)
            seen.append(args[0])
            try:
                front = shlex.split(words)
            except ValueError as error:
                raise click.UsageError(f"The alias {args[0]!r}: {error}.", ctx) from error
            if not front:
                raise click.UsageError(f"The alias {args[0]!r} stands for nothing.", ctx)
            args = [*front, *args[1:]]
        return args


def _said(name: str, first: str) -> str:
    what = f"There is no command {first!r}"
    return what if name == first else f"The alias {name!r} stands for {first!r} … {what}"


def _aliases(ctx: click.Context, args: list[str]) -> Mapping[str, str]:
    """The aliases of the configuration that the command line names, before or after the word."""
    given = ctx.params.get("config_file") or _option(args, "-c", "--config-file")
    path = Path(given) if given else None
    if path is None and not any(Path(name).is_file() for name in _FILES):
        return {}
    from pilotage.config import load_config
    from pilotage.errors import PilotageError

    destination = ctx.params.get("destination") or _option(args, "-d", "--destination")
    try:
        return load_config(path, destination=destination).aliases
    except PilotageError as error:
        raise click.UsageError(
            f"No such command {args[0]!r}; and whether it is an alias cannot be told: {error.what}"
            f" ({error.where}).",
            ctx,
        ) from error


def _option(args: list[str], short: str, long: str) -> str | None:
    """The value of an option that stands among words which nothing has parsed yet."""
    for index, word in enumerate(args):
        if word in (short, long) and index + 1 < len(args):
            return args[index + 1]
        if word.startswith(f"{long}="):
            return word.removeprefix(f"{long}=")
        if word.startswith(short) and not word.startswith("--") and len(word) > len(short):
            return word.removeprefix(short)
    return None
