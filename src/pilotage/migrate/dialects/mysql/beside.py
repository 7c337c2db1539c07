"""A second session of the same account, from which something is done about the first while that one waits.

It is opened before it is needed: everybody queues behind a statement that waits for a metadata lock, so
what it takes to log in would be time that a site stands still for longer than it was told to.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pymysql

from pilotage.migrate.dialects.mysql.address import Address, Line

Work = Callable[[pymysql.cursors.Cursor], object]


class Beside:
    """The session; connected by `open` or when it is first asked, and then kept. For use in threads."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._line: Line | None = None
        self._turn = threading.Lock()

    @property
    def ready(self) -> bool:
        """Whether it is connected, as far as anybody knows."""
        return self._line is not None

    def open(self) -> None:
        """Connect, unless it is; raises `pymysql.MySQLError`."""
        with self._turn:
            self._connected()

    def ask(self, work: Work) -> None:
        """Give ``work`` a cursor; once more on a new connection, where the server had given up the old one.

        Raises
        ------
        pymysql.MySQLError
            It cannot connect, or the server refuses what ``work`` wants.
        """
        with self._turn:
            kept = self.ready
            try:
                self._work(work)
            except pymysql.MySQLError:
                self._leave()
                if not kept:
                    raise
                self._work(work)

    async def ask_soon(self, work: Work) -> None:
        """As `ask`, in a thread. Who is cancelled meanwhile stays until ``work`` is done: nothing that it does to
        the first session may come later than that one's next statement."""
        asked = asyncio.create_task(asyncio.to_thread(self.ask, work))
        try:
            await asyncio.shield(asked)
        except asyncio.CancelledError:
            await asyncio.gather(asked, return_exceptions=True)
            raise

    def close(self) -> None:
        """End it. Never raises."""
        with self._turn:
            self._leave()

    def _work(self, work: Work) -> None:
        with self._connected().connection.cursor() as cursor:
            work(cursor)

    def _connected(self) -> Line:
        if self._line is None:
            self._line = self._address.connect(database=False)
        return self._line

    def _leave(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.close()
