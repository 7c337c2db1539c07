"""Telling how far the statement at work is, as far as the database says it, from a session of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from pilotage.errors import DatabaseError
from pilotage.events import StatementProgress
from pilotage.migrate.dialects.base import Progress, StatementError
from pilotage.migrate.work import Work

_LOOK_SECONDS = 1.0
_TELL_SECONDS = 10.0  # also when nothing has changed: whoever follows sees that it lives


@asynccontextmanager
async def progressing(
    work: Work, half: str, statements: int, number: Callable[[], int]
) -> AsyncIterator[None]:
    """Emit `StatementProgress` while the block runs statements; ``number()`` is the one at work.

    It connects only once a statement has lasted longer than a moment.
    """
    if not work.dialect.tells_progress:
        yield
        return
    task = asyncio.create_task(_watch(work, half, statements, number))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _watch(work: Work, half: str, statements: int, number: Callable[[], int]) -> None:
    await asyncio.sleep(_LOOK_SECONDS)
    told: tuple[int, Progress] | None = None
    told_at = 0.0
    with suppress(StatementError, DatabaseError):  # a bonus: the statement itself is what counts
        async with work.dialect.session() as watcher:
            while True:
                found = await work.dialect.progress(watcher, work.session)
                now = time.monotonic()
                if found is not None:
                    at = (number(), found)
                    if _differs(told, at) or now - told_at >= _TELL_SECONDS:
                        told, told_at = at, now
                        work.emit(
                            StatementProgress(
                                half=half,
                                number=number(),
                                statements=statements,
                                phase=found.phase,
                                fraction=found.fraction,
                            )
                        )
                await asyncio.sleep(_LOOK_SECONDS)


def _differs(told: tuple[int, Progress] | None, now: tuple[int, Progress]) -> bool:
    """Whether it is another statement or phase, or a percent further."""
    if told is None or (told[0], told[1].phase) != (now[0], now[1].phase):
        return True
    return abs((now[1].fraction or 0.0) - (told[1].fraction or 0.0)) >= 0.01
