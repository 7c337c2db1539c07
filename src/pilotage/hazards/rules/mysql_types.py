"""What the rules for MySQL know of types: which changes leave stored values as they are."""

from __future__ import annotations

from pilotage.migrate.sql import grammar
from pilotage.migrate.sql.mysql.types import plain_type
from pilotage.migrate.sql.token import Kind, Token

_BYTES = 4  # of a character in utf8mb4, the servers' default
_NOW = frozenset({"CURRENT_TIMESTAMP", "NOW", "LOCALTIME", "LOCALTIMESTAMP"})


def stays(before: str, after: str) -> bool:
    """Whether every value is stored as it was: the same type, a longer VARCHAR, more values of an ENUM."""
    one, other = values(before), values(after)
    if one and other:
        return one[0] == other[0]  # what else there is of it belongs to the rule `enum-values`
    short, long = varchar_bytes(before), varchar_bytes(after)
    if short and long:
        return long >= short  # over the length byte: the rule `varchar-length-byte`
    one_type, other_type = plain_type(before), plain_type(after)
    if one_type and other_type:
        return one_type == other_type
    return _words(before) == _words(after)


def _tokens(type: str) -> list[Token]:
    return grammar("mysql").tokens(type)


def _words(type: str) -> list[str]:
    return [token.text.lower() for token in _tokens(type)]


def values(type: str) -> tuple[str, tuple[str, ...]] | None:
    """``enum`` or ``set`` and its values as they are written; None for other types."""
    tokens = _tokens(type)
    if not tokens or not tokens[0].named("ENUM", "SET"):
        return None
    return tokens[0].word, tuple(token.text for token in tokens if token.kind is Kind.STRING)


def size(enum: tuple[str, tuple[str, ...]]) -> int:
    """The bytes that a value takes."""
    kind, found = enum
    if kind == "ENUM":
        return 1 if len(found) <= 255 else 2
    return next((n for n in (1, 2, 3, 4) if len(found) <= 8 * n), 8)


def varchar_bytes(type: str) -> int:
    """The most bytes that a VARCHAR has; 0 for other types."""
    words = [token.text.lower() for token in _tokens(type)]
    if words[:1] != ["varchar"] or len(words) < 3 or not words[2].isdecimal():
        return 0
    return int(words[2]) * _BYTES


def worked_out(default: str) -> bool:
    """Whether a default is an expression: in parentheses, or the call of a function but for the time."""
    tokens = _tokens(default)
    if not tokens:
        return False
    called = len(tokens) > 1 and tokens[1].is_("(") and tokens[0].word not in _NOW
    return tokens[0].is_("(") or (bool(tokens[0].word) and called)
