"""Watching a release that takes requests: the windows that are compared, and what follows from them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pilotage.errors import Worse
from pilotage.events import Judged, Watched
from pilotage.model import Sample
from pilotage.run import Counts, Run
from pilotage.steps import Canary, Watch
from pilotage.verdict import Finding, Limits, Verdict, verdict

LOOK_SECONDS = 0.5
MOMENT = 0.001  # seconds; less than this is nothing left


class Start(NamedTuple):
    """What the edges had counted of the new release and of the old one when a watch began."""

    new: Counts
    old: Counts


async def begin(run: Run, step: Canary | Watch) -> Start:
    """Remember where the counts are."""
    return Start(await _counts(run, step.release), await _counts(run, step.against))


async def watch(run: Run, step: Canary | Watch, start: Start) -> str:
    """Look until the time is over. Worse ends it early, good never does.

    Returns the verdict. A release is compared with the old one's answers of the same time in a
    canary, and after the switch with those from before it.

    Raises
    ------
    Worse
        Says by which numbers.
    """
    loop = asyncio.get_running_loop()
    share = step.share if isinstance(step, Canary) else 1.0
    began = loop.time()
    while True:
        elapsed = loop.time() - began
        over = step.seconds - elapsed < MOMENT
        now = await _counts(run, step.release)
        new = Sample.total(window(now, start.new).values())
        old = await _reference(run, step, start)
        run.emit(
            Watched(
                release=step.release,
                share=share,
                elapsed=min(elapsed, step.seconds),
                seconds=step.seconds,
                new=new,
                old=old,
            )
        )
        found = verdict(new, old, step.limits, early=not over)
        if over or found.finding is Finding.WORSE:
            break
        await asyncio.sleep(min(LOOK_SECONDS, step.seconds - elapsed))
    run.emit(Judged(release=step.release, share=share, finding=found.finding, why=found.why))
    if found.finding is Finding.WORSE:
        raise worse(step, found)
    return str(found)


def worse(step: Canary | Watch, found: Verdict) -> Worse:
    """The error of a release that is not good enough."""
    of = f" with {step.share * 100:g} % of the requests" if isinstance(step, Canary) else ""
    return Worse(f"release {step.release} answered worse{of}: {found.why}")


def window(now: Counts, then: Counts) -> Counts:
    """What came between two counts, host by host. An edge that began anew counts from there."""
    return {host: _since(sample, then.get(host, Sample())) for host, sample in now.items()}


def _since(now: Sample, then: Sample) -> Sample:
    return now if now.requests < then.requests else now - then


async def _reference(run: Run, step: Canary | Watch, start: Start) -> Sample | None:
    """What the old release answered, in the nearest time in which it answered enough.

    In a canary: since the stage began, else since the run did. After the switch: what it answered from
    the beginning of the run to the switch. Where that is too little: all that the edges ever counted.
    """
    if step.against is None:
        return None
    counts = await _counts(run, step.against) if isinstance(step, Canary) else start.old
    since = (start.old, run.before) if isinstance(step, Canary) else (run.before,)
    return enough((*(window(counts, then) for then in since), counts), step.limits)


def enough(windows: Iterable[Counts], limits: Limits) -> Sample:
    """The first of the windows with as many requests as a judgement takes, else the last."""
    total = Sample()
    for counts in windows:
        total = Sample.total(counts.values())
        if total.requests >= limits.min_requests:
            break
    return total


async def _counts(run: Run, release: str | None) -> Mapping[str, Sample]:
    return await run.world.proxy.measure(release) if release else {}
