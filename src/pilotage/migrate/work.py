"""What everything that runs an author's statements shares: the locked session, and how it fails."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from pilotage.errors import HalfFailed
from pilotage.events import Emit
from pilotage.migrate import sql
from pilotage.migrate.dialects.base import Dialect, Session, StatementError, Trouble
from pilotage.migrate.migration import Migration, Section
from pilotage.migrate.settings import RunnerSettings
from pilotage.migrate.sql import Statement
from pilotage.migrate.sql.online import Step, online, plain
from pilotage.migrate.state import State

Around = Callable[[Statement, Callable[[], Awaitable[int]]], Awaitable[int]]
"""Awaits the running of an author's statement, and looks at the database before and after."""


@dataclass(frozen=True, slots=True)
class Work:
    """What running anything needs: the locked session, and who is told.

    ``around``: who measures the author's statements (`pilotage.trace`).
    """

    dialect: Dialect
    state: State
    session: Session
    settings: RunnerSettings
    emit: Emit
    stream: str = ""
    replicas: tuple[Dialect, ...] = ()
    around: Around | None = None

    async def execute(self, statement: Statement, text: str | None = None) -> int:
        """Run an author's statement, or one batch of it as ``text``; the rows that it changed."""

        async def run() -> int:
            return await self.session.execute(statement.text if text is None else text)

        return await (run() if self.around is None else self.around(statement, run))


_HOW_ON = {
    Trouble.FULL: "make room for it, then run the same command again",
    Trouble.DENIED: "give the migrator's role that right (on PostgreSQL BYPASSRLS, where a policy hides rows), "
    "then run the same command again",
}


def where(migration: Migration, section: Section, statement: Statement, offset: int = 0) -> str:
    """``file:line`` of a character of a statement."""
    line = section.line + statement.line - 1 + statement.text.count("\n", 0, offset)
    return f"{migration.path}:{line}"


def failed(
    migration: Migration,
    section: Section,
    statement: Statement,
    error: StatementError,
    *,
    title: str,
    state: str,
    next: str = "",
) -> HalfFailed:
    """The error of a statement that the server refused, with its line in the file."""
    what = f"{title}: {error}"
    if error.trouble is Trouble.TIMEOUT:
        what = f"{title}: not done within its time limit ({error})"
    if error.trouble is Trouble.FULL:
        what = f"{title}: the database has no room left ({error})"
    return HalfFailed(
        what,
        where=where(migration, section, statement, error.position or 0),
        state=state,
        next=next
        or _HOW_ON.get(error.trouble)
        or "correct the file and commit it, then run the command again",
    )


def digest(statements: Sequence[Statement]) -> str:
    """What the text of the statements that are done is recognised by."""
    text = "\0".join(
        statement.identity if isinstance(statement, Step) else statement.text
        for statement in statements
    )
    return hashlib.sha256(text.encode()).hexdigest()


def statements_of(section: Section, migration: Migration, dialect: Dialect) -> list[Statement]:
    """The statements of a section; raises `MigrationFileError` with ``file:line``."""
    with sql.located(migration.path, section.line):
        return list(sql.split(section.text, dialect.name))


def steps_of(section: Section, migration: Migration, dialect: str) -> list[Step]:
    """What runs for a section: its statements as they stand, or under ``online`` the steps of each.

    Raises
    ------
    MigrationFileError
        A statement cannot be read; with ``file:line``.
    """
    with sql.located(migration.path, section.line):
        statements = sql.split(section.text, dialect)
        if section.directives.online:
            return list(online(statements, dialect))
    return [plain(statement) for statement in statements]
