"""SQLite's rules over migration text.

Statements end where `sqlite3.complete_statement` says so: it knows that a trigger's body holds ``;``.
The scanner follows SQLite's own ``tokenize.c``; sqlglot's gives comments no position and cuts trigger
bodies. SQLite has no parser that can be asked without a database, so a syntax error shows when the
statement runs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import lru_cache

from pilotage.migrate.sql.batch import main_verb
from pilotage.migrate.sql.foreign import foreign
from pilotage.migrate.sql.statement import SqlError, Statement
from pilotage.migrate.sql.token import Kind, Token, code, line_of

_SPACE = " \t\n\f\r\ufeff"  # a byte order mark between two tokens, too
_CLOSING = {"'": "'", '"': '"', "`": "`", "[": "]"}


@lru_cache(maxsize=256)
def scan(text: str) -> tuple[Token, ...]:
    if "\0" in text:
        raise SqlError("a NUL character", line=line_of(text, text.index("\0")))
    found: list[Token] = []
    start = 0
    while start < len(text):
        if text[start] in _SPACE:
            start += 1
            continue
        kind, end = _token(text, start)
        found.append(Token(kind, text[start:end], start, end))
        start = end
    return tuple(found)


def _token(text: str, start: int) -> tuple[Kind, int]:
    """The kind and the end of the token that begins at ``start``."""
    first, pair = text[start], text[start : start + 2]
    if pair == "--":
        return Kind.LINE_COMMENT, _find(text, "\n", start, keep=0)
    if pair == "/*":  # SQLite's do not nest, and one that is never closed runs to the end
        return Kind.BLOCK_COMMENT, _find(text, "*/", start + 2, keep=2)
    if first in _CLOSING:
        return (Kind.STRING if first == "'" else Kind.QUOTED), _quoted(text, start)
    if pair in ("x'", "X'"):
        return Kind.STRING, _quoted(text, start + 1)
    if first.isascii() and first.isdigit():
        return Kind.NUMBER, _run(text, start, lambda c: _in_name(c) or c == ".")
    if _in_name(first):
        return Kind.WORD, _run(text, start, _in_name)
    return Kind.PUNCTUATION, start + 1


def _in_name(character: str) -> bool:
    return character in "_$" or character > "\x7f" or character.isalnum()


def _run(text: str, start: int, belongs: Callable[[str], bool]) -> int:
    end = start + 1
    while end < len(text) and belongs(text[end]):
        end += 1
    return end


def _find(text: str, mark: str, start: int, *, keep: int) -> int:
    found = text.find(mark, start)
    return len(text) if found < 0 else found + keep


def _quoted(text: str, start: int) -> int:
    """The end of a quoted token; a doubled quote stands for one, but not in brackets."""
    close = _CLOSING[text[start]]
    end = text.find(close, start + 1)
    while end >= 0 and close != "]" and text[end + 1 : end + 2] == close:
        end = text.find(close, end + 2)
    if end < 0:
        raise SqlError(f"the {text[start]} is never closed", line=line_of(text, start))
    return end + 1


def split(text: str) -> tuple[Statement, ...]:
    """The statements of a text; the last one may go without its ``;``.

    Raises
    ------
    SqlError
        A quote or a trigger's body is never closed, or it is another database's SQL.
    """
    upper = text.upper()
    other = foreign(text, "sqlite", scan) if any(word in upper for word in _FOREIGN) else None
    if other is not None:
        raise other
    statements: list[Statement] = []
    current: list[Token] = []
    for token in code(scan(text)):
        if not token.is_(";"):
            current.append(token)
        elif current and sqlite3.complete_statement(text[current[0].start : token.end]):
            statements.append(_statement(text, current))
            current = []
        elif current:
            current.append(token)  # inside a trigger's body
    if current:
        if current[-1].is_(";"):
            raise SqlError(
                "the trigger's body is never closed",
                line=line_of(text, current[0].start),
                next="end it with `END;`",
            )
        statements.append(_statement(text, current))
    return tuple(statements)


def quote(name: str) -> str:
    """A name as SQL: bare where it is plain, else in double quotes."""
    if name.isascii() and name.isidentifier() and name.upper() not in _RESERVED:
        return name
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def no_transaction(statement: str) -> str:
    """The command that SQLite rejects, or ignores, inside a transaction, or ``""``."""
    words = [token.word for token in code(scan(statement))]
    if words[0] == "VACUUM":
        return "VACUUM"
    pragmas = _IN_NO_TRANSACTION.intersection(words) if words[0] == "PRAGMA" else ()
    return next((f"PRAGMA {pragma.lower()}" for pragma in pragmas), "")


def transaction_control(statement: str) -> str:
    """The transaction command that the statement is, or ``""``."""
    first = code(scan(statement))[0].word
    return first if first in _TRANSACTION else ""


def query(statement: str) -> bool:
    """Whether its verb is SELECT or VALUES (SQLite's CTEs change no rows)."""
    verb = main_verb(code(scan(statement)))
    return verb is not None and verb.named("SELECT", "VALUES")


def _statement(text: str, tokens: list[Token]) -> Statement:
    start = tokens[0].start
    return Statement(text[start : tokens[-1].end], start, line_of(text, start))


# Without one of these no text is taken for another database's: SQLite itself is asked only when it runs.
_FOREIGN = ("ENGINE", "AUTO_INCREMENT", "MODIFY", "ON UPDATE", "CONCURRENTLY", "PLPGSQL", "::")
_TRANSACTION = frozenset({"BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE"})
_IN_NO_TRANSACTION = frozenset({"FOREIGN_KEYS", "JOURNAL_MODE", "SYNCHRONOUS"})
# SQLite's keywords that cannot stand as a bare name (those without a fallback to an identifier).
# fmt: off
_RESERVED = frozenset((
    "ADD", "ALL", "ALTER", "AND", "AS", "AUTOINCREMENT", "BETWEEN", "CASE", "CHECK", "COLLATE",
    "COMMIT", "CONSTRAINT", "CREATE", "CROSS", "CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP",
    "DEFAULT", "DEFERRABLE", "DELETE", "DISTINCT", "DROP", "ELSE", "ESCAPE", "EXCEPT", "EXISTS",
    "FILTER", "FOREIGN", "FROM", "FULL", "GROUP", "HAVING", "IN", "INDEX", "INDEXED", "INNER",
    "INSERT", "INTERSECT", "INTO", "IS", "ISNULL", "JOIN", "LEFT", "LIMIT", "NATURAL", "NOT",
    "NOTHING", "NOTNULL", "NULL", "ON", "OR", "ORDER", "OUTER", "OVER", "PRIMARY", "REFERENCES",
    "RETURNING", "RIGHT", "SELECT", "SET", "TABLE", "THEN", "TO", "TRANSACTION", "UNION", "UNIQUE",
    "UPDATE", "USING", "VALUES", "WHEN", "WHERE", "WINDOW",
))
# fmt: on
