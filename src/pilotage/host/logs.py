"""The output of instances: followed while they run, its last lines quoted when they fail."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from pathlib import Path

_LOOK = 0.03  # seconds between two looks at a file that is followed
_TAIL = 64 * 1024  # bytes at the end of a log in which its last lines are looked for


def tail(path: Path, lines: int | None) -> tuple[str, ...]:
    """The last lines of a log (of its last 64 KB), None for all of those; nothing when there is no log."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ()
    return tuple(deque(text.splitlines(), maxlen=lines))


def tail_start(path: Path, lines: int) -> int:
    """The byte at which the last lines of a log (of its last 64 KB) begin."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            before = max(0, size - _TAIL)
            file.seek(before)
            found = file.read().splitlines(keepends=True)
    except FileNotFoundError:
        return 0
    return size - sum(map(len, found[-lines:])) if lines else size


async def follow(
    path: Path, output: Callable[[str], None], *, running: Callable[[], bool], start: int = 0
) -> None:
    """Give every line from byte ``start`` on to ``output``, until ``running`` is false and all is read.

    A log that became shorter was rotated: it is read from its beginning.
    """
    rest = b""
    position = start
    while True:
        last = not running()
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            if file.seek(0, 2) < position:
                position = 0
            file.seek(position)
            while block := file.read(1 << 16):
                position += len(block)
                *lines, rest = (rest + block).split(b"\n")
                for line in lines:
                    output(line.decode(errors="replace"))
        if last:
            break
        await asyncio.sleep(_LOOK)
    if rest:
        output(rest.decode(errors="replace"))


def prune(directory: Path, *, keep: int, used: frozenset[str]) -> None:
    """Delete the oldest logs of instances that are forgotten, but the newest ``keep``."""
    logs = [path for path in directory.glob("*.log") if path.stem not in used]
    logs.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in logs[keep:]:
        path.unlink(missing_ok=True)
        path.with_name(f"{path.name}.1").unlink(missing_ok=True)
