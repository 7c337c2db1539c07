"""Ends a statement that has waited too long for one lock, where the servers count whole seconds alone.

A statement need not wait at its beginning: an online ALTER gets its table at once, works for minutes, and waits
at the end for everybody who has come meanwhile; a batch waits for a row in its midst. So it is looked
at all the while, from the session beside it: see ``docs/decisions/207-waits-of-less-than-a-second.md``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

import pymysql

from pilotage.migrate.dialects.mysql.beside import Beside

_LOOKS = 4  # within the time that a statement may wait
_SELDOM = 1.0  # seconds between two of them, at most
_END = 0.1  # the part of that time that is left for the end: until those who queue go on

_METADATA = """
SELECT STATE FROM information_schema.PROCESSLIST WHERE ID = %(pid)s AND STATE LIKE '%%metadata lock%%'
"""
_EITHER = f"""{_METADATA} UNION ALL
SELECT trx_requested_lock_id FROM information_schema.INNODB_TRX
WHERE trx_mysql_thread_id = %(pid)s AND trx_state = 'LOCK WAIT'
"""  # noqa: S608
_NOT_SHOWN = 1227  # transactions, to an account without PROCESS


def every(patience: float) -> float:
    """Seconds from one look at a statement to the next, where it may wait for ``patience`` seconds."""
    return min(patience / _LOOKS, _SELDOM)


@dataclass(slots=True)
class Waits:
    """Looks after the statements of one session."""

    beside: Beside
    pid: int
    _question: str = _EITHER

    async def end_one_of(self, patience: float, began: float, ending: Callable[[], None]) -> None:
        """Return when the statement was told to end, because it had waited for one lock for nearly
        ``patience`` seconds: a tenth is left for what its end takes, or more, by the looks so far.

        Parameters
        ----------
        patience : seconds.
        began : when the statement began, by `time.monotonic`.
        ending : called just before it is told to end.

        Raises
        ------
        pymysql.MySQLError
            The session beside cannot be had.
        """
        pause = every(patience)
        lock: str | None = None
        since, before, end = began, began, patience * _END
        while True:
            now = monotonic()
            overdue = lock if now >= since + patience - end else None
            found = await self._look(overdue, ending)
            if overdue is not None and found == overdue:
                return
            end = min(max(end, 2 * (monotonic() - now)), pause)  # to ask, and to tell
            if found != lock:
                lock, since = found, before  # it may have begun right after the last look
            before = now
            left = since + patience - end - monotonic()
            await asyncio.sleep(pause if lock is None else min(pause, max(left, 0.0)))

    async def _look(self, overdue: str | None, ending: Callable[[], None]) -> str | None:
        """The lock that the statement waits for; where that is ``overdue``, it was told to end."""
        found: str | None = None

        def look(cursor: pymysql.cursors.Cursor) -> None:
            nonlocal found
            found = self._asked(cursor)
            if found is not None and found == overdue:
                ending()
                cursor.execute(f"KILL QUERY {self.pid}")

        await self.beside.ask_soon(look)
        return found

    def _asked(self, cursor: pymysql.cursors.Cursor) -> str | None:
        try:
            cursor.execute(self._question, {"pid": self.pid})
        except pymysql.OperationalError as error:
            if error.args[0] != _NOT_SHOWN or self._question == _METADATA:
                raise
            self._question = _METADATA
            return self._asked(cursor)
        row = cursor.fetchone()
        return None if row is None else str(row[0])
