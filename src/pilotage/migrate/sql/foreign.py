"""Whose SQL is it? Text that a grammar rejects is often right, and written for another database.

A parser then complains of the place at which it was lost, which tells nobody what is wrong. Here the signs
of each database's own SQL are looked for among the tokens, so that one error says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pilotage.migrate.sql.statement import SqlError
from pilotage.migrate.sql.token import Kind, Token, code, column_of, line_of

NAMES = {"postgresql": "PostgreSQL", "mysql": "MySQL", "sqlite": "SQLite"}


class ForeignSql(SqlError):
    """SQL of another database than the one it is read for."""


def foreign(text: str, dialect: str, scan: Callable[[str], Sequence[Token]]) -> ForeignSql | None:
    """The error for a text with signs of another database's SQL; None where there are none.

    Called for what ``dialect`` cannot read, or would not understand. ``scan``: a scanner that is likely
    to get through it all the same.
    """
    try:
        tokens = code(scan(text))
    except SqlError:
        return None
    fits = _FITS.get(dialect, frozenset())
    for index, token in enumerate(tokens):
        for other, signs in _SIGNS.items():
            if other == dialect:
                continue
            what = next((what for of, what in signs if what not in fits and of(tokens, index)), "")
            if what:
                start = (tokens[index + 1] if token.is_(")") else token).start
                return ForeignSql(
                    f"{what} is {NAMES[other]}'s SQL, and the file is read as {NAMES[dialect]}'s",
                    line=line_of(text, start),
                    column=column_of(text, start),
                    next=f"write it for {NAMES[dialect]}, or name the database that it is for "
                    f"(--dialect {other}, or `databases:` in the configuration)",
                )
    return None


_Sign = Callable[[Sequence[Token], int], bool]


def _words(*words: str) -> _Sign:
    """These words, or marks, one after the other."""

    def of(tokens: Sequence[Token], index: int) -> bool:
        here = tokens[index : index + len(words)]
        return len(here) == len(words) and all(
            token.text.upper() == word and token.kind in (Kind.WORD, Kind.PUNCTUATION)
            for token, word in zip(here, words, strict=True)
        )

    return of


def _backticks(tokens: Sequence[Token], index: int) -> bool:
    return tokens[index].kind is Kind.QUOTED and tokens[index].text.startswith("`")


def _dollars(tokens: Sequence[Token], index: int) -> bool:
    token = tokens[index]
    return token.kind is Kind.WORD and token.text.startswith("$") and token.text.count("$") > 1


# What a database reads as well, or as a name (or as MySQL's DELIMITER).
_FITS = {
    "mysql": frozenset({"a string in dollars"}),
    "sqlite": frozenset({"a name in backticks", "UNSIGNED", "ALGORITHM=", "CHARSET=", "DELIMITER"})
    | frozenset({"a string in dollars"}),
}

_SIGNS: dict[str, tuple[tuple[_Sign, str], ...]] = {
    "mysql": (
        (_backticks, "a name in backticks"),
        (_words(")", "ENGINE", "="), "ENGINE="),
        (_words("AUTO_INCREMENT"), "AUTO_INCREMENT"),
        (_words("MODIFY", "COLUMN"), "MODIFY COLUMN"),
        (_words("UNSIGNED"), "UNSIGNED"),
        (_words("ALGORITHM", "="), "ALGORITHM="),
        (_words("CHARSET", "="), "CHARSET="),
        (_words("ON", "UPDATE", "CURRENT_TIMESTAMP"), "ON UPDATE CURRENT_TIMESTAMP"),
        (_words("DELIMITER"), "DELIMITER"),
    ),
    "postgresql": (
        (_dollars, "a string in dollars"),
        (_words(":", ":"), "a cast with ::"),
        (_words("CONCURRENTLY"), "CONCURRENTLY"),
        (_words("LANGUAGE", "PLPGSQL"), "LANGUAGE plpgsql"),
    ),
    "sqlite": (
        (_words("AUTOINCREMENT"), "AUTOINCREMENT"),
        (_words("WITHOUT", "ROWID"), "WITHOUT ROWID"),
        (_words("PRAGMA"), "PRAGMA"),
    ),
}
