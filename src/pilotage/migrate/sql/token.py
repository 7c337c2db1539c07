"""Tokens, alike for every dialect: what finds section markers, directives and a batch's WHERE.

A tree says what a statement means; only tokens say where its words stand in the author's own text,
and that text is what runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import NamedTuple


class Kind(Enum):
    """What a token is."""

    WORD = "word"  # a keyword or a bare name
    QUOTED = "quoted"  # a quoted name
    STRING = "string"  # a literal: quoted, dollar-quoted, binary
    NUMBER = "number"
    PUNCTUATION = "punctuation"
    LINE_COMMENT = "line comment"  # -- to the end of the line
    BLOCK_COMMENT = "block comment"

    @property
    def comment(self) -> bool:
        """Whether the database reads past it."""
        return self in (Kind.LINE_COMMENT, Kind.BLOCK_COMMENT)


class Token(NamedTuple):
    """One token; ``start`` and ``end`` count characters. A tuple, for there are many of them."""

    kind: Kind
    text: str
    start: int
    end: int

    @property
    def word(self) -> str:
        """The upper-case word, or ``""`` for anything but a word."""
        return self.text.upper() if self.kind is Kind.WORD else ""

    def named(self, *words: str) -> bool:
        """Whether it is one of these (upper-case) words."""
        return self.kind is Kind.WORD and self.text.upper() in words

    def is_(self, *marks: str) -> bool:
        """Whether it is one of these punctuation marks."""
        return self.kind is Kind.PUNCTUATION and self.text in marks


OPENING, CLOSING = ("(", "["), (")", "]")


def code(tokens: Sequence[Token]) -> list[Token]:
    """The tokens that are not comments."""
    return [token for token in tokens if not token.kind.comment]


def with_depth(tokens: Sequence[Token]) -> Iterator[tuple[int, Token]]:
    """Each token with the number of parentheses and brackets around it."""
    depth = 0
    for token in tokens:
        if token.is_(*CLOSING):
            depth -= 1
        yield depth, token
        if token.is_(*OPENING):
            depth += 1


def between_commas(tokens: Sequence[Token]) -> list[list[Token]]:
    """The tokens between commas that stand in no parentheses; where nothing does, an empty list."""
    parts: list[list[Token]] = [[]]
    for depth, token in with_depth(tokens):
        if token.is_(",") and not depth:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def line_of(text: str, offset: int) -> int:
    """The line, from 1, on which a character stands."""
    return text.count("\n", 0, offset) + 1


def column_of(text: str, offset: int) -> int:
    """The column, from 1, in which a character stands."""
    return offset - text.rfind("\n", 0, offset)
