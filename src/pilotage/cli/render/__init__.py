"""How events are shown: live on a terminal, as plain lines elsewhere, as JSON lines for machines.

A renderer is an `Emit` for the length of a ``with`` block.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from pilotage.cli.options import Settings

if TYPE_CHECKING:
    from pilotage.events import Event


class Renderer(Protocol):
    """Shows events as they come."""

    def __call__(self, event: Event) -> None:
        """Show one."""
        ...


def renderer(settings: Settings) -> AbstractContextManager[Renderer]:
    """The renderer for these settings and this terminal."""
    if settings.as_json:
        from pilotage.cli.render.lines import JsonLines

        return JsonLines(settings)
    if settings.quiet or not sys.stdout.isatty():
        from pilotage.cli.render.lines import PlainLines

        return PlainLines(settings)
    from rich.console import Console

    from pilotage.cli.render.live import Live

    return Live(settings, Console(highlight=False))
