"""Where things stand in a migration file: sections, statements, and the comments that belong to them.

Everything here counts characters of the whole file, so that an edit is three values: from, to, and what
goes in between. What no edit names stays as it is, to the byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pilotage.migrate import directives
from pilotage.migrate.migration import Migration, Section
from pilotage.migrate.sections import SECTIONS
from pilotage.migrate.sql import Change, Grammar, Statement
from pilotage.migrate.sql.token import Kind, Token, with_depth

_DBMATE = "migrate:"


@dataclass(frozen=True, slots=True)
class Edit:
    """Put ``text`` in place of the characters from ``start`` to ``end``."""

    start: int
    end: int
    text: str


def edited(text: str, edits: Iterable[Edit]) -> str:
    """The text with all edits made; of two at one place the first stands first."""
    in_order = sorted(edits, key=lambda e: (e.start, e.end))
    for edit in in_order[::-1]:
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


@dataclass(frozen=True, slots=True)
class Clause:
    """One change of a statement, where the statement can be taken apart; ``text`` does it alone.

    ``cuts`` (of the file) are what to delete so that the rest of the statement stays, its comments too.
    """

    text: str
    cuts: tuple[tuple[int, int], ...]


class Layout:
    """A file's text with what was read from it. Lines end in ``newline``, as most of them do already."""

    def __init__(self, text: str, migration: Migration, grammar: Grammar) -> None:
        self.text = text
        self.migration = migration
        self.grammar = grammar
        self.newline = "\r\n" if "\r\n" in text else "\n"
        self._lines = [0, *(i + 1 for i, c in enumerate(text) if c == "\n")]

    def section(self, name: str) -> Section | None:
        """A section by its name."""
        found: Section | None = getattr(self.migration, name)
        return found

    def start(self, section: Section) -> int:
        """Where a section's own text begins."""
        return self._lines[section.line - 1]

    def end(self, section: Section) -> int:
        """Where it ends: at the next marker, or with the file."""
        return self.start(section) + len(section.text)

    def marker(self, section: Section) -> tuple[int, int] | None:
        """The comment that opens a section, without its line's end; None in a file without sections."""
        if section.line == 1:
            return None
        start = self._lines[section.line - 2]
        return start, start + len(self.text[start : self.start(section)].rstrip("\r\n"))

    def dbmate(self, section: Section) -> bool:
        """Whether dbmate's marker opens it."""
        marker = self.marker(section)
        return marker is not None and _DBMATE in self.text[slice(*marker)]

    def whole(self, section: Section, statement: Statement) -> tuple[int, int]:
        """A statement with the comments above it and beside it, and its ``;``: what moves with it."""
        base = self.start(section)
        tokens = self.grammar.tokens(section.text)
        before = [t for t in tokens if t.end <= statement.start]
        after = [t for t in tokens if t.start >= statement.end]
        start = statement.start
        for token in reversed(before):
            between = section.text[token.end : start]
            if token.kind is not Kind.LINE_COMMENT or between.strip() or between.count("\n") > 1:
                break
            line = section.text.rfind("\n", 0, token.start) + 1
            directive = token.text[2:].strip().lower().startswith(directives.PREFIX)
            if section.text[line : token.start].strip() or directive:
                break
            start = token.start
        end = self._past_end(section, statement)
        for token in after:
            if token.start >= end:
                beside = section.text[end : token.start]
                if token.kind.comment and "\n" not in beside and not beside.strip():
                    end = token.end
                break
        line = section.text.rfind("\n", 0, start) + 1
        if not section.text[line:start].strip():
            start = line
        if end < len(section.text) and not section.text[end:].split("\n", 1)[0].strip():
            end += len(section.text[end:].split("\n", 1)[0])
            end += end < len(section.text)
        return base + start, base + end

    def _past_end(self, section: Section, statement: Statement) -> int:
        """The place behind the statement's ``;``, in the section's text."""
        for token in self.grammar.tokens(section.text):
            if token.start >= statement.end and not token.kind.comment:
                return token.end if token.is_(";") else statement.end
        return statement.end

    def clause(
        self, section: Section, statement: Statement, changes: list[Change], change: Change
    ) -> Clause | None:
        """One of several changes that stand in one statement behind commas; None for another shape."""
        base = self.start(section) + statement.start
        first = changes[0].offset
        commas = [
            token.start
            for depth, token in with_depth(self.grammar.tokens(statement.text))
            if depth == 0 and token.is_(",") and token.start > first
        ]
        index = next(i for i, other in enumerate(changes) if other is change)
        if len(commas) != len(changes) - 1 or first == 0:
            return None
        starts, ends = [first, *(comma + 1 for comma in commas)], [*commas, len(statement.text)]
        words = [
            token
            for token in code_tokens(self.grammar.tokens(statement.text))
            if starts[index] <= token.start < ends[index]
        ]
        if not words or not starts[index] <= change.offset < ends[index]:
            return None
        begin, end = words[0].start, words[-1].end
        for token in self.grammar.tokens(statement.text):
            if end <= token.start < ends[index] and token.kind is Kind.BLOCK_COMMENT:
                end = token.end
        cuts = self._cuts(statement.text, commas, index, begin, end)
        text = statement.text[:first].rstrip() + " " + statement.text[begin:end]
        return Clause(text, tuple((base + one, base + other) for one, other in cuts))

    @staticmethod
    def _cuts(
        text: str, commas: list[int], index: int, begin: int, end: int
    ) -> list[tuple[int, int]]:
        """The clause with the comma behind it, or of the last one that in front of it."""
        line = text.rfind("\n", 0, begin) + 1
        alone = line > 0 and not text[line:begin].strip()
        if index < len(commas):
            stop = commas[index] + 1
            if text[end : commas[index]].strip():  # a comment stands between them
                return [(begin, end), (commas[index], stop)]
            rest = text[stop:].split("\n", 1)[0]
            if alone and not rest.strip() and stop + len(rest) < len(text):
                return [(line, stop + len(rest) + 1)]
            return [(begin, stop + len(rest) - len(rest.lstrip(" \t")))]
        comma = commas[index - 1]
        if not text[comma + 1 : begin].strip():
            return [(comma, end)]
        return [(comma, comma + 1), (begin, end)]  # here as well

    def after(self, name: str) -> tuple[int, bool]:
        """Where a section that is not there yet would begin, and whether another one follows it."""
        later = [
            found
            for other in SECTIONS[SECTIONS.index(name) + 1 :]
            if (found := self.section(other)) is not None
        ]
        starts = [marker[0] for s in later if (marker := self.marker(s)) is not None]
        return (min(starts), True) if starts else (len(self.text), False)


def code_tokens(tokens: Iterable[Token]) -> list[Token]:
    """Without comments and ``;``."""
    return [token for token in tokens if not token.kind.comment and not token.is_(";")]


def comments(tokens: Iterable[Token]) -> Iterator[str]:
    """The comments among tokens."""
    return (token.text for token in tokens if token.kind.comment)
