"""What a person does to the release that serves: start what is missing, boot it anew, stop it.

No schema changes here, and no other release comes in: the rule is asked whether what is to be started still
fits. An unfinished deploy is finished first, or rolled back.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from pilotage.errors import Refused
from pilotage.model import Instance, Kind, Observed, Spec
from pilotage.plan.goal import Goal
from pilotage.plan.hooks import POST_APP_BOOT, PRE_APP_BOOT
from pilotage.plan.plan import Plan
from pilotage.plan.rule import closed_edges, misfits
from pilotage.plan.running import of_kind, own_instances
from pilotage.steps import (
    Check,
    Confirm,
    Drain,
    EnsureProxy,
    Fetch,
    RunHook,
    Start,
    Step,
    Stop,
    Switch,
)

VERBS = ("boot", "start", "stop")
"""What these plans are called. None of them changes which release is wanted."""

Where = Collection[tuple[str, str]]
"""Hosts and roles that are meant."""


def plan_boot(observed: Observed, goal: Goal, where: Where, *, renew: str | None = None) -> Plan:
    """Have the release of ``goal``, which is the one that serves, run at these places.

    What runs there is left alone, unless ``renew``: a word that no instance has in its id yet. Then new ones
    start beside those that run, take the traffic, and the old ones end.
    """
    release, verb = goal.release, "boot" if renew else "start"
    own = tuple(i for i in own_instances(observed, goal.layout) if _at(i, where))
    wanted = tuple(i for i in goal.layout.wanted(release) if _at(i, where))
    if renew:
        new = tuple(replace(i, id=f"{i.id}-{renew}") for i in wanted)
        old = own
    else:
        filled = {(i.role, i.host, i.index) for i in own if i.release == release.id}
        new = tuple(i for i in wanted if (i.role, i.host, i.index) not in filled)
        old = ()
    steps = _boot(observed, goal, new, old) if new else ()
    return Plan(
        verb=verb,
        release=release,
        spec=Spec(to=release.id, from_=release.id),
        steps=steps,
        notes=closed_edges(observed),
        refusals=(*_unfinished(observed, verb), *misfits(observed, release, steps)),
        migrations=goal.files,
    )


def plan_stop(observed: Observed, goal: Goal, where: Where, *, stale: bool = False) -> Plan:
    """End what runs at these places, what works first, what answers after its last request.

    ``stale``: only what is of another release than that of ``goal``.
    """
    doomed = tuple(
        i
        for i in own_instances(observed, goal.layout)
        if _at(i, where) and not (stale and i.release == goal.release.id)
    )
    web, workers = of_kind(doomed, Kind.TRAFFIC), of_kind(doomed, Kind.WORKER)
    steps: list[Step] = [Stop(workers)] if workers else []
    if web:
        steps += [Drain(web, goal.policy.drain), Stop(web)]
    return Plan(
        verb="stop",
        release=goal.release,
        spec=Spec(to=goal.release.id, from_=goal.release.id),
        steps=tuple(steps),
        stopped=() if stale else tuple(sorted(where)),
    )


def _boot(
    observed: Observed, goal: Goal, new: tuple[Instance, ...], old: tuple[Instance, ...]
) -> tuple[Step, ...]:
    release, policy = goal.release, goal.policy
    web, workers = of_kind(new, Kind.TRAFFIC), of_kind(new, Kind.WORKER)
    old_web, old_workers = of_kind(old, Kind.TRAFFIC), of_kind(old, Kind.WORKER)
    steps: list[Step] = [Fetch(release.revision), *_hook(goal, PRE_APP_BOOT)]
    if web:
        hosts = {instance.host for instance in web}
        beside = tuple(  # what serves on these hosts and is not replaced keeps its requests
            i
            for i in of_kind(own_instances(observed, goal.layout), Kind.TRAFFIC)
            if i.host in hosts and i.release == release.id and i not in old
        )
        steps += [EnsureProxy(), Start(web, release.revision), Check(web)]
        steps += [Switch(release.id, (*beside, *web)), Confirm(web)]
    first = tuple(i for i in old_workers if not goal.layout.overlap(i.role))
    later = tuple(i for i in old_workers if i not in first)
    steps += [Stop(first)] if first else []
    steps += [Start(workers, release.revision), Check(workers)] if workers else []
    steps += [Stop(later)] if later else []
    steps += [Drain(old_web, policy.drain), Stop(old_web)] if old_web else []
    return (*steps, *_hook(goal, POST_APP_BOOT))


def _hook(goal: Goal, name: str) -> tuple[RunHook, ...]:
    return (RunHook(name, goal.hooks[name]),) if name in goal.hooks else ()


def _at(instance: Instance, where: Where) -> bool:
    return (instance.host, instance.role) in where


def _unfinished(observed: Observed, verb: str) -> tuple[Refused, ...]:
    spec = observed.state.spec
    if spec is None or spec.finished_at is not None:
        return ()
    return (
        Refused(
            f"the {spec.direction} to {spec.to} is unfinished, so it is not this that says what runs",
            state="nothing was touched",
            next=f"finish it, or go back (see `pilotage status`); then `pilotage app {verb}`",
        ),
    )
