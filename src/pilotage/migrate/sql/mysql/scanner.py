"""The tokens of MySQL and MariaDB.

Strings may stand in either quote and know the backslash; ``--`` begins a comment only before a blank, a
control character or the end; what stands in ``/*! … */`` and ``/*M! … */`` is run by one server or the
other and so is code here: their ends are tokens of the kind of a comment, and what is between them is read.
``DELIMITER`` is a word for the ``mysql`` client and never reaches a server: the whole line is one token, and
the mark that it sets is read as ``;`` is. sqlglot's tokenizer fails on it, and cuts bodies at ``;``.
"""

from __future__ import annotations

from functools import lru_cache

from pilotage.migrate.sql.statement import SqlError
from pilotage.migrate.sql.token import Kind, Token, line_of

_SPACE = " \t\n\r\f\v\0"
_QUOTES = "'\"`"


@lru_cache(maxsize=256)
def scan(text: str) -> tuple[Token, ...]:
    """The tokens of a text; raises `SqlError` where a quote or a comment is never closed."""
    return _Scanner(text).read()


def executable(token: Token) -> bool:
    """Whether it opens or closes a comment whose content is run."""
    return token.kind is Kind.BLOCK_COMMENT and (
        token.text == "*/" or token.text.startswith(("/*!", "/*M!"))
    )


def delimiter(token: Token) -> bool:
    """Whether it is a ``DELIMITER`` line."""
    return token.kind is Kind.BLOCK_COMMENT and token.text[:9].upper() == "DELIMITER"


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.mark = ";"
        self.found: list[Token] = []
        self.running = False  # inside a comment whose content is run
        self.begun = False  # whether a statement has begun, so that DELIMITER is no command

    def read(self) -> tuple[Token, ...]:
        at = 0
        while at < len(self.text):
            if self.text[at] in _SPACE:
                at += 1
                continue
            kind, end = self._token(at)
            text = self.text[at:end]
            if not kind.comment:
                self.begun = text != self.mark
            if kind is Kind.PUNCTUATION and text == self.mark:
                text = ";"
            self.found.append(Token(kind, text, at, end))
            at = end
        if self.running:
            raise self._unclosed("/*!", len(self.text) - 1)
        return tuple(self.found)

    def _token(self, at: int) -> tuple[Kind, int]:
        """The kind and the end of the token that begins at ``at``."""
        text = self.text
        first, pair = text[at], text[at : at + 2]
        if self.mark != ";" and text.startswith(self.mark, at):
            return Kind.PUNCTUATION, at + len(self.mark)
        if first == "#" or (pair == "--" and text[at + 2 : at + 3] <= " "):
            return Kind.LINE_COMMENT, self._line_end(at)
        if pair == "/*":
            return Kind.BLOCK_COMMENT, self._comment(at)
        if pair == "*/" and self.running:
            self.running = False
            return Kind.BLOCK_COMMENT, at + 2
        if first in _QUOTES:
            return (Kind.QUOTED if first == "`" else Kind.STRING), self._quoted(at)
        if first in "xXbBnN" and text[at + 1 : at + 2] == "'":
            return Kind.STRING, self._quoted(at + 1)
        if _in_name(first):
            return self._word(at)
        return Kind.PUNCTUATION, at + 1

    def _word(self, at: int) -> tuple[Kind, int]:
        text = self.text
        end = self._run(at)
        word = text[at:end]
        if not self.begun and word.upper() == "DELIMITER" and text[end : end + 1] in (" ", "\t"):
            line = self._line_end(at)
            mark = text[end:line].split()
            if mark:
                self.mark = mark[0]
                return Kind.BLOCK_COMMENT, line
        after_dot = bool(self.found) and self.found[-1].is_(".") and self.found[-1].end == at
        if after_dot or not word[0].isdigit():
            return Kind.WORD, end
        return self._number(at, end)

    def _number(self, at: int, end: int) -> tuple[Kind, int]:
        """A number, or a name that begins with a digit."""
        text = self.text
        if text[end : end + 1] == "." and text[at:end].isdecimal():
            end = self._run(end + 1)
        word = text[at:end].lower()
        if word[:2] in ("0x", "0b"):
            return Kind.NUMBER, end
        digits, letter, exponent = word.partition("e")
        if letter and not exponent and text[end : end + 1] in ("+", "-"):
            return Kind.NUMBER, self._run(end + 1)
        plain = digits.replace(".", "").isdecimal() and (not letter or exponent.isdecimal())
        return (Kind.NUMBER if plain or "." in word else Kind.WORD), end

    def _run(self, at: int) -> int:
        own = self.mark != ";"
        while at < len(self.text) and _in_name(self.text[at]):
            if own and self.text.startswith(self.mark, at):
                break
            at += 1
        return at

    def _line_end(self, at: int) -> int:
        found = self.text.find("\n", at)
        return len(self.text) if found < 0 else found

    def _comment(self, at: int) -> int:
        text = self.text
        head = 3 if text.startswith("/*!", at) else 4 if text.startswith("/*M!", at) else 0
        if head:
            self.running = True
            end = at + head
            while end < len(text) and text[end].isdigit() and end < at + head + 6:
                end += 1
            return end
        found = text.find("*/", at + 2)
        if found < 0:
            raise self._unclosed("/*", at)
        return found + 2

    def _quoted(self, at: int) -> int:
        """The end of a quoted token: a doubled quote stands for one, and ``\\`` protects in strings."""
        text, quote = self.text, self.text[at]
        end = at + 1
        while end < len(text):
            if text[end] == "\\" and quote != "`":
                end += 2
            elif text[end] != quote:
                end += 1
            elif text[end + 1 : end + 2] == quote:
                end += 2
            else:
                return end + 1
        raise self._unclosed(quote, at)

    def _unclosed(self, what: str, at: int) -> SqlError:
        return SqlError(f"the {what} is never closed", line=line_of(self.text, at))


def _in_name(character: str) -> bool:
    return character in "_$" or character > "\x7f" or character.isalnum()
