"""The audit of a service, oldest first: a line a command."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pilotage.audit import Entry
from pilotage.cli import text

_COLOURS = {"done": text.good, "unknown": text.warn, "interrupted": text.warn}


def page(entries: Sequence[Entry]) -> Iterator[str]:
    """The audit for a person: two lines where there is more to say."""
    if not entries:
        yield text.dim("nothing was changed yet")
        return
    rows = text.columns([_row(entry) for entry in entries], indent=0)
    for entry, row in zip(entries, rows, strict=True):
        yield row
        if entry.line.detail:
            yield text.dim(f"    {text.one_line(entry.line.detail, text.page_width() - 4)}")


def _row(entry: Entry) -> tuple[str, ...]:
    line = entry.line
    result = line.result if entry.ended is not None else "unknown"
    took = "" if entry.ended is None else text.seconds(entry.ended - line.at)
    told = _COLOURS.get(result, text.bad)(result)
    return (text.clock(line.at), line.who, told, took, line.command)
