"""PostgreSQL as a trace sees it: pg_locks of the working session, file numbers, scan counters, the log.

Locks are looked at from a second session. Inside a transaction they stay until its end, so one look
after the statement sees them all. A statement that runs in no transaction gives them back with its last
breath; it is watched while it runs, and it is made to wait for a moment before it can finish: a third
session holds a weak lock on the tables (`_Gate`) until the statement is seen to wait behind it.

Rewrites and scans are asked in the working session itself, for nobody else can see what is not committed:
a relation with another file number was written anew; a table whose counter of sequential scans has grown was
read from end to end. The server counts its own scans (of VALIDATE, SET NOT NULL, an index build) there, too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import cast

from pilotage.errors import DatabaseError
from pilotage.migrate import sql
from pilotage.migrate.dialects.base import Dialect, Session, StatementError
from pilotage.migrate.dialects.postgresql.catalogue import quote
from pilotage.migrate.dialects.postgresql.session import PostgresSession
from pilotage.migrate.sql.change import Truncate
from pilotage.trace.observer import Held, Measured
from pilotage.trace.report import Relation, Scan, Stops

# Whom a mode keeps waiting, by the table of conflicts in the server's documentation. A reader holds
# ACCESS SHARE, a writer ROW EXCLUSIVE.
_STOPS = {
    "AccessShareLock": Stops.NOBODY,
    "RowShareLock": Stops.NOBODY,
    "RowExclusiveLock": Stops.NOBODY,
    "ShareUpdateExclusiveLock": Stops.SCHEMA_CHANGES,
    "ShareLock": Stops.WRITERS,
    "ShareRowExclusiveLock": Stops.WRITERS,
    "ExclusiveLock": Stops.WRITERS,
    "AccessExclusiveLock": Stops.EVERYBODY,
}
_MODES = {
    "AccessShareLock": "ACCESS SHARE",
    "RowShareLock": "ROW SHARE",
    "RowExclusiveLock": "ROW EXCLUSIVE",
    "ShareUpdateExclusiveLock": "SHARE UPDATE EXCLUSIVE",
    "ShareLock": "SHARE",
    "ShareRowExclusiveLock": "SHARE ROW EXCLUSIVE",
    "ExclusiveLock": "EXCLUSIVE",
    "AccessExclusiveLock": "ACCESS EXCLUSIVE",
}
_KINDS = {
    "r": "table",
    "p": "table",
    "f": "foreign table",
    "i": "index",
    "I": "index",
    "S": "sequence",
    "v": "view",
    "m": "materialized view",
}

_RELATIONS = r"""
SELECT c.oid, n.nspname, c.relname, c.relkind, pg_table_is_visible(c.oid), i.indrelid,
       c.reltuples::bigint
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_index i ON i.indexrelid = c.oid
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\_%'
  AND c.relkind IN ('r', 'p', 'f', 'i', 'I', 'S', 'v', 'm') AND c.relname NOT LIKE 'pilotage\_%'
"""
# An empty table is better left alone: the planner believes that one which was never counted will grow.
_UNCOUNTED = r"""
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.reltuples < 0 AND c.relname NOT LIKE 'pilotage\_%'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\_%'
  AND pg_relation_size(c.oid) > 0
"""
_LOCKS = """
SELECT relation, mode, granted FROM pg_locks
WHERE pid = $1 AND locktype = 'relation'
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_FILES = """
SELECT oid, relfilenode FROM pg_catalog.pg_class WHERE relkind IN ('r', 'i', 'm', 'S') AND oid >= 16384
"""
_SCANS = "SELECT relid, seq_scan, seq_tup_read FROM pg_catalog.{} WHERE relid >= 16384"
_FLUSH = "SELECT pg_catalog.pg_stat_force_next_flush()"
_FLUSHES = 150000  # the first server that can be told to publish its counters

_EVERY = 0.002
_SELDOM = 0.05
_AT_GATE = 2.0  # seconds that a statement is kept waiting at most
_MOST_TABLES = 1000  # so many fit in the lock table of a server with its own settings


