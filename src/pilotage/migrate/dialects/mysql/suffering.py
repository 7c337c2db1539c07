"""Who suffers from a backfill, as MySQL and MariaDB show it; asked from a session that watches.

Without the privilege PROCESS a session sees its own account's alone: then the answer is None.
"""

from __future__ import annotations

from collections.abc import Sequence

from pilotage.migrate.dialects.base import (
    APPLICATION_NAME,
    Session,
    StatementError,
    Trouble,
    Vacuum,
    Waiting,
)
from pilotage.migrate.dialects.mysql.locks import asked

_SEES_ALL = """
SELECT 1 FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE = 'PROCESS' LIMIT 1
"""

# A connection's name stands in a table that may be switched off: then ours count as others.
_AT_WORK = """
SELECT 1 FROM information_schema.PROCESSLIST p
LEFT JOIN information_schema.INNODB_TRX x ON x.trx_mysql_thread_id = p.ID
LEFT JOIN performance_schema.session_connect_attrs a
  ON a.PROCESSLIST_ID = p.ID AND a.ATTR_NAME = 'program_name'
WHERE p.DB = DATABASE() AND p.COMMAND NOT IN ('Daemon', 'Binlog Dump', 'Binlog Dump GTID')
  AND (p.COMMAND <> 'Sleep' OR x.trx_id IS NOT NULL)
  AND coalesce(a.ATTR_VALUE, '') <> $1 AND p.ID NOT IN ({})
LIMIT 1
"""

_DUMPS = """
SELECT 1 FROM information_schema.PROCESSLIST WHERE COMMAND IN ('Binlog Dump', 'Binlog Dump GTID') LIMIT 1
"""

# When a wait for a row began is told in whole seconds, cut off: this is the least that it can be.
_FOR_ROWS = """
SELECT x.trx_mysql_thread_id, p.USER, p.HOST,
  TIMESTAMPDIFF(MICROSECOND, x.trx_wait_started, now(6)) / 1e6 - 1
FROM information_schema.INNODB_TRX x
JOIN information_schema.PROCESSLIST p ON p.ID = x.trx_mysql_thread_id
WHERE x.trx_state = 'LOCK WAIT' AND p.DB = DATABASE() AND p.ID NOT IN ({})
ORDER BY x.trx_wait_started LIMIT 1
"""

# For a table. (Who waits for GET_LOCK is in the state "User lock", and may wait by design.)
_FOR_TABLES = """
SELECT ID, USER, HOST, {} FROM information_schema.PROCESSLIST
WHERE STATE LIKE 'Waiting for table %lock' AND DB = DATABASE() AND ID NOT IN ({})
ORDER BY 4 DESC LIMIT 1
"""

_IN_THE_WAY_MARIADB = """
SELECT 1 FROM information_schema.INNODB_LOCK_WAITS w
JOIN information_schema.INNODB_TRX r ON r.trx_id = w.requesting_trx_id
JOIN information_schema.INNODB_TRX b ON b.trx_id = w.blocking_trx_id
WHERE r.trx_mysql_thread_id = $1 AND b.trx_mysql_thread_id IN ({}) LIMIT 1
"""
_IN_THE_WAY_MYSQL = """
SELECT 1 FROM performance_schema.data_lock_waits w
JOIN performance_schema.threads r ON r.THREAD_ID = w.REQUESTING_THREAD_ID AND r.PROCESSLIST_ID = $1
JOIN performance_schema.threads b ON b.THREAD_ID = w.BLOCKING_THREAD_ID
WHERE b.PROCESSLIST_ID IN ({}) LIMIT 1
"""

# Purge is the whole server's, so a transaction in any database keeps it waiting.
_OLDEST = """
SELECT x.trx_mysql_thread_id, p.USER, p.HOST, p.COMMAND,
  TIMESTAMPDIFF(SECOND, x.trx_started, now())
FROM information_schema.INNODB_TRX x
LEFT JOIN information_schema.PROCESSLIST p ON p.ID = x.trx_mysql_thread_id
WHERE x.trx_mysql_thread_id NOT IN ({})
ORDER BY x.trx_started LIMIT 1
"""

_HISTORY_STATUS = "SHOW GLOBAL STATUS LIKE 'Innodb_history_list_length'"
_HISTORY_METRIC = """
SELECT NAME, COUNT FROM information_schema.INNODB_METRICS
WHERE NAME = 'trx_rseg_history_len' AND STATUS = 'enabled'
"""
_LONG_HISTORY = 100_000
"""Transactions whose old row versions wait to be removed; a server that keeps up has a few thousand."""


async def others_at_work(watcher: Session, own: Sequence[int]) -> bool | None:
    """From the list of processes."""
    try:
        if await watcher.query(_AT_WORK.format(_in(own)), APPLICATION_NAME):
            return True
        return False if await watcher.query(_SEES_ALL) else None
    except StatementError as error:
        if error.trouble is Trouble.LOST:
            raise
        return None


async def standbys_behind(watcher: Session) -> list[str] | None:
    """Neither server knows how far its replicas are: [] where none follows, else None."""
    if not await watcher.query(_SEES_ALL) or await watcher.query(_DUMPS):
        return None
    return []


async def longest_wait(
    watcher: Session, own: Sequence[int], *, milliseconds: bool
) -> list[Waiting] | None:
    """From InnoDB's transactions, and from the list of processes for whole tables.

    ``milliseconds``: the list has the time of a statement in them.
    """
    if not await watcher.query(_SEES_ALL):
        return None
    # In whole seconds, cut off, it is at least so long.
    since = "TIME_MS / 1e3" if milliseconds else "TIME"
    rows = await watcher.query(_FOR_ROWS.format(_in(own)))
    rows += await watcher.query(_FOR_TABLES.format(since, _in(own)))
    if not rows:
        return []
    pid, user, host, seconds = max(rows, key=lambda row: float(row[3]))
    question = _IN_THE_WAY_MARIADB if milliseconds else _IN_THE_WAY_MYSQL
    ours = await asked(watcher, question.format(_in(own)), pid)
    return [Waiting(f"session {pid} ({user} from {host})", float(seconds), bool(ours))]


async def oldest_transaction(watcher: Session, own: Sequence[int]) -> list[Waiting]:
    """From InnoDB's transactions, which are shown to nobody without PROCESS."""
    rows = await watcher.query(_OLDEST.format(_in(own)))
    if not rows:
        return []
    pid, user, host, command, seconds = rows[0]
    doing = ", idle" if command == "Sleep" else ""
    who = f"session {pid} ({user} from {host}{doing})" if user else "a prepared XA transaction"
    return [Waiting(who, float(seconds))]


async def purge(watcher: Session) -> Vacuum | None:
    """How long InnoDB's history list is: what it still has to do of a vacuum's work."""
    rows = await watcher.query(_HISTORY_STATUS) or await asked(watcher, _HISTORY_METRIC)
    if not rows:
        return None
    length = int(rows[0][1])
    allowed = int((await watcher.query("SELECT @@GLOBAL.innodb_max_purge_lag"))[0][0])
    return Vacuum(
        length / (allowed or _LONG_HISTORY),
        wraparound=False,
        words=f"InnoDB's purge does not keep up: its history list has {length:,} transactions",
    )


def _in(pids: Sequence[int]) -> str:
    return ", ".join(str(int(pid)) for pid in pids)
