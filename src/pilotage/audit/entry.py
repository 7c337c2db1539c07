"""One line of the audit, and two of them read as one command. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

BEGAN = "began"


@dataclass(frozen=True, slots=True)
class Line:
    """A command began, or ended. ``at``: Unix seconds, by the clock of whoever ran it.

    ``run``: the same in both lines of a command. ``who``: as Kamal says it; ``origin``: ``user@host:pid``.
    ``command``: as it was typed, without ``pilotage``. ``result``: ``began``, ``done``, ``failed``,
    ``refused`` or ``interrupted``; ``detail``: why.
    """

    run: str
    at: float
    who: str
    origin: str
    command: str
    result: str = BEGAN
    detail: str = ""

    def to_json(self) -> dict[str, Any]:
        """An object, in the order in which a person reads it; the time in UTC."""
        return {
            "at": datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds"),
            "who": self.who,
            "command": self.command,
            "result": self.result,
            "detail": self.detail,
            "origin": self.origin,
            "run": self.run,
        }

    def to_bytes(self) -> bytes:
        """A line of a log: one object of JSON."""
        return json.dumps(self.to_json(), ensure_ascii=False).encode() + b"\n"

    @classmethod
    def from_bytes(cls, text: bytes) -> Line | None:
        """The inverse of `to_bytes`; None for what is no such line (one that a full disk cut off)."""
        try:
            data: Mapping[str, Any] = json.loads(text)
            at = datetime.fromisoformat(data["at"]).timestamp()
            return cls(**{**data, "at": at})
        except (ValueError, TypeError, KeyError):
            return None


@dataclass(frozen=True, slots=True)
class Entry:
    """A command, from its beginning to its end. ``ended`` None: it never said how it ended."""

    line: Line
    ended: float | None = None

    def to_json(self) -> dict[str, Any]:
        """An object; times are Unix seconds."""
        line = self.line
        return {
            "run": line.run,
            "who": line.who,
            "origin": line.origin,
            "command": line.command,
            "began": line.at,
            "ended": self.ended,
            "result": line.result if self.ended is not None else "unknown",
            "detail": line.detail,
        }


def joined(lines: Iterable[Line]) -> list[Entry]:
    """The commands of these lines, in the order in which they began."""
    found: dict[str, Entry] = {}
    for line in sorted(lines, key=lambda line: line.at):
        known = found.get(line.run)
        if line.result == BEGAN:
            found.setdefault(line.run, Entry(line))
        else:
            began = known.line.at if known else line.at
            found[line.run] = Entry(replace(line, at=began), ended=line.at)
    return list(found.values())
