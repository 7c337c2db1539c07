"""The audit of a service as rows of the application's database; see `pilotage.audit`."""

# ruff: noqa: S608  (what is formatted in is the table's own schema)

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from pilotage.audit import Line
from pilotage.migrate.connections import Connections

_PURPOSE = "document"
_COLUMNS = "run, at, who, origin, command, result, detail"


class AuditTable:
    """The rows of ``service``. ``ensure`` brings tables of an earlier version up to date."""

    def __init__(
        self, connections: Connections, service: str, ensure: Callable[[], Awaitable[None]]
    ) -> None:
        self._connections = connections
        self._dialect = connections.dialect
        self._service = service
        self._ensure = ensure

    async def append(self, lines: Sequence[Line]) -> bool:
        """Append; False where pilotage has no tables yet: they are the first deploy's to make."""
        if not await self._present():
            return False
        async with self._connections.use(_PURPOSE) as session:
            home = await self._dialect.home(session)
            if not await self._dialect.has_table(session, home, "pilotage_meta"):
                return False
            if not await self._dialect.has_table(session, home, "pilotage_audit"):
                await self._ensure()
            statement = (
                f"INSERT INTO {home}pilotage_audit (service, {_COLUMNS})"
                " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
            )
            async with session.transaction():
                for line in lines:
                    values = (line.run, line.at, line.who, line.origin, line.command, line.result)
                    await session.execute(statement, self._service, *values, line.detail)
        return True

    async def last(self, count: int) -> list[Line]:
        """The newest lines, oldest first; none where there is no table."""
        if not await self._present():
            return []
        async with self._connections.use(_PURPOSE) as session:
            home = await self._dialect.home(session)
            if not await self._dialect.has_table(session, home, "pilotage_audit"):
                return []
            rows = await session.query(
                f"SELECT {_COLUMNS} FROM {home}pilotage_audit WHERE service = $1"
                f" ORDER BY at DESC LIMIT {int(count)}",
                self._service,
            )
        return [Line(str(run), float(at), *map(str, rest)) for run, at, *rest in reversed(rows)]

    async def _present(self) -> bool:
        return self._connections.has(_PURPOSE) or await self._dialect.exists()
