"""Blocks of bytes, as they come, into lines."""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import Callable

_LONGEST = 64 * 1024


class Lines:
    """Gives each whole line to ``output``, and keeps the last ``keep`` of them.

    Of a line that a progress bar wrote again and again, what stood there last is the line. An endless one
    is cut into pieces of 64 Ki characters. What is not UTF-8 is replaced.
    """

    def __init__(self, output: Callable[[str], None], *, keep: int = 0) -> None:
        self._output = output
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""
        self.kept: deque[str] = deque(maxlen=keep)

    def feed(self, block: bytes) -> None:
        """Take what came."""
        self._take(self._decoder.decode(block))

    def close(self) -> None:
        """Take the end: what has no newline after it is a line too."""
        self._take(self._decoder.decode(b"", final=True))
        if self._rest:
            rest, self._rest = self._rest, ""
            self._line(rest)

    def _take(self, text: str) -> None:
        # A carriage return at the end of a block may be half of a line's end.
        text = (self._rest + text).replace("\r\n", "\n")
        *whole, rest = text.split("\n")
        for line in whole:
            self._line(line)
        while len(rest) > _LONGEST:
            self._line(rest[:_LONGEST])
            rest = rest[_LONGEST:]
        self._rest = rest

    def _line(self, line: str) -> None:
        line = line.removesuffix("\r").rpartition("\r")[2]
        self.kept.append(line)
        self._output(line)
