"""Where PostgreSQL and SQLite have statements inside a statement: BEGIN ATOMIC, and a trigger's body."""

from __future__ import annotations

from collections.abc import Sequence

from pilotage.migrate.sql.token import Kind, Token


def inside(tokens: Sequence[Token]) -> frozenset[int]:
    """The indexes of the tokens inside such bodies."""
    found: set[int] = set()
    statement: list[Token] = []  # the tokens since the last `;`
    depth = bodies = 0
    for index, token in enumerate(tokens):
        if not token.kind.comment:
            depth = max(0, depth + (token.text == "(") - (token.text == ")"))
            if bodies or token.text.upper() == "BEGIN":
                bodies += _opens(token, statement, tokens[index + 1 : index + 2], bodies)
            if token.text == ";" and not bodies and not depth:
                statement = []
            elif len(statement) < 4:
                statement.append(token)
        if bodies:
            found.add(index)
    return frozenset(found)


def _opens(token: Token, statement: list[Token], after: Sequence[Token], bodies: int) -> int:
    """+1 where a body of statements opens, -1 where it closes, else 0."""
    if bodies:
        return token.named("CASE") - token.named("END")
    if token.kind is not Kind.WORD:
        return 0
    atomic = bool(after) and after[0].named("ATOMIC")
    created = [t.word for t in statement[:3] if t.word not in ("TEMP", "TEMPORARY")]
    return int(atomic or created[:2] == ["CREATE", "TRIGGER"])
