"""What an ERB template is rendered to, and what it may use. Imported by every command, so it stays light."""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path

# Private-use characters: they may stand anywhere in YAML and mean nothing there, so the text of a
# command that was not run cannot break the file around it.
OPENING, CLOSING = "\ue000", "\ue001"
_PLACE = re.compile(f"{OPENING}(\\d+){CLOSING}")


class NotRun(str):
    """The text that stands for the output of a command that was not run."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Context:
    """What a template may use.

    ``environ``: its ``ENV``, which it may write to. ``root``: where its paths and commands start.
    """

    environ: MutableMapping[str, str]
    root: Path
    run_commands: bool = False


@dataclass(frozen=True, slots=True)
class Rendered:
    """YAML text; ``lines[i]`` is the line of the template that line ``i + 1`` came from."""

    text: str
    lines: tuple[int, ...] = ()
    pieces: tuple[str, ...] = ()
    not_run: tuple[str, ...] = ()

    def line(self, number: int) -> int:
        """The line of the template behind a line of the text; 0 when nobody knows."""
        if not self.lines:
            return number
        return self.lines[min(number, len(self.lines)) - 1]

    def restore(self, text: str) -> str:
        """A scalar with the commands that were not run put back in; then it is a `NotRun`."""
        if not self.pieces or OPENING not in text:
            return text
        return NotRun(_PLACE.sub(self._piece, text))

    def _piece(self, found: re.Match[str]) -> str:
        index = int(found[1])  # the file may hold such characters itself
        return self.pieces[index] if index < len(self.pieces) else found[0]
