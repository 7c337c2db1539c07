"""SQLite, read by the rules of its own tokenizer and grammar; see ``docs/decisions``."""

from __future__ import annotations

from pilotage.migrate.sql.bodies import inside
from pilotage.migrate.sql.change import Change
from pilotage.migrate.sql.sqlite import changes, scanner
from pilotage.migrate.sql.statement import Statement
from pilotage.migrate.sql.token import Token


class SQLite:
    """`pilotage.migrate.sql.grammar.Grammar` for SQLite."""

    dialect = "sqlite"

    def tokens(self, text: str) -> list[Token]:
        """All tokens, as SQLite's tokenizer reads them."""
        return list(scanner.scan(text))

    def comments(self, text: str) -> bool:
        """Whether one of the tokens is a comment."""
        return any(token.kind.comment for token in scanner.scan(text))

    def inner(self, text: str) -> frozenset[int]:
        """The tokens inside a trigger's body, or a BEGIN ATOMIC."""
        return inside(scanner.scan(text)) if "begin" in text.lower() else frozenset()

    def split(self, text: str) -> tuple[Statement, ...]:
        """The statements, by `sqlite3.complete_statement`."""
        return scanner.split(text)

    def changes(self, statement: str) -> tuple[Change, ...]:
        """What the statement does, by its tokens."""
        return changes.changes(statement)

    def no_transaction(self, statement: str) -> str:
        """The command that SQLite rejects, or ignores, inside a transaction, or ``""``."""
        return scanner.no_transaction(statement)

    def commits(self, statement: str) -> str:
        """Nothing commits by itself but what a procedure or a DO block does."""
        return ""

    def transaction_control(self, statement: str) -> str:
        """The transaction command that the statement is, or ``""``."""
        return scanner.transaction_control(statement)

    def plain(self, statement: str) -> bool:
        """Never: SQLite is asked statement by statement, there is nothing to gain."""
        return False

    def query(self, statement: str) -> bool:
        """Whether its verb is SELECT or VALUES (SQLite's CTEs change no rows)."""
        return scanner.query(statement)

    def quote(self, name: str) -> str:
        """A name as SQL, quoted where it must be."""
        return scanner.quote(name)

    def guarded(self, statement: str) -> str:
        """As it is: no clause of its own would make it refuse to block."""
        return statement


GRAMMAR = SQLite()
