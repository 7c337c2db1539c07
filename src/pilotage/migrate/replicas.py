"""Read replicas: an expand half is done only when every replica has replayed it.

New code that reads from a replica must find there what its expand half has made.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from pilotage.errors import DatabaseError
from pilotage.migrate.dialects.base import Dialect, Session, StatementError

POLL_SECONDS = 0.1


async def replayed(
    primary: Session, dialect: Dialect, replicas: Sequence[Dialect], *, limit: float
) -> None:
    """Wait, for ``limit`` seconds in all, until each replica has what ``primary`` has committed by now.

    Raises
    ------
    DatabaseUnavailable
        A replica cannot be asked.
    DatabaseError
        One is behind still, or is no replica.
    """
    position = await dialect.position(primary)
    give_up = time.monotonic() + limit
    for replica in replicas:
        async with replica.session() as session:
            while not await _has(replica, session, position):
                if time.monotonic() >= give_up:
                    raise DatabaseError(
                        f"the replica has not replayed {position} after {limit:g} s, so what reads "
                        "from it would not find what the expand halves have made",
                        where=replica.where,
                        next="see why it is behind (a long query on it, its network), then run the "
                        "command again",
                    )
                await asyncio.sleep(POLL_SECONDS)


async def _has(replica: Dialect, session: Session, position: str) -> bool:
    try:
        found = await replica.has_replayed(session, position)
    except StatementError as error:
        raise DatabaseError(f"the replica refused: {error}", where=replica.where) from error
    if found is None:
        raise DatabaseError(
            "the server is not a replica (it is not in recovery), so nobody knows what it has",
            where=replica.where,
            next="correct `replicas` under `databases:` in the configuration",
        )
    return found
