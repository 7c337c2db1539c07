"""Who is in the way, and who is connected, as far as MySQL and MariaDB show it."""

from __future__ import annotations

from collections.abc import Sequence

from pilotage.migrate.dialects.base import Row, Session, StatementError, Trouble
from pilotage.model import Session as SeenSession

# For a metadata lock: exact where the performance schema (or MariaDB's plugin) notes them.
_METADATA = """
SELECT DISTINCT t.PROCESSLIST_ID FROM performance_schema.metadata_locks w
JOIN performance_schema.threads me ON me.THREAD_ID = w.OWNER_THREAD_ID AND me.PROCESSLIST_ID = $1
JOIN performance_schema.metadata_locks h ON h.OBJECT_TYPE = w.OBJECT_TYPE
  AND h.OBJECT_SCHEMA <=> w.OBJECT_SCHEMA AND h.OBJECT_NAME <=> w.OBJECT_NAME
  AND h.LOCK_STATUS = 'GRANTED' AND h.OWNER_THREAD_ID <> w.OWNER_THREAD_ID
JOIN performance_schema.threads t ON t.THREAD_ID = h.OWNER_THREAD_ID
WHERE w.LOCK_STATUS = 'PENDING' AND t.PROCESSLIST_ID IS NOT NULL
"""
_ROWS_MARIADB = """
SELECT DISTINCT b.trx_mysql_thread_id FROM information_schema.INNODB_LOCK_WAITS w
JOIN information_schema.INNODB_TRX b ON b.trx_id = w.blocking_trx_id
JOIN information_schema.INNODB_TRX r ON r.trx_id = w.requesting_trx_id
WHERE r.trx_mysql_thread_id = $1
"""
_ROWS_MYSQL = """
SELECT DISTINCT t.PROCESSLIST_ID FROM performance_schema.data_lock_waits w
JOIN performance_schema.threads me ON me.THREAD_ID = w.REQUESTING_THREAD_ID AND me.PROCESSLIST_ID = $1
JOIN performance_schema.threads t ON t.THREAD_ID = w.BLOCKING_THREAD_ID
"""
# Where nothing notes metadata locks: whoever has a transaction open may hold one.
_OPEN = """
SELECT trx_mysql_thread_id FROM information_schema.INNODB_TRX
WHERE trx_mysql_thread_id NOT IN (0, $1)
"""
_DETAILS = """
SELECT p.ID, p.USER, p.HOST, p.COMMAND, p.TIME, left(p.INFO, 200),
  (SELECT TIMESTAMPDIFF(SECOND, min(x.trx_started), now()) FROM information_schema.INNODB_TRX x
   WHERE x.trx_mysql_thread_id = p.ID)
FROM information_schema.PROCESSLIST p WHERE p.ID IN ({})
"""


async def blockers(watcher: Session, pid: int) -> list[str]:
    """The sessions that ``pid`` waits for, each with the statement that ends it."""
    state = await watcher.query(
        "SELECT coalesce(STATE, '') FROM information_schema.PROCESSLIST WHERE ID = $1", pid
    )
    waits = bool(state) and "lock" in state[0][0].lower()
    if not waits and not await _waits_for_rows(watcher, pid):
        return []
    exact = await _first(watcher, pid, _METADATA, _ROWS_MARIADB, _ROWS_MYSQL)
    found = exact or (await asked(watcher, _OPEN, pid) if waits else [])
    if not found:
        return []
    places = ", ".join(str(int(number)) for (number,) in found)
    told = "" if exact else ", which may hold it"
    return [_line(row, told) for row in await asked(watcher, _DETAILS.format(places))]


async def _waits_for_rows(watcher: Session, pid: int) -> bool:
    return bool(
        await asked(
            watcher,
            "SELECT 1 FROM information_schema.INNODB_TRX WHERE trx_mysql_thread_id = $1"
            " AND trx_state = 'LOCK WAIT'",
            pid,
        )
    )


async def _first(watcher: Session, pid: int, *questions: str) -> list[Row]:
    for question in questions:
        found = await asked(watcher, question, pid)
        if found:
            return found
    return []


async def asked(watcher: Session, question: str, *values: object) -> list[Row]:
    """The rows; none where the server has no such table, or shows it not to us."""
    try:
        return await watcher.query(question, *values)
    except StatementError as error:
        if error.trouble is Trouble.LOST:
            raise
        return []


def _line(row: Row, told: str) -> str:
    number, user, host, command, age, statement, open_for = row
    doing = f"{'sleeping' if command == 'Sleep' else command.lower()} for {age} s"
    if open_for is not None:
        doing += f", in a transaction for {open_for} s"
    text = f": {' '.join(statement.split())}" if statement else ""
    return f"session {number} ({user} from {host}, {doing}{told}; KILL {number}; ends it){text}"


async def sessions(
    session: Session, database: str, own: Sequence[int]
) -> tuple[SeenSession, ...] | None:
    """The other sessions of the database; None where the performance schema does not keep their names, or
    they may not be seen."""
    try:
        kept = await session.query("SELECT @@performance_schema")
        if not kept[0][0]:
            return None
        rows = await session.query(
            "SELECT p.ID, coalesce(a.ATTR_VALUE, ''), p.HOST"
            " FROM information_schema.PROCESSLIST p"
            " LEFT JOIN performance_schema.session_connect_attrs a"
            " ON a.PROCESSLIST_ID = p.ID AND a.ATTR_NAME = 'program_name'"
            " WHERE p.DB = $1 AND p.COMMAND NOT IN ('Daemon', 'Binlog Dump') ORDER BY p.ID",
            database,
        )
        everybody = await session.query(
            "SELECT 1 FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE = 'PROCESS'"
        )
    except StatementError as error:
        if error.trouble in (Trouble.DENIED, Trouble.ABSENT):
            return None
        raise
    if not everybody:
        return None  # other accounts' sessions are hidden from us
    return tuple(
        SeenSession(int(number), name, host.rpartition(":")[0] or host)
        for number, name, host in rows
        if int(number) not in own
    )
