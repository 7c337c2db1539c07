"""A wanted statement in the author's own words, as far as these go."""

from __future__ import annotations

from pilotage.hazards.fix.layout import code_tokens, comments
from pilotage.migrate.sql import Grammar
from pilotage.migrate.sql.token import Kind, Token


def authored(original: str, wanted: str, grammar: Grammar) -> str:
    """``wanted``, written as ``original`` with words put in (``CONCURRENTLY``, ``NOT VALID``, a WHERE).

    Where it is more than that, ``wanted`` itself, with the comments of ``original`` above it.
    """
    tokens = grammar.tokens(original)
    mine, theirs = code_tokens(tokens), code_tokens(grammar.tokens(wanted))
    parts: list[str] = []
    at = done = 0
    for token in mine:
        begin = at
        while at < len(theirs) and not _same(token, theirs[at]):
            at += 1
        if at == len(theirs):
            return "\n".join([*comments(tokens), wanted])
        if at > begin:
            parts += _put_in(original[done : token.start], wanted, theirs[begin:at])
        else:
            parts.append(original[done : token.start])
        parts.append(original[token.start : token.end])
        done, at = token.end, at + 1
    rest = original[done:]
    if at < len(theirs):
        parts.append(" " + wanted[theirs[at].start : theirs[-1].end])
    return "".join(parts) + rest


def _put_in(space: str, wanted: str, new: list[Token]) -> list[str]:
    """Words between two of the author's, whose own space (and comments) stays before them."""
    text = wanted[new[0].start : new[-1].end]
    return [space or " ", text, " "] if space.strip() == "" else [space, text, " "]


def _same(mine: Token, theirs: Token) -> bool:
    return _plain(mine) == _plain(theirs)


def _plain(token: Token) -> str:
    if token.kind is Kind.QUOTED and token.text[1:-1].islower():
        return token.text[1:-1]
    return token.text.lower() if token.kind is Kind.WORD else token.text
