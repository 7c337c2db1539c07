"""The migration lock: one runner at a time for each stream.

It is *polled*. A session that waits in pg_advisory_lock holds a snapshot, CREATE INDEX CONCURRENTLY
waits for every older snapshot, and if the waiter waits for the builder they deadlock and an INVALID
index is left. And it lives in the very session that runs the DDL: while the lock is held, the work may
be going on; when the session ends, so has the work.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from pilotage.errors import LockUnavailable
from pilotage.migrate.dialects.base import Dialect, Session, StatementError

_POLL = (0.02, 0.2)


def lock_key(stream: str) -> str:
    """The name of a stream's lock."""
    return f"pilotage migrate {stream}"


@asynccontextmanager
async def migration_lock(
    dialect: Dialect, session: Session, key: str, *, wait: float
) -> AsyncIterator[None]:
    """Hold the lock ``key`` in ``session`` for the length of the block.

    Raises
    ------
    LockUnavailable
        Not granted within ``wait`` seconds; names the session that holds it and what ends it.
    """
    deadline = time.monotonic() + wait
    poll = _POLL[0]
    while not await dialect.try_lock(session, key):
        if time.monotonic() >= deadline:
            who, end = await dialect.holder(session, key)
            raise LockUnavailable(
                f"the migration lock was not granted within {wait:g} s: "
                + (f"{who} holds it" if who else "it changed hands all the time"),
                where=dialect.where,
                state="nothing was changed",
                next="wait for it; or, if it was left behind (a lost tunnel, a stopped process), "
                f"end it: {end}"
                if end
                else "try again",
            )
        await asyncio.sleep(poll * random.uniform(0.5, 1.5))  # noqa: S311
        poll = min(poll * 1.5, _POLL[1])
    try:
        yield
    finally:
        # A session that is not idle (cancelled in the middle of a statement) is closed by its
        # owner, which releases the lock as well.
        if session.usable:
            with suppress(StatementError):
                await dialect.unlock(session, key)
