"""What a dialect's grammar answers, and the registry of dialects.

Nothing else in the pure part of migrations asks which dialect it is talking to. A new dialect is one
module with a `Grammar` and one line in `_MODULES`.
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from importlib import import_module
from typing import Protocol, cast

from pilotage.errors import UsageError
from pilotage.migrate.sql.change import Change
from pilotage.migrate.sql.statement import Statement
from pilotage.migrate.sql.token import Token


class Grammar(Protocol):
    """A dialect's own rules for text, statements and what they do. Stateless."""

    dialect: str

    def tokens(self, text: str) -> list[Token]:
        """All tokens in order, comments included; raises `SqlError` where the text breaks off."""
        ...

    def comments(self, text: str) -> bool:
        """Whether there are comments in it, which sections and directives are; may raise as `tokens` does."""
        ...

    def inner(self, text: str) -> frozenset[int]:
        """The places in `tokens` that lie inside the body of a statement (a trigger's, a routine's),
        where a ``;`` ends nothing and a comment is no marker."""
        ...

    def split(self, text: str) -> tuple[Statement, ...]:
        """The statements; raises `SqlError` for text that is not SQL."""
        ...

    def changes(self, statement: str) -> tuple[Change, ...]:
        """What one statement does to the schema; `Opaque` where that cannot be read."""
        ...

    def no_transaction(self, statement: str) -> str:
        """The command in it that cannot run in a transaction block, or ``""``."""
        ...

    def commits(self, statement: str) -> str:
        """The command in it that commits by itself whatever transaction is open, or ``""``."""
        ...

    def transaction_control(self, statement: str) -> str:
        """``BEGIN``, ``COMMIT``, … when the statement is one, or ``""``."""
        ...

    def plain(self, statement: str) -> bool:
        """Whether it only makes or changes things of the schema, and leaves the session as it was."""
        ...

    def query(self, statement: str) -> bool:
        """Whether it only reads: SELECT, WITH, VALUES or TABLE, and changes nothing."""
        ...

    def quote(self, name: str) -> str:
        """A name as SQL, quoted where it must be."""
        ...

    def guarded(self, statement: str) -> str:
        """The statement as it is run on a table with rows: the author's text, and where the database
        would else block writers without a word, a clause behind it that lets it refuse instead."""
        ...


_MODULES = {
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "mysql": "mysql",
    "mariadb": "mysql",
    "sqlite": "sqlite",
}


@cache
def grammar(dialect: str) -> Grammar:
    """The grammar of ``postgresql`` (also ``postgres``), ``mysql`` (also ``mariadb``) or ``sqlite``;
    imported when first asked for.

    Raises
    ------
    UsageError
        No such dialect.
    """
    module = _MODULES.get(dialect)
    if module is None:
        near = get_close_matches(dialect, _MODULES, n=1)
        raise UsageError(
            f"no SQL dialect is called {dialect!r}",
            next=f"use {near[0]}" if near else f"use one of {', '.join(sorted(_MODULES))}",
        )
    return cast(Grammar, import_module(f"pilotage.migrate.sql.{module}").GRAMMAR)
