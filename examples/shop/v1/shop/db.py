"""One pool of database connections for a process."""

from __future__ import annotations

import os

from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

Pool = AsyncConnectionPool[AsyncConnection[DictRow]]


def pool(*, size: int) -> Pool:
    """A pool that is not open yet: use it with ``async with``.

    DATABASE_URL comes from Pilotage with ``application_name`` set to the release, which is how a
    deploy can see whose sessions are open.
    """
    return AsyncConnectionPool(
        os.environ["DATABASE_URL"],
        connection_class=AsyncConnection[DictRow],
        kwargs={"autocommit": True, "row_factory": dict_row},
        min_size=1,
        max_size=size,
        open=False,
    )
