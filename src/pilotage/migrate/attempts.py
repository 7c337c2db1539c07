"""Trying a whole transaction again when a lock was not granted, and knowing who was in the way.

Only whole transactions are retried: rolling back to a savepoint would keep the ACCESS EXCLUSIVE locks
that came before it through the pause, and every query of the site would queue behind them.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from pilotage.errors import DatabaseError
from pilotage.migrate.dialects.base import Dialect, Session, StatementError, Trouble

_LONGEST_PAUSE = 15.0
_SHORTEST = 0.05  # an attempt with less time than this is not begun


@dataclass(slots=True)
class Attempts:
    """The attempts at one piece of work, and the sessions that were seen in its way.

    ``lock``: the limit of one wait for a lock, or None; ``total``: of all attempts. Seconds.
    ``blockers``: whom it was last seen to wait for.
    """

    lock: float | None
    total: float
    number: int = 1
    blockers: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    @property
    def remaining(self) -> float:
        """Seconds until ``total`` is over, at least a millisecond."""
        return max(self.started + self.total - time.monotonic(), 0.001)

    @property
    def wait(self) -> float | None:
        """The limit of a wait for a lock in this attempt, in seconds: it must run out before the
        statement's own limit does, or a lock that was not granted looks like a slow statement."""
        return None if self.lock is None else min(self.lock, self.remaining * 0.8)

    def why(self, error: StatementError) -> str:
        """Why the attempt failed, with who was in the way where that was seen."""
        if error.trouble is Trouble.LOCK and self.lock is not None:
            said = f"a lock was not granted within {round(self.lock * 1000)} ms"
        else:
            said = str(error)
        return f"{said}; in the way: {'; '.join(self.blockers)}" if self.blockers else said

    async def run(
        self,
        work: Callable[[], Awaitable[None]],
        *,
        on_retry: Callable[[int, float, str], None],
        on_exhausted: Callable[[StatementError], DatabaseError],
    ) -> None:
        """Await ``work()`` until it passes. ``on_retry(attempt, pause, why)`` is told of each pause.

        Raises
        ------
        StatementError
            It failed for a reason that does not pass by itself.
        DatabaseError
            What ``on_exhausted`` makes of the last error when ``total`` is over.
        """
        while True:
            try:
                return await work()
            except StatementError as error:
                if not error.trouble.passes:
                    raise
                pause = self._pause()
                if pause + _SHORTEST >= self.remaining:
                    raise on_exhausted(error) from error
                on_retry(self.number, pause, self.why(error))
            await asyncio.sleep(pause)
            self.number += 1

    def _pause(self) -> float:
        base = max(self.lock or 0.5, 0.05)
        pause = min(base * 2.0 ** min(self.number - 1, 10), _LONGEST_PAUSE)
        return pause * random.uniform(0.5, 1.5)  # noqa: S311


@asynccontextmanager
async def watched(dialect: Dialect, session: Session, attempts: Attempts) -> AsyncIterator[None]:
    """Note in ``attempts.blockers`` whom ``session`` waits for, asked from a session of its own.

    It connects only once the work has lasted longer than most of a lock's wait.
    """
    if not dialect.names_blockers:
        yield
        return
    task = asyncio.create_task(_watch(dialect, session, attempts))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _watch(dialect: Dialect, session: Session, attempts: Attempts) -> None:
    every = min(max((attempts.lock or 1.0) * 0.4, 0.02), 1.0)
    await asyncio.sleep(every)
    with suppress(StatementError, DatabaseError):  # evidence for a message, nothing more
        async with dialect.session() as watcher:
            while True:
                found = await dialect.blockers(watcher, session)
                if found:
                    attempts.blockers[:] = found
                await asyncio.sleep(every)
