"""The sessions that a runner keeps: one that holds the migration lock and works, one that looks.

They are two because a deployer must be able to renew its lease, and to observe, while a statement
runs for an hour. Each is opened when it is first needed, and again when it was lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pilotage.errors import DatabaseError, DatabaseUnavailable, LockUnavailable
from pilotage.migrate.dialects.base import OWN_PATIENCE, Dialect, Session, StatementError, Trouble

WORK = "work"
"""The purpose of the session that runs migrations; the others run short statements of our own."""

_TOTAL = 30.0
"""Seconds: a database that hangs must not hang whoever renews a lease or looks."""


class Connections:
    """Sessions of one database, reconnected when they are found unusable."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self._held: dict[str, Session] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._proven = False

    @property
    def open(self) -> list[Session]:
        """The sessions that are connected now."""
        return list(self._held.values())

    def has(self, purpose: str) -> bool:
        """Whether the session kept for ``purpose`` is connected."""
        session = self._held.get(purpose)
        return session is not None and session.usable

    @asynccontextmanager
    async def use(self, purpose: str) -> AsyncIterator[Session]:
        """The session kept for ``purpose``, for one user at a time.

        A session that an error or a cancellation left in the middle of something is closed.

        Raises
        ------
        DatabaseUnavailable
            The database cannot be connected to, or the connection was lost.
        DatabaseError
            A statement of our own failed.
        """
        turn = self._turns.setdefault(purpose, asyncio.Lock())
        async with turn:
            session = await self._session(purpose)
            try:
                yield session
            except StatementError as error:
                raise self.explain(error) from error
            finally:
                if not session.usable:
                    await self._drop(purpose)

    async def _session(self, purpose: str) -> Session:
        held = self._held.get(purpose)
        if held is not None and held.usable:
            try:
                # A server that restarted, or a firewall that forgot the connection, shows only now.
                await held.query("SELECT 1")
            except StatementError as error:
                if error.trouble is not Trouble.LOST:
                    raise self.explain(error) from error
            else:
                return held
        await self._drop(purpose)
        session = self._held[purpose] = await self.dialect.connect()
        if purpose != WORK:
            try:
                await self.dialect.limit(session, lock=OWN_PATIENCE, total=_TOTAL, local=False)
            except StatementError as error:
                raise self.explain(error) from error
        return session

    async def prove(self, session: Session) -> None:
        """Once per database: that the session is one session (`Dialect.prove_session`)."""
        if not self._proven:
            await self.dialect.prove_session(session)
            self._proven = True

    def explain(self, error: StatementError) -> DatabaseError:
        """A failed statement of our own, as pilotage's error."""
        where = self.dialect.where
        match error.trouble:
            case Trouble.LOST:
                return DatabaseUnavailable(
                    f"the connection to the database was lost: {error}",
                    where=where,
                    state="what was not committed is rolled back",
                    next="run the same command again: it looks at what is there and goes on",
                )
            case Trouble.LOCK | Trouble.TIMEOUT:
                return LockUnavailable(
                    f"a statement of pilotage's own was not done in time: {error}",
                    where=where,
                    state="what was not committed is rolled back",
                    next="see which transaction is open for so long, then run the same command again",
                )
            case Trouble.DENIED:
                return DatabaseUnavailable(
                    f"the role of the database URL lacks a privilege: {error}",
                    where=where,
                    next="the migrator's role needs CONNECT and CREATE on the database, USAGE and "
                    "CREATE on the schema, and to own the tables that the migrations change",
                )
            case Trouble.ABSENT:
                return DatabaseUnavailable(
                    f"pilotage's tables are not in the database: {error}",
                    where=where,
                    next="run the first deploy, which makes them",
                )
            case _:
                return DatabaseError(f"the database refused: {error}", where=where)

    async def _drop(self, purpose: str) -> None:
        session = self._held.pop(purpose, None)
        if session is not None:
            await session.close()

    async def close(self) -> None:
        """Close them all."""
        for purpose in list(self._held):
            await self._drop(purpose)
