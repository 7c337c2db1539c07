"""An event loop without a clock and without sockets: time jumps to whatever is due next.

An example of a property test makes one of these, so it has to be cheap, and it has to do the same thing
every time: the order in which tasks run follows from the delays that the example drew, and from
nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


TURNS = 200_000
"""How often tasks may take turns; a story has some thousand."""


class Stuck(Exception):
    """Every task waits for something that nobody will do, or they go on without end."""


class _NoSelector:
    """Where a real loop waits for sockets, this one lets time pass."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._turns = 0

    def select(self, timeout: float | None) -> list[object]:
        self._turns += 1
        if self._turns > TURNS:
            raise Stuck("the tasks go on and on")
        if timeout is None:
            raise Stuck("no task can go on")
        self._loop.now += timeout
        return []

    def close(self) -> None:
        """Nothing to close."""


class VirtualLoop(asyncio.BaseEventLoop):
    """The loop. ``now``: seconds since it was made. ``stray``: exceptions that nobody awaited."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._selector = _NoSelector(self)
        self.stray: list[BaseException] = []
        self.set_exception_handler(_keep)

    def time(self) -> float:
        """The time that only waiting moves."""
        return self.now

    def _process_events(self, event_list: list[object]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody sleeps in a system call."""


def _keep(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An exception that nobody awaited: kept for whoever asks."""
    exception = context.get("exception")
    if isinstance(loop, VirtualLoop) and exception is not None:
        loop.stray.append(exception)


def run(main: Coroutine[Any, Any, T], loop: VirtualLoop) -> T:
    """Run ``main`` to its end, then end every task that it left."""
    try:
        return loop.run_until_complete(main)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()
