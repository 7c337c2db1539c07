"""The expand halves of a plan that follow each other: what a new database has hundreds of.

`pilotage.execute` renews the lease before every step. For each of a thousand halves of a millisecond that would
be most of the work, so here it is done before each *second* of them. What stops a deployer that lost its lease is
not that, but the fence, which is compared under the migration lock.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from pilotage.errors import PilotageError
from pilotage.events import Event, HalfFinished, HalfStarted, StepFailed, StepFinished, StepStarted
from pilotage.run import Run, StepError
from pilotage.steps import ApplyHalf, Step

SECONDS = 1.0
"""For how long halves are applied before the lease is renewed."""


def expands_from(steps: Sequence[Step], index: int) -> tuple[ApplyHalf, ...]:
    """The expand halves that stand in a row from ``index`` on."""
    found: list[ApplyHalf] = []
    for step in steps[index:]:
        if not isinstance(step, ApplyHalf) or (found and step.fresh != found[0].fresh):
            break
        found.append(step)
    return tuple(found)


async def expand_together(run: Run, first: int, steps: Sequence[ApplyHalf]) -> None:
    """Apply them all; ``first`` is the place of the first one in the plan. Raises `StepError`."""
    told = _Told(run, first, steps)
    done = 0
    try:
        while done < len(steps):
            left = steps[done:]
            more = f", and {len(left) - 1} more" if len(left) > 1 else ""
            await run.lease.renew(doing=f"{left[0].describe()}{more}")
            done += await run.world.schema.apply_some(
                [run.migration(step.ref.version) for step in left],
                release=run.plan.release.id,
                token=run.token,
                emit=told.emit,
                fresh=left[0].fresh,
                seconds=SECONDS,
            )
            told.finished(done)
    except PilotageError as error:
        raise StepError(told.failed(error), error) from error


class _Told:
    """Puts the events of halves between those of their steps."""

    def __init__(self, run: Run, first: int, steps: Sequence[ApplyHalf]) -> None:
        self._run = run
        self._first = first
        self._steps = steps
        self._began: float | None = None
        self._done = 0  # steps that were told as finished

    def emit(self, event: Event) -> None:
        """What the schema emits. Its halves begin and finish in the order of the steps."""
        if isinstance(event, HalfStarted):
            self._until(event.half)
            self._start()
        self._run.emit(event)
        if isinstance(event, HalfFinished):
            self._finish()

    def finished(self, done: int) -> None:
        """So many steps are done; some perhaps without an event, because they were applied already."""
        while self._done < done:
            self._finish()

    def failed(self, error: PilotageError) -> Step:
        """Tell that the step which is under way failed; it."""
        self._start()
        self._run.emit(StepFailed(**self._at, error=error.what))
        return self._steps[self._done]

    def _until(self, half: str) -> None:
        while str(self._steps[self._done].ref) != half:
            self._finish()

    @property
    def _at(self) -> dict[str, Any]:
        step = self._steps[self._done]
        return {
            "index": self._first + self._done,
            "total": len(self._run.plan.steps),
            "step": step.describe(),
            "kind": step.kind,
        }

    def _start(self) -> None:
        if self._began is None:
            self._began = time.monotonic()
            self._run.emit(StepStarted(**self._at))

    def _finish(self) -> None:
        self._start()
        assert self._began is not None
        seconds = time.monotonic() - self._began
        self._run.emit(StepFinished(**self._at, seconds=seconds, detail=""))
        self._began = None
        self._done += 1
