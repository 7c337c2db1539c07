"""The worker role: ``python -m shop.worker`` ships new orders until SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import suppress

from shop import orders
from shop.db import pool

BATCH = 50
IDLE = 0.2  # seconds between looks at an empty queue

log = logging.getLogger("shop.worker")


async def work() -> None:
    """Ship batches; on SIGTERM finish the one at hand and end."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with pool(size=1) as database:
        await database.wait()
        while not stop.is_set():
            shipped = await orders.ship(database, limit=BATCH)
            if shipped:
                log.info("shipped %d orders, the last was %s", len(shipped), shipped[-1]["item"])
            else:
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), IDLE)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    asyncio.run(work())
