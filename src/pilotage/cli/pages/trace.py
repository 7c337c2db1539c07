"""A trace for a person: a table a half, with what each statement locked, wrote anew and read."""

from __future__ import annotations

from collections.abc import Iterator

import click

from pilotage.cli import text
from pilotage.trace.report import Lock, Stops, Trace, TracedHalf, TracedStatement
from pilotage.trace.words import estimated, heaviest, length, work

_COLOURS = {Stops.EVERYBODY: "red", Stops.WRITERS: "yellow"}


def page(found: Trace) -> Iterator[str]:
    """All of it, line by line."""
    yield text.heading(f"measured on {found.server}")
    yield from text.wrapped(f"on a clone that has {found.schema}; it is gone again", indent=2)
    yield ""
    for half in found.halves:
        yield from _half(half)
        yield ""
    for note in found.notes:
        yield from text.wrapped(note, indent=2, first=text.dim("note: "))
    if found.error is not None:
        yield from text.block("✗", found.error)
        yield ""
    if any(lock.stops >= Stops.WRITERS for s in found.statements for lock in s.locks):
        yield text.dim("red: readers and writers wait; yellow: writers wait")


def _half(half: TracedHalf) -> Iterator[str]:
    if half.section == "backfill":
        how = "in batches"
    else:
        how = "one transaction" if half.transaction else "statement by statement"
    yield f"{text.heading(str(half))}  {text.dim(f'{how}, {length(half.seconds)} of work')}"
    if not half.statements:
        yield text.dim("  no row to go through, so nothing was measured")
        return
    rows = [("line", "statement", "locks on what was there", "held", "time")]
    details: list[list[str]] = []
    for statement in half.statements:
        locks = heaviest(statement.locks)
        rows.append(
            (
                str(statement.line),
                text.one_line(statement.text, _room()),
                _lock(locks[0]) if locks else text.dim(_none(statement)),
                _held(locks[0]) if locks else "",
                length(statement.seconds),
            )
        )
        details.append([*_more(locks), *_work(statement)])
    head, *lines = text.columns(rows)
    yield text.dim(head)
    for line, detail in zip(lines, details, strict=True):
        yield line
        for one in detail:
            yield from text.wrapped(one, indent=10, first=" " * 8)


def _room() -> int:
    """Columns for a statement: what the others leave."""
    return max(20, text.page_width() - 64)


def _none(statement: TracedStatement) -> str:
    under = heaviest(statement.under)
    return f"(under {under[0].mode} from above)" if under else "none that anybody waits for"


def _lock(lock: Lock) -> str:
    words = f"{lock.mode} on {lock.relation}"
    colour = _COLOURS.get(lock.stops)
    return click.style(words, fg=colour) if colour else words


def _held(lock: Lock) -> str:
    return length(lock.seconds)


def _more(locks: tuple[Lock, ...]) -> Iterator[str]:
    for lock in locks[1:]:
        yield f"and {_lock(lock)}, {_held(lock)}"


def _work(statement: TracedStatement) -> Iterator[str]:
    done = list(work(statement))
    if statement.rows:
        done.append(f"{text.plural(statement.rows, 'row')} changed")
    if statement.batches:
        done.append(
            f"{text.count(statement.batches)} batches, the slowest {length(statement.slowest)}"
        )
    if statement.wal >= 65536:
        done.append(f"{_size(statement.wal)} of log")
    if done:
        said = "; ".join(done)
        yield click.style(said, fg=_COLOURS[statement.stops]) if statement.is_felt else said
    guess = estimated(statement)
    if guess:
        yield guess


def _size(number: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number} B"
