"""A run of one half in an instance of its own, which outlives the terminal and the deployer that began it.

What runs in it is pilotage itself: ``migrate run`` of the same half. It takes the deploy lock, proves and
records as it would in a terminal, so nothing here decides anything. Its instance has the kind `tool`: no
release's code runs in it, so it is neither judged by the rule nor in the way of a contract half.

Its id comes from the service and the half, with a number: whoever wants the same half run joins the one
that is alive, and a new run after an end is the next number. Two who begin one at once name it alike,
and the target starts it once. A file may differ between commits, so the half's checksum is on record with
the run: who has another one does not join it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pilotage.errors import Refused, TargetError
from pilotage.model import Half, HalfRef, Instance, Kind, Life
from pilotage.secret import Secret
from pilotage.targets.base import Gate, Job, OnOutput, Target

_LOOK_SECONDS = 0.05

SAME_FOLDER = 'cd -- "$0" && exec "$@"'
"""For ``sh -c``: a relative path in the configuration means the same as where the run was begun."""


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs of one half that the target knows of, oldest first."""

    service: str
    ref: HalfRef
    known: tuple[Instance, ...] = ()

    @property
    def last(self) -> Instance | None:
        """The newest."""
        return self.known[-1] if self.known else None

    @property
    def alive(self) -> Instance | None:
        """The one that is going on."""
        return next((run for run in reversed(self.known) if run.alive), None)

    def next(self, *, role: str, host: str, release: str, checksum: str, by: str) -> Instance:
        """What the next one is called. ``checksum``: of the half; ``by``: who begins it."""
        number = _number(self.last.id) + 1 if self.last else 1
        return Instance(
            id=f"{_prefix(self.service, self.ref)}{number}",
            service=self.service,
            role=role,
            host=host,
            release=release,
            config=checksum,
            by=by,
            kind=Kind.TOOL,
            life=Life.STARTING,
        )


def runs_of(instances: Iterable[Instance], service: str, ref: HalfRef) -> Runs:
    """Those of one half among the instances of a target."""
    prefix = _prefix(service, ref)
    found = [
        i
        for i in instances
        if i.kind is Kind.TOOL and i.id.startswith(prefix) and i.id[len(prefix) :].isdecimal()
    ]
    return Runs(service, ref, tuple(sorted(found, key=lambda i: _number(i.id))))


def half_of(instance: Instance) -> HalfRef | None:
    """The half that an instance runs; None when it runs none."""
    if instance.kind is not Kind.TOOL:
        return None
    rest, _, number = instance.id.removeprefix(f"{instance.service}-run-").rpartition("-")
    version, _, half = rest.partition("-")
    if not number.isdecimal() or not version.isdecimal() or half not in ("expand", "contract"):
        return None
    return HalfRef.parse(f"{version}/{half}")


def _prefix(service: str, ref: HalfRef) -> str:
    return f"{service}-run-{ref.version}-{ref.half}-"


def _number(id: str) -> int:
    return int(id.rpartition("-")[2])


def job(
    instance: Instance,
    revision: str,
    command: tuple[str, ...],
    *,
    folder: str,
    env: Mapping[str, str | Secret],
    image: str | None = None,
) -> Job:
    """What the target is to run: ``command`` in ``folder``, as whoever begins it would.

    ``image``: what it runs in, where the target runs images.
    """
    argv = ("/bin/sh", "-c", SAME_FOLDER, folder, *command)
    return Job(instance, revision, argv, env=env, image=image)


async def no_gate() -> None:
    """It is pilotage itself, which asks for everything that it needs when it acts."""


async def begin(target: Target, job: Job, *, gate: Gate = no_gate) -> None:
    """Have it started, and leave it; returns once it runs, or has ended already.

    ``gate``: awaited when it is on record and does not run yet.

    Raises
    ------
    StartFailed, TargetError
        It was not started.
    """
    caller = asyncio.create_task(
        target.run_once(job, token=None, gate=gate, output=lambda line: None)
    )
    try:
        while not caller.done():
            view = await target.observe()
            if any(i.id == job.instance.id and i.life is Life.RUNNING for i in view.instances):
                break
            await asyncio.sleep(_LOOK_SECONDS)
        if caller.done():
            await caller
    finally:
        # A caller that goes away leaves the job running: that is the target's promise.
        caller.cancel()
        await asyncio.gather(caller, return_exceptions=True)


def require_same(run: Instance, ref: HalfRef, checksum: str | None, *, where: str) -> None:
    """Refuse to take a run for one of the half with this checksum, which it has in ``where`` (None: has not).

    Raises
    ------
    Refused
        It runs the half as another file has it.
    """
    if run.config == checksum:
        return
    by = f" for {run.by}" if run.by else ""
    other = "it is another one" if checksum else "there is none"
    half = ref.version if ref.half is Half.EXPAND else str(ref)
    raise Refused(
        f"{run.id} runs {ref} as it is in {run.release}{by}, and in {where} {other}",
        where=f"{run.id} on {run.host}",
        state="that run goes on; nothing was begun",
        next=f"agree on one file: `pilotage migrate follow {half}` shows the run, `pilotage migrate stop {half}` "
        "ends it",
    )


async def see_its_end(target: Target, run: Instance, output: OnOutput) -> int:
    """Give all that it has printed, and prints, to ``output``; its exit status.

    Raises
    ------
    TargetError
        Nobody knows how it ended.
    """
    view = await target.observe()
    if not any(i.id == run.id for i in view.instances):
        raise TargetError(f"{run.id} is not on record any more", where=run.host)
    return await target.run_once(
        Job(run, run.release, ("true",)), token=None, gate=no_gate, output=output
    )
