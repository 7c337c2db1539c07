"""MySQL and MariaDB, read by the rules of their own lexer and the part of their grammar that defines things."""

from __future__ import annotations

from pilotage.migrate.sql.change import Change
from pilotage.migrate.sql.mysql import changes, online, scanner, statements, words
from pilotage.migrate.sql.statement import Statement
from pilotage.migrate.sql.token import Token


class MySQL:
    """`pilotage.migrate.sql.grammar.Grammar` for MySQL and MariaDB."""

    dialect = "mysql"

    def tokens(self, text: str) -> list[Token]:
        """All tokens; a ``DELIMITER`` line is one of them, of the kind of a comment."""
        return list(scanner.scan(text))

    def comments(self, text: str) -> bool:
        """Whether one of the tokens is a comment, or a ``DELIMITER`` line."""
        return any(token.kind.comment for token in scanner.scan(text))

    def inner(self, text: str) -> frozenset[int]:
        """The tokens inside the bodies of routines, triggers and events."""
        return statements.inner(text)

    def split(self, text: str) -> tuple[Statement, ...]:
        """The statements, with bodies whole, under ``DELIMITER`` and without it."""
        return statements.split(text)

    def changes(self, statement: str) -> tuple[Change, ...]:
        """What the statement does, by its tokens."""
        return changes.changes(statement)

    def no_transaction(self, statement: str) -> str:
        """Nothing is rejected inside a transaction: what cannot be in one ends it. See `commits`."""
        return ""

    def commits(self, statement: str) -> str:
        """The command that commits by itself, or may (a procedure), or ``""``."""
        return words.commits(statement)

    def transaction_control(self, statement: str) -> str:
        """The transaction command that the statement is, or ``""``."""
        return words.transaction_control(statement)

    def plain(self, statement: str) -> bool:
        """Never: each of its definitions commits, so there is nothing to send together."""
        return False

    def query(self, statement: str) -> bool:
        """Whether its verb is SELECT, VALUES or TABLE, without INTO and without row locks."""
        return words.query(statement)

    def quote(self, name: str) -> str:
        """A name as SQL, quoted where it must be."""
        return words.quote(name)

    def guarded(self, statement: str) -> str:
        """The statement with ``LOCK=NONE`` where it changes a table and says nothing of locks."""
        return online.guarded(statement)


GRAMMAR = MySQL()
