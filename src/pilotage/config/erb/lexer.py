"""Ruby code to tokens. Only what the parser knows; anything else is `Unsupported`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pilotage.config.erb.nodes import Unsupported

KEYWORDS = frozenset(
    "if unless elsif else end then do true false nil not and or".split()  # noqa: SIM905
)
_PAIRS = {"(": ")", "[": "]", "{": "}", "<": ">"}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "s": " ", "0": "\0", "e": "\x1b", "a": "\a"}
_SPACE = re.compile(r"[ \t\r]+|\\\n|#[^\n]*")
_NUMBER = re.compile(r"\d[\d_]*(?:\.\d[\d_]*)?")
_CONSTANT = re.compile(r"[A-Z]\w*(?:::[A-Z]\w*)*")
_NAME = re.compile(r"[a-z_]\w*[?!]?(?!=[^=~>])|[a-z_]\w*")
_SYMBOL = re.compile(r":([a-zA-Z_]\w*[?!]?)")
_OPERATOR = re.compile(r"\|\|=|&&|\|\||==|!=|<=|>=|&\.|\+=|[-+*/?:!<>=.,()\[\]{}|&;]")
_PERCENT = re.compile(r"%([xqQwW]?)([(\[{<|!/])")


@dataclass(frozen=True, slots=True)
class Token:
    """``kind``: int float string command words symbol name constant keyword operator newline,
    and from the template text, output and end."""

    kind: str
    value: str
    line: int
    parts: tuple[str | tuple[Token, ...], ...] = ()

    def is_(self, kind: str, *values: str) -> bool:
        """Whether it is of this kind, with one of these values."""
        return self.kind == kind and (not values or self.value in values)


def tokens(source: str, line: int) -> list[Token]:
    """The tokens of a piece of code that begins on ``line``.

    Raises
    ------
    Unsupported
        There is something in it that the evaluator does not know.
    """
    return _Lexer(source, line).run()


class _Lexer:
    def __init__(self, source: str, line: int) -> None:
        self._source = source
        self._line = line
        self._at = 0
        self._found: list[Token] = []

    def run(self) -> list[Token]:
        while self._at < len(self._source):
            self._next()
        return self._found

    def _add(self, kind: str, value: str, parts: tuple[str | tuple[Token, ...], ...] = ()) -> None:
        self._found.append(Token(kind, value, self._line, parts))

    def _next(self) -> None:
        source, at = self._source, self._at
        char = source[at]
        if char == "\n":
            self._add("newline", "\n")
            self._line += 1
            self._at += 1
        elif found := _SPACE.match(source, at):
            self._line += found[0].count("\n")
            self._at = found.end()
        elif char in "\"'`":
            self._quoted(char, char, at + 1, raw=char == "'", command=char == "`")
        elif char == "%" and (found := _PERCENT.match(source, at)) and self._starts_value():
            self._percent(found)
        elif found := _NUMBER.match(source, at):
            self._add("float" if "." in found[0] else "int", found[0].replace("_", ""))
            self._at = found.end()
        elif found := _CONSTANT.match(source, at):
            self._add("constant", found[0])
            self._at = found.end()
        elif found := _NAME.match(source, at):
            after_dot = bool(self._found) and self._found[-1].is_("operator", ".", "&.")
            keyword = found[0] in KEYWORDS and not after_dot
            self._add("keyword" if keyword else "name", found[0])
            self._at = found.end()
        elif self._starts_value() and (found := _SYMBOL.match(source, at)):
            self._add("symbol", found[1])
            self._at = found.end()
        elif (found := _OPERATOR.match(source, at)) and not (char == "/" and self._starts_value()):
            self._add("newline" if char == ";" else "operator", found[0])
            self._at = found.end()
        else:
            raise Unsupported(f"`{source[at : at + 12].splitlines()[0].strip()}`", self._line)

    def _starts_value(self) -> bool:
        """Whether a value may begin here, so that ``%`` or ``:`` is no operator.

        A ``:`` with a space before and a name right after it could be a ternary's, too: there
        Ruby itself wants a space after the colon.
        """
        if not self._found:
            return True
        last = self._found[-1]
        if last.kind in {"newline", "output", "keyword"}:
            return last.value not in {"end", "true", "false", "nil"}
        if last.kind == "operator":
            return last.value not in {")", "]", "}"}
        return last.kind == "name" and self._source[self._at - 1] in " \t"

    def _percent(self, found: re.Match[str]) -> None:
        kind, opening = found[1], found[2]
        closing = _PAIRS.get(opening, opening)
        if kind in {"w", "W"}:
            end = self._source.find(closing, found.end())
            if end < 0:
                raise Unsupported(f"`{found[0]}` without `{closing}`", self._line)
            self._add("words", self._source[found.end() : end])
            self._line += self._source.count("\n", self._at, end)
            self._at = end + 1
            return
        self._quoted(opening, closing, found.end(), raw=kind == "q", command=kind == "x")

    def _quoted(self, opening: str, closing: str, at: int, *, raw: bool, command: bool) -> None:
        """Read a string or a command up to its closing mark, with its ``#{…}`` parts."""
        source, first = self._source, at
        parts: list[str | tuple[Token, ...]] = []
        text, depth = "", 0
        while at < len(source):
            char = source[at]
            if char == "\\" and at + 1 < len(source):
                text += self._escaped(source[at + 1], closing, raw=raw)
                at += 2
            elif char == closing and depth == 0:
                parts.append(text)
                self._add(
                    "command" if command else "string",
                    source[first:at],
                    tuple(p for p in parts if p),
                )
                self._line += source.count("\n", self._at, at)
                self._at = at + 1
                return
            elif not raw and source.startswith("#{", at):
                end = _matching(source, at + 2)
                if end < 0:
                    break
                line = self._line + source.count("\n", self._at, at)
                parts += [text, tuple(tokens(source[at + 2 : end], line))]
                text, at = "", end + 1
            else:
                if opening != closing:
                    depth += (char == opening) - (char == closing)
                text += char
                at += 1
        raise Unsupported(f"`{opening}` without `{closing}`", self._line)

    def _escaped(self, char: str, closing: str, *, raw: bool) -> str:
        if raw:
            return char if char in {"\\", closing} else f"\\{char}"
        if char in "ux":
            raise Unsupported(f"the escape `\\{char}`", self._line)
        return "" if char == "\n" else _ESCAPES.get(char, char)


def _matching(source: str, at: int) -> int:
    """The index of the ``}`` that closes an interpolation; strings inside may have braces."""
    depth, quote = 0, ""
    while at < len(source):
        char = source[at]
        if quote:
            if char == "\\":
                at += 1
            elif char == quote:
                quote = ""
        elif char in "\"'`":
            quote = char
        elif char == "{":
            depth += 1
        elif char == "}":
            if depth == 0:
                return at
            depth -= 1
        at += 1
    return -1
