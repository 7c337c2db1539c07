"""The audit of a command that opens no project: an accessory's, a pull, a person's command on hosts."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from pilotage.audit import Audit, HostLog, Line, LocalLog, ShellLog, Table
from pilotage.config import Config
from pilotage.errors import StoreError
from pilotage.events import Emit
from pilotage.shell.fenced import state_dir
from pilotage.shell.fleet import Fleet
from pilotage.wiring.database import audit_of, database_of, open_schema_of
from pilotage.wiring.hosts import hosts_of, ssh_settings
from pilotage.wiring.open import state_dir_of


def audit_on(config: Config, fleet: Fleet, emit: Emit, stack: AsyncExitStack) -> Audit:
    """The audit on the hosts of ``fleet`` and in the database, which is connected to for as long as
    ``stack`` lasts, and only once there is a line to be written."""
    return Audit(logs_on(config, fleet), _table(config, fleet, stack), emit)


def logs_on(config: Config, fleet: Fleet) -> HostLog:
    """What the hosts of ``fleet`` keep of it themselves."""
    if config.target == "local":
        return LocalLog(state_dir_of(config))
    folder = state_dir(config.service, config.destination)
    return ShellLog(tuple(fleet.shells.values()), folder)


def _table(config: Config, fleet: Fleet, stack: AsyncExitStack) -> Table | None:
    return None if database_of(config) is None else LaterTable(config, fleet, stack)


@dataclass(slots=True)
class LaterTable:
    """`pilotage.audit.Table` of a database that is connected to with the first line."""

    config: Config
    fleet: Fleet
    stack: AsyncExitStack
    _opened: Table | None = field(default=None, init=False)

    async def append(self, lines: Sequence[Line]) -> bool:
        """See `Table.append`."""
        return await (await self._table()).append(lines)

    async def last(self, count: int) -> list[Line]:
        """See `Table.last`."""
        return await (await self._table()).last(count)

    async def _table(self) -> Table:
        if self._opened is None:
            fleet = await self._with_way()
            schema, *_ = await open_schema_of(
                self.config, hosts_of(self.config)[0], fleet.shells, self.stack
            )
            self._opened = audit_of(schema)
        if self._opened is None:
            raise StoreError("the service has no database")
        return self._opened

    async def _with_way(self) -> Fleet:
        """Hosts among which is the one that the database is reached through."""
        database = database_of(self.config)
        through = database.via if database else None
        host = hosts_of(self.config)[0] if through == "primary" else through
        if host is None or host in self.fleet.shells:
            return self.fleet
        more = await self.stack.enter_async_context(Fleet((host,), ssh_settings(self.config)))
        await more.connect()
        return more
