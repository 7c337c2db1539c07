"""Runs a command's coroutine, and ends it in an orderly way when somebody interrupts it.

The first Ctrl-C, SIGTERM or SIGHUP cancels: what had begun is undone or left to be taken up, the deploy
lock is released. The second one leaves at once.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from pilotage.cli.failure import Interrupted

T = TypeVar("T")

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SHOW_CURSOR = "\x1b[?25h"


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end.

    Raises
    ------
    Interrupted
        A signal came, and ``main`` did not say more of what it left.
    """
    return asyncio.run(_interruptible(main))


async def _interruptible(main: Coroutine[Any, Any, T]) -> T:
    loop = asyncio.get_running_loop()
    task = loop.create_task(main)
    came: list[signal.Signals] = []

    def interrupt(which: signal.Signals) -> None:
        if came:
            _leave_at_once()
        came.append(which)
        task.cancel(f"interrupted by {name(which)}")

    caught = [s for s in SIGNALS if signal.getsignal(s) is not signal.SIG_IGN]
    for which in caught:
        loop.add_signal_handler(which, interrupt, which)
    try:
        return await task
    except asyncio.CancelledError:
        if not came:
            raise
        raise Interrupted(f"interrupted by {name(came[0])}") from None
    except BaseExceptionGroup as group:
        first = leaf(group)
        raise first from first.__cause__
    finally:
        for which in caught:
            loop.remove_signal_handler(which)


def leaf(error: BaseException) -> BaseException:
    """The first error of a group of tasks: what one of them met is told, not that there were many."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def name(which: signal.Signals) -> str:
    """What a person calls it."""
    return "Ctrl-C" if which is signal.SIGINT else which.name


def _leave_at_once() -> None:
    """A second signal: no more tidying up. The lease expires by itself."""
    if sys.stderr.isatty():
        sys.stderr.write(_SHOW_CURSOR)
    sys.stderr.write(
        "\n✗ interrupted twice: left at once, without tidying up\n"
        "  state  the deploy lock lapses by itself, within half a minute\n"
        "  next   see `pilotage status`; the same command takes up what is left\n"
    )
    sys.stderr.flush()
    os._exit(1)


async def told(
    action: Awaitable[T], left: Callable[[], Awaitable[tuple[str, str]]], *, within: float = 5.0
) -> T:
    """Await ``action``; when it is interrupted, say with ``left`` what state was left, and what next.

    ``left`` returns (state, next), and gets ``within`` seconds.
    """
    try:
        return await action
    except asyncio.CancelledError as cancelled:
        task = asyncio.current_task()
        assert task is not None
        task.uncancel()
        reason = str(cancelled.args[0]) if cancelled.args else "interrupted"
        state, following = "it could not be looked at", "see `pilotage status`"
        try:
            async with asyncio.timeout(within):
                state, following = await left()
        except Exception:  # noqa: BLE001, S110 (a bonus: the interruption itself is what counts)
            pass
        raise Interrupted(reason, state=state, next=following) from None
