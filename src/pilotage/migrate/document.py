"""The deploy state of a service as one row of the application's database, swapped whole.

Implements `pilotage.targets.base.Document`. The row lives in ``pilotage_state``; the database's clock
measures the leases in it.
"""

# ruff: noqa: S608  (what is formatted in is the tables' own schema and the dialect's fragments)

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from pilotage.errors import DatabaseError, StoreError
from pilotage.migrate.connections import Connections
from pilotage.migrate.dialects.base import Session

_PURPOSE = "document"


class StateDocument:
    """The document of ``service``. ``ensure`` makes the database and the tables where they are not."""

    def __init__(
        self, connections: Connections, service: str, ensure: Callable[[], Awaitable[None]]
    ) -> None:
        self._connections = connections
        self._dialect = connections.dialect
        self._service = service
        self._ensure = ensure
        self._home: str | None = None  # of the table, once it was seen

    async def read(self) -> tuple[int, dict[str, Any]]:
        """Version and body; ``(0, {})`` as long as there is no row, no table or no database."""
        try:
            if not await self._present():
                return 0, {}
            async with self._connections.use(_PURPOSE) as session:
                home = await self._found(session)
                return (0, {}) if home is None else await self._row(session, home)
        except DatabaseError as error:
            raise self._explain("read", error) from error

    async def write(self, body: dict[str, Any], *, expected: int) -> bool:
        """Write it as version ``expected + 1`` if ``expected`` is the version that is there."""
        try:
            if not await self._present():
                await self._ensure()
            try:
                return await self._swap(body, expected)
            except DatabaseError:
                # The connection may have been lost after the commit: the row tells.
                version, found = await self.read()
                if (version, found) == (expected + 1, body):
                    return True
                raise
        except DatabaseError as error:
            raise self._explain("written", error) from error

    async def _swap(self, body: dict[str, Any], expected: int) -> bool:
        async with self._connections.use(_PURPOSE) as session:
            home = await self._found(session)
            if home is None:
                await self._ensure()
                home = await self._dialect.home(session)
            now = self._dialect.now
            async with session.transaction():
                if expected:
                    statement = (
                        f"UPDATE {home}pilotage_state SET version = $2 + 1, body = $3,"
                        f" updated_at = {now} WHERE service = $1 AND version = $2"
                    )
                else:
                    statement = self._dialect.upsert(
                        f"{home}pilotage_state",
                        {"service": "$1", "version": "$2 + 1", "body": "$3", "updated_at": now},
                        key=("service",),
                        replace=False,
                    )
                changed = await session.execute(
                    statement, self._service, expected, json.dumps(body)
                )
            return changed == 1

    async def now(self) -> float:
        """The database's clock; its server's while the database is not there."""
        try:
            if not await self._present():
                return await self._dialect.server_clock()
            async with self._connections.use(_PURPOSE) as session:
                rows = await session.query(f"SELECT {self._dialect.epoch(self._dialect.now)}")
                return float(rows[0][0])
        except DatabaseError as error:
            raise self._explain("read", error) from error

    async def _found(self, session: Session) -> str | None:
        """The schema of its table, with a dot; None as long as there is none."""
        if self._home is None:
            home = await self._dialect.home(session)
            if await self._dialect.has_table(session, home, "pilotage_state"):
                self._home = home
        return self._home

    async def _present(self) -> bool:
        """Whether the database is there; an open session answers without asking."""
        return self._connections.has(_PURPOSE) or await self._dialect.exists()

    async def _row(self, session: Session, home: str) -> tuple[int, dict[str, Any]]:
        rows = await session.query(
            f"SELECT version, body FROM {home}pilotage_state WHERE service = $1", self._service
        )
        if not rows:
            return 0, {}
        version, body = rows[0]
        decoded = json.loads(body) if isinstance(body, str) else body
        if not isinstance(decoded, dict):
            raise StoreError(
                f"the row of {self._service} in pilotage_state is not a document of pilotage",
                where=self._dialect.where,
            )
        return version, decoded

    def _explain(self, verb: str, error: DatabaseError) -> StoreError:
        return StoreError(
            f"the deploy state could not be {verb}: {error.what}",
            where=error.where or self._dialect.where,
            state=error.state,
            next=error.next,
        )
