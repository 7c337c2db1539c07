"""One plan being carried out, and what every step of it shares."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pilotage.errors import Misfit, PilotageError
from pilotage.events import Emit
from pilotage.migrate.migration import Migration
from pilotage.model import (
    Applied,
    HalfRef,
    Kind,
    Observed,
    Release,
    Sample,
    cannot_return,
    fits,
    version_key,
)
from pilotage.observe import World
from pilotage.plan.goal import Policy
from pilotage.plan.plan import Plan
from pilotage.plan.rule import join_refs, misfit
from pilotage.steps import Step
from pilotage.store import Lease

T = TypeVar("T")

Counts = Mapping[str, Sample]
"""What a release answered so far, by host."""


@dataclass(frozen=True, slots=True)
class Run:
    """One plan being carried out, under one lease.

    ``origin``: the release that served before. ``before``: what it had answered when the run began.
    """

    world: World
    plan: Plan
    policy: Policy
    lease: Lease
    emit: Emit
    origin: Release | None = None
    before: Counts = field(default_factory=dict)

    @property
    def token(self) -> int:
        """The lease token that goes with every mutation."""
        return self.lease.token

    def migration(self, version: str) -> Migration:
        """The file of a version that the plan names."""
        found = self.plan.migrations.get(version)
        assert found is not None, version
        return found


class StepError(Exception):
    """Carries the step that failed to whoever decides what to do about it."""

    def __init__(self, step: Step, error: PilotageError) -> None:
        super().__init__(str(error))
        self.step = step
        self.error = error


def require_fit(observed: Observed, *refs: HalfRef) -> None:
    """Refuse halves after which something that runs would no longer fit (and fits now)."""
    before, after = observed.schema.applied, observed.schema.applied.plus(*refs)
    for instance in observed.alive:
        ships = observed.ships(instance.release)
        fit = fits(ships, after)
        if fits(ships, before) and not fit:
            raise Misfit(
                f"{instance.id} on {instance.host} would not fit after {join_refs(refs)}: "
                f"it {fit.describe()}",
                state="the half was not begun",
                next="see `pilotage status`",
            )


def judge(release: Release, announced: Applied, *, kind: Kind = Kind.TRAFFIC) -> None:
    """Raise `Misfit` when a release may not start on what is announced.

    An instance without requests writes nothing before the switch; one of another ``kind`` works as
    soon as it runs, so it waits until a deploy has opened the data that older code cannot read.
    """
    fit = fits(release.ships, announced)
    if not fit:
        raise misfit(release, fit.describe())
    stuck = cannot_return(release.ships, announced)
    if stuck:
        raise misfit(release, f"cannot read the data that {', '.join(stuck)} allowed to be written")
    breaks_old = release.ships.breaks_old if release.ships else frozenset()
    shut = sorted(breaks_old - announced.opened, key=version_key)
    if shut and kind is not Kind.TRAFFIC:
        raise Misfit(
            f"a {kind} of release {release.id} could write what older code cannot read "
            f"({', '.join(shut)}), and no deploy has come to its switch with it yet",
            state="it was not started",
            next="deploy the release first",
        )


async def together(actions: Iterable[Awaitable[None]]) -> None:
    """Run all to their end, then raise the first error: nothing is left half-way by a neighbour."""
    results = await asyncio.gather(*actions, return_exceptions=True)
    failures = [result for result in results if isinstance(result, BaseException)]
    for failure in sorted(failures, key=lambda f: isinstance(f, Exception)):
        raise failure


@contextlib.asynccontextmanager
async def begun(action: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Task[T]]:
    """Begin something beside the block; what the block did not wait for is cancelled at its end."""
    task = asyncio.create_task(action)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
