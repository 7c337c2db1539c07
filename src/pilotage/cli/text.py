"""Small pieces of text: lengths of time, numbers, columns. Pure."""

from __future__ import annotations

import shutil
import time
import unicodedata
from collections.abc import Iterable, Sequence

import click

from pilotage.errors import PilotageError


def seconds(value: float) -> str:
    """A length of time, short.

    >>> [seconds(s) for s in (0.004, 0.25, 3.14, 75, 3700, 200000)]
    ['4 ms', '0.2 s', '3.1 s', '1 min 15 s', '1 h 1 min', '2 d 7 h']
    """
    if value < 0.1:
        return f"{value * 1000:.0f} ms"
    if value < 60:
        return f"{value:.1f} s"
    whole = round(value)
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"


def ago(then: float | None, now: float) -> str:
    """How long ago a Unix time was.

    >>> ago(90, 100), ago(None, 100)
    ('10 s ago', 'never')
    """
    if then is None:
        return "never"
    length = max(0.0, now - then)
    return f"{length:.0f} s ago" if length < 60 else f"{seconds(length)} ago"


def clock(then: float) -> str:
    """A Unix time as local date and time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(then))


def count(number: int) -> str:
    """A whole number with thin groups of three.

    >>> count(1234567)
    '1 234 567'
    """
    return f"{number:,}".replace(",", " ")


def plural(number: int, noun: str) -> str:
    """
    >>> plural(1, "step"), plural(2, "step"), plural(2, "half")
    ('1 step', '2 steps', '2 halves')
    """
    nouns = {"half": "halves"}
    return f"{count(number)} {noun if number == 1 else nouns.get(noun, noun + 's')}"


def one_line(text: str, width: int) -> str:
    """The text on one line, cut at ``width`` characters.

    >>> one_line("SELECT a,\\n   b", 11)
    'SELECT a, b'
    >>> one_line("SELECT a, b", 8)
    'SELECT…'
    """
    flat = " ".join(text.split())
    return flat if len(flat) <= width else flat[: width - 1].rstrip() + "…"


def width_of(text: str) -> int:
    """How many columns of a terminal a text takes, styles aside."""
    plain = click.unstyle(text)
    return sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in plain)


def columns(rows: Iterable[Sequence[str]], *, indent: int = 2, gap: int = 2) -> list[str]:
    """Rows of cells as aligned lines.

    >>> columns([("a", "bb"), ("ccc", "d")])
    ['  a    bb', '  ccc  d']
    """
    table = [tuple(row) for row in rows]
    if not table:
        return []
    widths = [max(width_of(row[i]) for row in table) for i in range(len(table[0]))]
    return [
        (
            " " * indent
            + (" " * gap).join(
                cell + " " * (wide - width_of(cell)) for cell, wide in zip(row, widths, strict=True)
            )
        ).rstrip()
        for row in table
    ]


def wrapped(
    text: str, *, indent: int, first: str | None = None, width: float | None = None
) -> list[str]:
    """A paragraph, wrapped to the terminal; ``first`` stands before its first line.

    Styles take no room, and a word is never broken: a command can be copied from any line.

    >>> wrapped("one two three", indent=2, width=9)
    ['  one two', '  three']
    """
    lines: list[str] = []
    line = " " * indent if first is None else first
    room = page_width() if width is None else width
    empty = True
    for word in text.split():
        if not empty and width_of(line) + 1 + width_of(word) > room:
            lines.append(line)
            line, empty = " " * indent, True
        line += word if empty else f" {word}"
        empty = False
    return [*lines, line]


def page_width() -> int:
    """Columns to fill: those of the terminal, at most 110 and at least 60."""
    return max(60, min(110, shutil.get_terminal_size((100, 24)).columns))


def block(mark: str, error: PilotageError, *, width: float | None = None) -> list[str]:
    """An error on a page: what, where, what was left, what to do next.

    >>> error = PilotageError("it broke", where="a.sql:3", next="mend it")
    >>> print(click.unstyle("\\n".join(block("✗", error))))
    ✗ it broke
      where  a.sql:3
      next   mend it
    """
    first, *more = error.what.splitlines() or [""]
    lines = wrapped(f"{bad(mark)} {heading(first)}", indent=2, first="", width=width)
    lines += [f"  {line}".rstrip() for line in more]
    key = getattr(error, "key", "")
    parts = (("where", error.where), ("key", key), ("state", error.state), ("next", error.next))
    for name, body in parts:
        if body:
            label = f"  {dim(name.ljust(5))}  "
            first, *more = body.splitlines()
            lines += wrapped(first, indent=9, first=label, width=width)
            lines += [f"         {line}".rstrip() for line in more]
    return lines


def heading(text: str) -> str:
    """A heading of a page."""
    return click.style(text, bold=True)


def dim(text: str) -> str:
    """Something said quietly."""
    return click.style(text, dim=True)


def good(text: str) -> str:
    """Something as it should be."""
    return click.style(text, fg="green")


def bad(text: str) -> str:
    """Something wrong."""
    return click.style(text, fg="red")


def warn(text: str) -> str:
    """Something to look at."""
    return click.style(text, fg="yellow")
