"""What is begun before its turn. A plan is a list, and some of the waiting for the step before is for nothing.

Two things may overtake, and each of their steps then only waits for its end:

- what hosts are asked for that touches neither the schema, an instance, nor who gets requests: that each has the image,
  and an edge that runs. It goes on beside the release phase;
- what follows from the switch, once it is verified: the old web instances finish what they have beside the change of
  the workers, and are stopped beside the last old workers. Nothing is *stopped* before all that is new has been checked, so
  the way back of a worker that fails is as short as ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Self

from pilotage.model import Kind
from pilotage.run import Run
from pilotage.steps import (
    ApplyHalf,
    Backfill,
    Check,
    Confirm,
    Drain,
    EnsureProxy,
    Fetch,
    Start,
    Step,
    Stop,
)

Perform = Callable[[Run, Step], Awaitable[str | None]]
"""Carries one step out; a detail worth showing."""


def overtaking(steps: Sequence[Step], at: int) -> tuple[int, ...]:
    """The steps that may be begun when it is the turn of the step ``at``, itself perhaps among them."""
    return (*_asked_for(steps, at), *_left_behind(steps, at))


def _asked_for(steps: Sequence[Step], at: int) -> list[int]:
    """What hosts need, in front of the first step that changes them. A hook that says no comes before."""
    found = []
    for index, step in enumerate(steps[at:], at):
        if not isinstance(step, (Fetch, EnsureProxy, ApplyHalf, Backfill)):
            break
        if isinstance(step, (Fetch, EnsureProxy)):
            found.append(index)
    return found


def _left_behind(steps: Sequence[Step], at: int) -> list[int]:
    """The draining, as soon as workers are changed; the stop after it, beside the last stop of workers."""
    if not any(isinstance(step, Confirm) and not step.rest for step in steps[:at]):
        return []
    after = at
    while after < len(steps) and _changes_workers(steps[after]):
        after += 1
    if after == at or after == len(steps) or not isinstance(steps[after], Drain):
        return []
    last = after == at + 1 and isinstance(steps[at], Stop)
    stops = after + 1 < len(steps) and isinstance(steps[after + 1], Stop)
    return [after, after + 1] if last and stops else [after]


def _changes_workers(step: Step) -> bool:
    return isinstance(step, (Start, Check, Stop)) and all(
        instance.kind is Kind.WORKER for instance in step.instances
    )


class Early:
    """The steps of a run that were begun before their turn."""

    def __init__(self, run: Run, perform: Perform) -> None:
        self._run = run
        self._perform = perform
        self._begun: dict[int, asyncio.Task[str | None]] = {}

    def __contains__(self, index: int) -> bool:
        return index in self._begun

    def begin(self, at: int) -> None:
        """Begin what may be begun when it is the turn of the step ``at``."""
        for index in overtaking(self._run.plan.steps, at):
            if index not in self._begun:
                self._begun[index] = asyncio.create_task(self._carry_out(index))

    async def _carry_out(self, index: int) -> str | None:
        step = self._run.plan.steps[index]
        if isinstance(step, Stop):  # what is stopped has drained
            await asyncio.shield(self._begun[index - 1])
        return await self._perform(self._run, step)

    async def perform(self, index: int) -> str | None:
        """Wait for the end of a step."""
        return await self._begun[index]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """To their ends, so that none is left half-way; but nobody waits who was interrupted, nor for requests
        that an instance still has when it is about to get all of them back."""
        interrupted = kind is not None and not issubclass(kind, Exception)
        for index, task in self._begun.items():
            if interrupted or (kind and isinstance(self._run.plan.steps[index], Drain)):
                task.cancel()
        await asyncio.gather(*self._begun.values(), return_exceptions=True)
