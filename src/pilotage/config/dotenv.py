"""Secrets files: the syntax of Ruby's dotenv gem, as Kamal reads them.

``NAME=value``, ``export NAME=value``, ``NAME: value``; quotes; values over several lines in quotes;
``# comments``; ``$NAME`` and ``${NAME}``; ``$(command)``. Between single quotes nothing is replaced.
A value is parsed first and evaluated only when somebody needs it, so that a command runs once, and not
at all for a verb that does not need its secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_LINE = re.compile(
    r"""
    ^[ \t]*
    (?:export[ \t]+)?
    (?P<name>[\w.]+)
    (?:[ \t]*=|:[ \t]+?|:(?=$))         # NAME= or NAME:
    (?P<value>
        [ \t]*'(?:\\'|[^'])*'
      | [ \t]*"(?:\\"|[^"])*"
      | [^\#\n]+
    )?
    [ \t]*(?:\#[^\n]*)?$
    """,
    re.VERBOSE | re.MULTILINE,
)
_QUOTED = re.compile(r"(['\"])(.*)\1", re.DOTALL)
_ESCAPED = re.compile(r"\\([^$])")
_VARIABLE = re.compile(r"(\\)?\$(?!\()\{?([A-Za-z0-9_]+)?\}?")
_IGNORED = re.compile(r"\s*(?:#.*)?")
_DECLARED = re.compile(r"\s*export(?:\s+[\w.]+)+\s*(?:#.*)?")


class Malformed(ValueError):
    """A line is no assignment; ``line`` counts from 1."""

    def __init__(self, line: int) -> None:
        super().__init__("should be NAME=value")
        self.line = line


@dataclass(frozen=True, slots=True)
class Entry:
    """One assignment. ``raw`` is the value without its quotes, ``quote`` the quote or nothing."""

    name: str
    raw: str
    quote: str
    file: str
    line: int

    @property
    def commands(self) -> tuple[str, ...]:
        """The commands in the value, as they are written."""
        return tuple(_command(self._text)) if self.quote != "'" else ()

    @property
    def names(self) -> frozenset[str]:
        """The variables that the value refers to."""
        if self.quote == "'":
            return frozenset()
        return frozenset(
            found[2] for found in _VARIABLE.finditer(self._text) if found[2] and not found[1]
        )

    @property
    def _text(self) -> str:
        text = self.raw
        if self.quote == '"':
            # dotenv 3 keeps `\\n` as two characters; a line break is written as one.
            text = text.replace("\\n", "\\\\n").replace("\\r", "\\\\r")
        return _ESCAPED.sub(r"\1", text)

    def evaluate(self, lookup: Callable[[str], str], run: Callable[[str], str]) -> str:
        """The value. ``lookup`` gives a variable's value, ``run`` a command's output.

        Variables are replaced first, also inside of commands, as the gem does.
        """
        if self.quote == "'":
            return self.raw

        def variable(found: re.Match[str]) -> str:
            if found[1]:
                return found[0][1:]
            return lookup(found[2]) if found[2] else found[0]

        return _replace_commands(_VARIABLE.sub(variable, self._text), run)


def parse(text: str, file: str) -> Iterator[Entry]:
    """The assignments of a file, in order; a later one of the same name wins.

    Raises
    ------
    Malformed
        A line is neither an assignment nor a comment.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    position = 0
    for found in _LINE.finditer(text):
        _nothing_between(text, position, found.start())
        position = found.end()
        value = (found["value"] or "").strip()
        quoted = _QUOTED.fullmatch(value)
        line = text.count("\n", 0, found.start("name")) + 1
        yield Entry(
            name=found["name"],
            raw=quoted[2] if quoted else value,
            quote=quoted[1] if quoted else "",
            file=file,
            line=line,
        )
    _nothing_between(text, position, len(text))


def _nothing_between(text: str, start: int, end: int) -> None:
    line = text.count("\n", 0, start) + 1
    for offset, skipped in enumerate(text[start:end].split("\n")):
        if not _IGNORED.fullmatch(skipped) and not _DECLARED.fullmatch(skipped):
            raise Malformed(line + offset)


def _command(text: str) -> Iterator[str]:
    for start, end, escaped in _spans(text):
        if not escaped:
            yield text[start + 2 : end - 1]


def _replace_commands(text: str, run: Callable[[str], str]) -> str:
    result, position = "", 0
    for start, end, escaped in _spans(text):
        if escaped:
            result += text[position : start - 1] + text[start:end]
        else:
            result += text[position:start] + _chomp(run(text[start + 2 : end - 1]))
        position = end
    return result + text[position:]


def _chomp(text: str) -> str:
    return re.sub(r"(?:\r\n|\n|\r)\Z", "", text)


def _spans(text: str) -> Iterator[tuple[int, int, bool]]:
    """Where each ``$(…)`` begins and ends, and whether a backslash stands before it."""
    at = 0
    while (start := text.find("$(", at)) >= 0:
        end = _closing(text, start + 2)
        if end < 0:
            at = start + 2
            continue
        yield start, end, start > 0 and text[start - 1] == "\\"
        at = end


def _closing(text: str, at: int) -> int:
    """The index after the ``)`` that ends a command; quotes and nested parentheses are skipped."""
    depth, quote = 1, ""
    while at < len(text):
        char = text[at]
        if char == "\\" and quote != "'":
            at += 1
        elif quote:
            if char == quote:
                quote = ""
        elif char in "'\"":
            quote = char
        elif char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
            if depth == 0:
                return at + 1
        at += 1
    return -1
