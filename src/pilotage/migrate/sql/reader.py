"""The tokens of one statement, and how far they are read: for dialects whose definitions are read by hand."""

from __future__ import annotations

from pilotage.migrate.sql.change import Name
from pilotage.migrate.sql.token import Kind, Token, between_commas


class Unreadable(Exception):
    """The statement is not what the grammar of definitions expects."""


class Reader:
    """Reads tokens in order. Every method raises `Unreadable` where they are not what must follow."""

    def __init__(self, sql: str, tokens: list[Token]) -> None:
        self.sql = sql
        self.tokens = tokens
        self.at = 0

    @property
    def rest(self) -> list[Token]:
        """What is not read yet."""
        return self.tokens[self.at :]

    @property
    def over(self) -> bool:
        """Whether all is read."""
        return self.at >= len(self.tokens)

    def next(self) -> Token:
        """The next token, read."""
        if self.over:
            raise Unreadable
        self.at += 1
        return self.tokens[self.at - 1]

    def accept(self, *words: str) -> bool:
        """Read these words where all of them follow."""
        following = self.tokens[self.at : self.at + len(words)]
        if [token.word for token in following] != list(words):
            return False
        self.at += len(words)
        return True

    def accept_one(self, *words: str) -> str:
        """Read one of these words where one follows; ``""`` for none."""
        return next((word for word in words if self.accept(word)), "")

    def expect(self, *words: str) -> None:
        """Read these words."""
        if not self.accept(*words):
            raise Unreadable

    def mark(self, mark: str) -> bool:
        """Read this punctuation mark where it follows."""
        if self.over or not self.tokens[self.at].is_(mark):
            return False
        self.at += 1
        return True

    def sees(self, mark: str) -> bool:
        """Whether this punctuation mark follows."""
        return not self.over and self.tokens[self.at].is_(mark)

    def name(self) -> str:
        """A name, as it is written."""
        return unquoted(self.next())

    def qualified(self) -> Name:
        """``[schema.]name``."""
        first = self.name()
        return Name(first, self.name()) if self.mark(".") else Name(None, first)

    def exists(self, *words: str) -> bool:
        """``IF EXISTS`` or ``IF NOT EXISTS``."""
        return self.accept("IF", *words, "EXISTS")

    def group(self) -> list[Token]:
        """The tokens inside the parentheses that open here."""
        if not self.mark("("):
            raise Unreadable
        begin, depth = self.at, 1
        while depth:
            token = self.next()
            depth += token.is_("(") - token.is_(")")
        return self.tokens[begin : self.at - 1]


def unquoted(token: Token) -> str:
    """The name that a token writes."""
    if token.kind is Kind.WORD:
        return token.text
    if token.kind not in (Kind.QUOTED, Kind.STRING) or len(token.text) < 2:
        raise Unreadable
    close = token.text[-1]
    return token.text[1:-1].replace(close * 2, close)


def parted(tokens: list[Token]) -> list[list[Token]]:
    """The tokens between top-level commas."""
    parts = between_commas(tokens)
    if not all(parts):
        raise Unreadable
    return parts