@dataclass(frozen=True, slots=True)
class _Known:
    relation: Relation
    schema: str
    name: str
    rows: int  # -1: never counted


class PostgresObserver:
    """`pilotage.trace.observer.Observer` for PostgreSQL 13 and later."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._watcher: Session | None = None
        self._known: dict[int, _Known] = {}

    async def _watching(self) -> Session:
        if self._watcher is None:
            self._watcher = await self._dialect.connect()
        return self._watcher

    async def begin(self) -> None:
        """Note the relations of the database, and count the rows of those that have any."""
        watcher = await self._watching()
        for schema, name in await watcher.query(_UNCOUNTED):
            await watcher.execute(f"ANALYZE {quote(schema)}.{quote(name)}")
        rows = await watcher.query(_RELATIONS)
        names = {oid: _shown(schema, name, visible) for oid, schema, name, _, visible, *_ in rows}
        self._known = {
            oid: _Known(
                Relation(names[oid], _KINDS[kind], names.get(owner, names[oid])),
                schema,
                name,
                tuples,
            )
            for oid, schema, name, kind, _, owner, tuples in rows
        }

    async def close(self) -> None:
        """End the sessions."""
        if self._watcher is not None:
            await self._watcher.close()
            self._watcher = None

    async def measure(
        self, session: Session, text: str, run: Callable[[], Awaitable[int]]
    ) -> Measured:
        """See `Observer.measure`."""
        inside = session.in_transaction
        files, scans = await self._files(session), await self._scans(session, inside=inside)
        before, start = await self._locks(session), await self._written()
        if inside:
            began = time.monotonic()
            rows = await run()
            seconds = time.monotonic() - began
            after = await self._locks(session)
            locks: dict[Held, float | None] = dict.fromkeys(sorted(after - before, key=_order))
        else:
            rows, seconds, seen = await self._watched(session, text, run)
            locks = dict(seen)
        wal = await self._written() - start
        emptied = _emptied(text)
        return Measured(
            seconds=seconds,
            wal=wal,
            rows=rows,
            locks=locks,
            rewrites=tuple(
                known.relation
                for oid, number in (await self._files(session)).items()
                if (known := self._known.get(oid)) and files.get(oid) not in (None, number)
                if known.relation.kind != "sequence" and known.relation.table not in emptied
            ),
            scans=self._read(scans, await self._scans(session, inside=inside)),
        )

    # -- locks ---------------------------------------------------------------------------------

    async def _locks(self, session: Session) -> set[Held]:
        return {held for held, _ in await self._look(session)}

    async def _look(self, session: Session) -> list[tuple[Held, bool]]:
        """The locks on known relations that the session has, or waits for (False)."""
        pid = cast(PostgresSession, session).pid
        rows = await (await self._watching()).query(_LOCKS, pid)
        return [
            (Held(self._known[oid].relation, _MODES[mode], _STOPS[mode]), granted)
            for oid, mode, granted in rows
            if oid in self._known
        ]

    async def _watched(
        self, session: Session, text: str, run: Callable[[], Awaitable[int]]
    ) -> tuple[int, float, dict[Held, float]]:
        """Run a statement that is in no transaction: its rows, seconds, and locks with theirs."""
        first: dict[Held, float] = {}
        last: dict[Held, float] = {}

        async def look() -> bool:
            seen, now = await self._look(session), time.monotonic()
            for held, _ in seen:
                first.setdefault(held, now)
                last[held] = now
            return any(not granted for _, granted in seen)

        gate = self._gate(text)
        held_up = False
        async with gate:
            began = time.monotonic()
            running = asyncio.ensure_future(run())
            try:
                while not running.done() and time.monotonic() < began + _AT_GATE and not held_up:
                    held_up = await look()
                    await asyncio.sleep(_EVERY)
            except BaseException:
                await _end(running)
                raise
        released = time.monotonic() if held_up else began
        try:
            every = _EVERY
            while not running.done():
                await look()
                await asyncio.wait([running], timeout=every)
                every = min(every * 1.2, _SELDOM)
        except BaseException:
            await _end(running)
            raise
        rows = await running
        ended = time.monotonic()
        # What was seen at the last look was given back between it and the end.
        latest = max(last.values(), default=ended)
        seen = {
            held: max(
                (ended if last[held] == latest else last[held]) - max(begun, released),
                _EVERY,  # seen once: for no longer than from one look to the next
            )
            for held, begun in sorted(first.items(), key=lambda item: _order(item[0]))
        }
        return rows, ended - released, {_in_use(held, seen): s for held, s in seen.items()}

    @asynccontextmanager
    async def _gate(self, text: str) -> AsyncIterator[None]:
        """Hold SHARE UPDATE EXCLUSIVE on the tables: whoever takes that or more waits, and is seen."""
        tables = [
            f"{quote(known.schema)}.{quote(known.name)}"
            for known in self._known.values()
            if known.relation.kind == "table"
        ]
        if not tables or len(tables) > _MOST_TABLES or "SKIP_LOCKED" in text.upper():
            yield
            return
        async with self._dialect.session() as holder:
            with suppress(StatementError):  # then it is only watched
                await holder.execute("BEGIN")
                await holder.execute(
                    f"LOCK TABLE ONLY {', ONLY '.join(tables)} IN SHARE UPDATE EXCLUSIVE MODE"
                )
            yield

    # -- the rest ------------------------------------------------------------------------------

    async def _written(self) -> int:
        rows = await (await self._watching()).query(
            "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"
        )
        return int(rows[0][0])

    async def _files(self, session: Session) -> dict[int, int]:
        return {oid: number for oid, number in await session.query(_FILES) if oid in self._known}

    async def _scans(self, session: Session, *, inside: bool) -> dict[int, tuple[int, int]] | None:
        """Sequential scans and the rows that they read, by table, as the session has counted them."""
        if inside:
            rows = await session.query(_SCANS.format("pg_stat_xact_all_tables"))
        elif cast(PostgresSession, session).server_version >= _FLUSHES:
            await session.query(_FLUSH)
            rows = await (await self._watching()).query(_SCANS.format("pg_stat_all_tables"))
        else:
            return None
        return {oid: (scans, read) for oid, scans, read in rows if oid in self._known}

    def _read(
        self,
        before: Mapping[int, tuple[int, int]] | None,
        after: Mapping[int, tuple[int, int]] | None,
    ) -> tuple[Scan, ...] | None:
        if before is None or after is None:
            return None
        found = []
        for oid, (scans, read) in after.items():
            scans_before, read_before = before.get(oid, (0, 0))
            known, times, rows = self._known[oid], scans - scans_before, read - read_before
            # A scan that stopped early (LIMIT 1, EXISTS) is none of the whole table.
            if times and rows >= known.rows * 0.5:
                found.append(Scan(known.relation, times, rows))
        return tuple(found)


def _in_use(held: Held, others: Iterable[Held]) -> Held:
    """A concurrent form locks an index for good only once nobody plans with it any more: then the lock on its
    table is a weak one still."""
    table = max(
        (o.stops for o in others if o.relation.name == held.relation.table), default=Stops.NOBODY
    )
    if held.relation.kind == "index" and table < Stops.WRITERS:
        return replace(held, stops=Stops.NOBODY)
    return held


async def _end(running: asyncio.Future[int]) -> None:
    running.cancel()
    with suppress(asyncio.CancelledError, StatementError, DatabaseError):
        await running


def _shown(schema: str, name: str, visible: bool) -> str:
    return name if visible else f"{schema}.{name}"


def _order(held: Held) -> tuple[int, str, str]:
    return (-held.stops, held.relation.table, held.relation.name)


def _emptied(text: str) -> set[str]:
    """The tables that TRUNCATE gave new, empty files: nothing was written anew."""
    try:
        changes: Iterable[sql.Change] = sql.changes(text, "postgresql")
    except sql.SqlError:
        return set()
    return {
        name
        for change in changes
        if isinstance(change, Truncate)
        for name in (change.table.name, f"{change.table.schema}.{change.table.name}")
    }
