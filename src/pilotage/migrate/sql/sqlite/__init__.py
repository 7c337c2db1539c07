"""SQLite, read by the rules of its own tokenizer and grammar; see ``docs/decisions``."""

from __future__ import annotations

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

    def split(self, text: str) -> tuple[Statement, ...]:
        """The statements, by `sqlite3.complete_statement`."""
        return scanner.split(text)

    def changes(self, statement: str) -> tuple[Change, ...]:
        """What the statement does, by its tokens."""
        return changes.changes(statement)

    def no_transaction(self, statement: str) -> str:
        """The command that SQLite rejects, or ignores, inside a transaction, or ``""``."""
        return scanner.no_transaction(statement)

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


GRAMMAR = SQLite()
