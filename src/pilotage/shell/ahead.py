"""Sessions that are opened ahead, each with a ``sh`` that waits for what to do.

To open a session and to begin a command in it takes two round trips, in which nothing happens. On a
session that waits already a script takes one: it goes there, and what it wrote comes back. Whoever takes a session
has the next one opened meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from pilotage.shell.session import Session

COUNT = 3
"""How many wait: what a deploy asks of a host at once, when it has the lease."""

TRUSTED = 5.0
"""Seconds after it was last heard from in which a link is taken to be there. Later a session that waits
proves nothing: a new one is opened, and what breaks until then was not begun."""

Open = Callable[[], Awaitable[Session]]


@dataclass(slots=True)
class Ahead:
    """The sessions that wait on the connection of one host.

    ``open`` opens one, and raises what it likes; ``close`` closes one that nobody took. ``count``: how many wait.
    """

    open: Open
    close: Callable[[Session], None]
    count: int = COUNT
    _waiting: deque[asyncio.Task[Session]] = field(default_factory=deque)
    _heard: float = float("-inf")

    def heard(self) -> None:
        """The host answered just now: sessions are worth opening."""
        self._heard = asyncio.get_running_loop().time()
        self._refill()

    def _refill(self) -> None:
        while len(self._waiting) < self.count:
            self._waiting.append(asyncio.ensure_future(self.open()))

    async def take(self, *, ready: bool = False) -> Session | None:
        """A session whose ``sh`` waits; None where there is none that can be trusted. ``ready``: nor one that waits by now."""
        for _ in range(2):  # what has closed meanwhile says so in the first turns of the loop
            await asyncio.sleep(0)
        if asyncio.get_running_loop().time() - self._heard > TRUSTED:
            self.drop()
            return None
        while self._waiting and not (ready and not self._waiting[0].done()):
            task = self._waiting.popleft()
            self._refill()
            try:
                session = await asyncio.shield(task)
            except asyncio.CancelledError:
                self._discard(task)
                raise
            except Exception:  # noqa: BLE001 (the ordinary way meets it again, and says what it is)
                self.drop()
                return None
            if not session.closed:
                return session
            self.close(session)
        return None

    def drop(self) -> bool:
        """Close those that wait: their places are wanted, or their link is gone. Whether there were any."""
        dropped = bool(self._waiting)
        while self._waiting:
            self._discard(self._waiting.popleft())
        return dropped

    def give_up(self) -> None:
        """The server allows too few for any to wait."""
        self.count = 0
        self.drop()

    def _discard(self, task: asyncio.Task[Session]) -> None:
        task.cancel()

        def close(task: asyncio.Task[Session]) -> None:
            with contextlib.suppress(asyncio.CancelledError, Exception):
                self.close(task.result())

        task.add_done_callback(close)
