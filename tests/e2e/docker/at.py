"""The command line, with something that happens in the middle: ``at.py EVENT:NUMBER SCRIPT WORDS…``.

Runs ``pilotage WORDS…``, which prints its events as JSON lines. When event ``NUMBER`` (from 0) of the class
``EVENT`` (any, where it is empty; ``EVENT/KIND``: of steps of a kind) is out, and before the command goes on,
``SCRIPT`` is run to its end by a shell; ``kill -KILL $PPID`` ends the command itself.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TextIO


class Watched:
    """Standard output, which acts when so many events are out."""

    def __init__(self, inner: TextIO, when: str, script: str) -> None:
        self._inner = inner
        self._event, _, number = when.partition(":")
        self._event, _, self._kind = self._event.partition("/")
        self._left = int(number) + 1
        self._script = script
        self._line = ""

    def write(self, text: str) -> int:
        """Write, and count."""
        written = self._inner.write(text)
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            event = json.loads(line)
            if self._event in ("", event.get("event")) and self._kind in ("", event.get("kind")):
                self._left -= 1
                if self._left == 0:
                    self._inner.flush()
                    subprocess.run(["sh", "-c", self._script], check=True)
        return written

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


if __name__ == "__main__":
    when, script, *words = sys.argv[1:]
    sys.stdout = Watched(sys.stdout, when, script)  # type: ignore[assignment]
    sys.argv = ["pilotage", *words]
    from pilotage.cli import main

    sys.exit(main())
