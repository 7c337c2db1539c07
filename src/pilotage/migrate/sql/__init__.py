"""Reading migration SQL: statements, batches, and what a half makes or removes. Pure.

Called by the loader (to check a file), the runner (to execute it, always in the author's own text) and
the hazard linter. ``dialect`` is ``postgresql``, ``mysql`` or ``sqlite`` everywhere.
"""

from __future__ import annotations

from pilotage.migrate.sql.batch import Batchable, batchable
from pilotage.migrate.sql.change import Change, CreateIndex
from pilotage.migrate.sql.effects import Effect, net
from pilotage.migrate.sql.grammar import Grammar, grammar
from pilotage.migrate.sql.statement import SqlError, Statement, located
from pilotage.migrate.sql.token import Token, code

__all__ = [
    "Batchable",
    "Change",
    "CreateIndex",
    "Effect",
    "Grammar",
    "SqlError",
    "Statement",
    "Token",
    "batched",
    "changes",
    "commits",
    "creates_index_concurrently",
    "effects",
    "grammar",
    "is_plain",
    "is_query",
    "located",
    "needs_no_transaction",
    "split",
    "transaction_control",
]


def split(text: str, dialect: str) -> tuple[Statement, ...]:
    """The statements of a text, by the database's own rules; comments alone are no statement.

    Raises
    ------
    SqlError
        It is not SQL; `located` adds the file's name and line.
    """
    return grammar(dialect).split(text)


def batched(text: str, dialect: str) -> Batchable:
    """How to run one statement of a ``-- backfill`` section in batches.

    Raises
    ------
    SqlError
        It would never converge, or cannot be run in batches; says what to write instead.
    """
    return batchable(text, code(grammar(dialect).tokens(text)))


def needs_no_transaction(statement: str, dialect: str) -> str:
    """The command in the statement that cannot run in a transaction block, or ``""``."""
    return grammar(dialect).no_transaction(statement)


def transaction_control(statement: str, dialect: str) -> str:
    """``BEGIN``, ``COMMIT``, ``ROLLBACK``, … when the statement is one, or ``""``."""
    return grammar(dialect).transaction_control(statement)


def commits(statement: str, dialect: str) -> str:
    """The command in the statement that commits by itself whatever transaction is open, or ``""``."""
    return grammar(dialect).commits(statement)


def is_plain(statement: str, dialect: str) -> bool:
    """Whether the statement only makes or changes things of the schema, and leaves the session as it
    was. False for what is not known."""
    return grammar(dialect).plain(statement)


def is_query(statement: str, dialect: str) -> bool:
    """Whether the statement only reads rows, as a ``-- verify`` query must."""
    return grammar(dialect).query(statement)


def changes(text: str, dialect: str) -> tuple[Change, ...]:
    """What the statements of a text do to the schema, in their order."""
    reader = grammar(dialect)
    return tuple(c for statement in reader.split(text) for c in reader.changes(statement.text))


def effects(text: str, dialect: str) -> tuple[Effect, ...]:
    """What a half would make or remove in the catalogue, ``opaque`` where it cannot be read."""
    return net(changes(text, dialect))


def creates_index_concurrently(statement: str, dialect: str) -> CreateIndex | None:
    """The index that a ``CREATE INDEX CONCURRENTLY`` builds (``name``, ``table``, ``unique``), or None.

    Where it broke off, it left an INVALID index of that name in the schema of its table.
    """
    for change in grammar(dialect).changes(statement):
        if isinstance(change, CreateIndex) and change.concurrently:
            return change
    return None
