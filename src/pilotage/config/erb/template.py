"""Cuts an ERB template into text and code, as ERB does with ``trim_mode: "-"``.

One thing differs on purpose: a tag that stands in a YAML comment stays as it is. People comment lines
out, and a command in a comment must not run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from pilotage.config.erb.nodes import Unsupported

_TAG = re.compile(r"<%%|<%(?P<open>[-=#]?)")
_END = re.compile(r"(?<!%)(?P<trim>-?)%>")
_BLOCK_SCALAR = re.compile(r"(?:^|[\s:-])[|>][+-]?\d?[+-]?\s*(?:#.*)?$")


class Kind(Enum):
    """What a part is."""

    TEXT = "text"
    CODE = "code"
    OUTPUT = "output"


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the template; ``line`` (from 1) is where it begins."""

    kind: Kind
    source: str
    line: int


def scan(template: str) -> Iterator[Part]:
    """The parts of a template, in order.

    Raises
    ------
    Unsupported
        A tag is never closed.
    """
    position = 0
    text = ""
    start = 0  # where the pending text begins
    comments = _Comments()
    while found := _TAG.search(template, position):
        before = template[position : found.start()]
        comments.feed(before)
        text += before
        line = template.count("\n", 0, found.start()) + 1
        if found[0] == "<%%":
            text += "<%"
            comments.feed(found[0])
            position = found.end()
            continue
        end = _END.search(template, found.end())
        if end is None:
            raise Unsupported("`<%` without `%>`", line)
        if comments.inside:
            text += template[found.start() : end.end()]
            comments.feed("x" + "\n" * template.count("\n", found.start(), end.end()))
            position = end.end()
            continue
        if found["open"] == "-":
            text = re.sub(r"(^|\n)[ \t]*\Z", r"\1", text)
        if text:
            yield Part(Kind.TEXT, text, template.count("\n", 0, start) + 1)
            text = ""
        code = template[found.end() : end.start()]
        if found["open"] != "#":
            kind = Kind.OUTPUT if found["open"] == "=" else Kind.CODE
            yield Part(kind, code.replace("%%>", "%>"), line)
        comments.feed("x")
        position = end.end()
        if end["trim"] and template.startswith("\n", position):
            comments.feed("\n")
            position += 1
        start = position
    text += template[position:]
    if text:
        yield Part(Kind.TEXT, text, template.count("\n", 0, start) + 1)


class _Comments:
    """Follows the text line by line and knows whether the next character is in a YAML comment."""

    def __init__(self) -> None:
        self._line = ""
        self._scalar: int | None = None  # indentation of the key whose block scalar we are in

    def feed(self, text: str) -> None:
        """Go on over ``text``."""
        *ended, rest = text.split("\n")
        for line in ended:
            self._end(self._line + line)
            self._line = ""
        self._line += rest

    def _end(self, line: str) -> None:
        if not line.strip():
            return
        indent = len(line) - len(line.lstrip(" "))
        if self._scalar is not None and indent > self._scalar:
            return
        self._scalar = indent if _BLOCK_SCALAR.search(_without_comment(line)) else None

    @property
    def inside(self) -> bool:
        """Whether the line so far ends in a comment."""
        if self._scalar is not None:
            indent = len(self._line) - len(self._line.lstrip(" "))
            if indent > self._scalar:
                return False
        return _without_comment(self._line) != self._line


def _without_comment(line: str) -> str:
    quote = ""
    for index, char in enumerate(line):
        if quote:
            if char == quote and not (quote == '"' and line[index - 1] == "\\"):
                quote = ""
        elif char in "'\"" and (index == 0 or line[index - 1] in " \t[{,:-"):
            quote = char
        elif char == "#" and (index == 0 or line[index - 1] in " \t"):
            return line[:index]
    return line
