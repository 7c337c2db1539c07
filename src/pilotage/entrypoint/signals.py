"""How a container start ends when its platform says so: tidied up, with the status that a shell gives.

As process 1 of a container nothing has a default action: without a handler SIGTERM is ignored, and the
platform kills after its grace, in the middle of whatever was going on.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar

from pilotage.errors import PilotageError

T = TypeVar("T")

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


class Ended(PilotageError):
    """A signal ended the start; the exit status is 128 and the signal's number."""


def _ended(number: int, state: str = "nothing was started") -> Ended:
    error = Ended(
        f"ended by {signal.Signals(number).name}",
        state=state,
        next="the next start takes up what is left",
    )
    error.exit_status = 128 + number
    return error


class Signals:
    """For the length of a block, a signal of `ENDING` raises `Ended`. One that was ignored stays ignored.

    At the end of the block each has the action that it had at first, for the program that comes next.
    """

    def __init__(self) -> None:
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, _raise)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, action in self._before.items():
            signal.signal(number, action)

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end; a signal cancels it, and it tidies up. A second one leaves at once.

        Raises
        ------
        Ended
            A signal came.
        """
        try:
            return asyncio.run(self._cancellable(main))
        finally:
            for number in self._before:
                signal.signal(number, _raise)

    async def _cancellable(self, main: Coroutine[Any, Any, T]) -> T:
        loop = asyncio.get_running_loop()
        task = loop.create_task(main)
        came: list[int] = []

        def end(number: int) -> None:
            if came:
                os._exit(128 + number)
            came.append(number)
            task.cancel()

        for number in self._before:
            loop.add_signal_handler(number, end, int(number))
        try:
            return await task
        except asyncio.CancelledError:
            if not came:
                raise
            raise _ended(
                came[0], "what was not committed is rolled back, and the deploy lock is released"
            ) from None


def _raise(number: int, frame: FrameType | None) -> None:
    raise _ended(number)
