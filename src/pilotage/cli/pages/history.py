"""The history of a service, newest first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pilotage.cli import text
from pilotage.edges import VERBS
from pilotage.model import HistoryEntry

_COLOURS = {"done": text.good, "running": text.warn, "interrupted": text.warn}


def page(entries: Sequence[HistoryEntry]) -> Iterator[str]:
    """The history for a person: two lines where there is more to say."""
    if not entries:
        yield text.dim("nothing was deployed yet")
        return
    rows = text.columns([_row(entry) for entry in entries], indent=0)
    for entry, row in zip(entries, rows, strict=True):
        yield row
        for told in _more(entry):
            yield text.dim(f"    {text.one_line(told, text.page_width() - 4)}")


def _more(entry: HistoryEntry) -> Iterator[str]:
    """The verdict is told where it is not the reason for how it ended."""
    if entry.detail:
        yield entry.detail
    if entry.verdict.partition(": ")[2] not in entry.detail:
        yield entry.verdict


def _row(entry: HistoryEntry) -> tuple[str, ...]:
    took = "" if entry.ended_at is None else text.seconds(entry.ended_at - entry.started_at)
    way = entry.to if entry.from_ in (None, entry.to) else f"{entry.from_} → {entry.to}"
    if entry.verb in VERBS:
        way = ""
    outcome = _COLOURS.get(entry.outcome, text.bad)(entry.outcome)
    return (text.clock(entry.started_at), entry.verb, way, outcome, took, text.dim(entry.who))
