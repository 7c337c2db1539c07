"""PostgreSQL, read by its own grammar (libpg_query, through postgast)."""

from __future__ import annotations

from pilotage.migrate.sql.bodies import inside
from pilotage.migrate.sql.change import Change
from pilotage.migrate.sql.postgresql import changes, parser
from pilotage.migrate.sql.statement import Statement
from pilotage.migrate.sql.token import Token


class PostgreSQL:
    """`pilotage.migrate.sql.grammar.Grammar` for PostgreSQL."""

    dialect = "postgresql"

    def tokens(self, text: str) -> list[Token]:
        """All tokens, by PostgreSQL's scanner."""
        return list(parser.scan(text))

    def comments(self, text: str) -> bool:
        """Whether one of the tokens is a comment."""
        return parser.comments(text)

    def inner(self, text: str) -> frozenset[int]:
        """The tokens inside a trigger's body, or a BEGIN ATOMIC."""
        return inside(parser.scan(text)) if "begin" in text.lower() else frozenset()

    def split(self, text: str) -> tuple[Statement, ...]:
        """The statements, by PostgreSQL's parser."""
        return parser.split(text)

    def changes(self, statement: str) -> tuple[Change, ...]:
        """What the statement does, by its parse tree."""
        return changes.changes(statement)

    def no_transaction(self, statement: str) -> str:
        """The command that PostgreSQL rejects inside a transaction block, or ``""``."""
        return parser.no_transaction(parser.tree(statement))

    def commits(self, statement: str) -> str:
        """Nothing commits by itself but what a procedure or a DO block does."""
        return ""

    def transaction_control(self, statement: str) -> str:
        """The transaction command that the statement is, or ``""``."""
        return parser.transaction_control(parser.tree(statement))

    def plain(self, statement: str) -> bool:
        """Whether it is DDL of a kind that sets nothing in the session."""
        return parser.plain(parser.tree(statement))

    def query(self, statement: str) -> bool:
        """Whether it is a query without INTO, row locks or a CTE that changes rows."""
        return parser.query(parser.tree(statement))

    def quote(self, name: str) -> str:
        """A name as SQL, quoted where it must be."""
        return parser.quote(name)

    def guarded(self, statement: str) -> str:
        """As it is: no clause of its own would make it refuse to block."""
        return statement


GRAMMAR = PostgreSQL()
