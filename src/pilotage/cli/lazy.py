"""A click group that knows its commands by name and imports each when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import click

from pilotage.cli.instead import Group


class Entry(NamedTuple):
    """Where a command is (``module``, whose ``name`` it is), and its line in the list of all."""

    module: str
    summary: str
    name: str = "command"


class LazyGroup(Group):
    """``entries``: name → `Entry`, in the order in which they are listed, under headings.

    ``also``: other words for them, which are not listed.
    """

    def __init__(
        self,
        *args: Any,
        entries: Mapping[str, Mapping[str, Entry]] | None = None,
        also: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.sections = entries or {}
        self.also = also or {}
        self.entries = {n: e for section in self.sections.values() for n, e in section.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every name; nothing is imported."""
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command."""
        entry = self.entries.get(self.also.get(cmd_name, cmd_name))
        if entry is None:
            return None
        command = getattr(import_module(entry.module), entry.name)
        assert isinstance(command, click.Command), entry.module
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, and with the nearest name where there is no such command."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            near = get_close_matches(args[0], self.entries, n=1)
            if not near:
                raise
            text = f"No such command {args[0]!r}. Did you mean {near[0]!r}?"
            raise click.UsageError(text, ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing any."""
        width = max(len(name) for name in self.entries)
        for heading, section in self.sections.items():
            with formatter.section(heading):
                formatter.write_dl([(n.ljust(width), e.summary) for n, e in section.items()])

    def shell_complete(
        self, ctx: click.Context, incomplete: str
    ) -> list[click.shell_completion.CompletionItem]:
        """Names of commands, without importing any."""
        from click.shell_completion import CompletionItem

        names = [
            CompletionItem(name, help=entry.summary)
            for name, entry in self.entries.items()
            if name.startswith(incomplete)
        ]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]
