"""The ``-- verify`` section: queries that must return no row before the contract half may run."""

from __future__ import annotations

from pilotage.errors import VerifyFailed
from pilotage.migrate.dialects.base import Dialect, Session, StatementError
from pilotage.migrate.migration import Migration
from pilotage.migrate.settings import RunnerSettings
from pilotage.migrate.work import failed, statements_of, where

_SHOWN = 5


async def verify(
    dialect: Dialect, session: Session, migration: Migration, settings: RunnerSettings
) -> None:
    """Run every query, read-only and as of one moment.

    Raises
    ------
    VerifyFailed
        One returned rows; the first few are shown.
    HalfFailed
        One could not be run.
    """
    section = migration.verify
    if section is None:
        return
    state = f"{migration.version}/contract is not applied"
    async with session.transaction(snapshot=True):
        await dialect.limit(
            session,
            lock=section.directives.lock_timeout or settings.lock_timeout,
            total=section.directives.timeout or settings.timeout,
            local=True,
        )
        for statement in statements_of(section, migration, dialect):
            try:
                rows = await session.query_some(statement.text, _SHOWN)
            except StatementError as error:
                raise failed(
                    migration, section, statement, error, title="a verify query failed", state=state
                ) from error
            if rows:
                shown = "; ".join(", ".join(map(str, row)) for row in rows)
                raise VerifyFailed(
                    f"a verify query of {migration} returned rows, the first of them: {shown}",
                    where=where(migration, section, statement),
                    state=state,
                    next="correct these rows, or the backfill, then run the same command again",
                )
