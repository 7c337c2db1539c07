"""The way back where no other release is to come back: a boot, or a deploy of the release that serves anew.

An instance of before cannot be made again, since nobody has its configuration any more: it can only be kept. So
what is new is taken back where what it replaces still runs, and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pilotage.model import Instance, Kind, Observed, Route
from pilotage.plan.booting import VERBS
from pilotage.plan.goal import Goal
from pilotage.plan.plan import Plan
from pilotage.plan.running import hosts_of, of_kind, own_instances
from pilotage.plan.trial import routed
from pilotage.steps import Check, Drain, Finish, Start, StartFirst, Step, Stop, Switch


@dataclass(frozen=True, slots=True)
class Undo:
    """The plan of such a way back. ``gone``: the places (host, role) whose instances of before have ended: what is
    new there stays."""

    plan: Plan
    gone: tuple[tuple[str, str], ...]


def plan_undo(observed: Observed, plan: Plan, goal: Goal) -> Undo:
    """What ran before ``plan`` began has the requests again, and what is new ends.

    ``plan``: it was begun, and failed.
    """
    own = own_instances(observed, goal.layout)
    alive = {i.id for i in own}
    old = tuple(i for i in _in(plan, Stop) if i.release == plan.release.id)
    gone = tuple(dict.fromkeys(_place(i) for i in old if i.id not in alive))
    begun, replaced = set(_in(plan, Start)), {(*_place(i), i.index) for i in old}
    new = tuple(
        i
        for i in _in(plan, Start, StartFirst, Check)  # what was there already is of an earlier try
        if i in begun or (i not in old and (*_place(i), i.index) in replaced)
    )
    leaving = tuple(i for i in new if _place(i) not in gone)
    web = of_kind(leaving, Kind.TRAFFIC)
    served = (*_in(plan, Switch), *of_kind(old, Kind.TRAFFIC))
    kept = tuple(i for i in dict.fromkeys(served) if i not in new and i.id in alive)
    before = tuple(i for host in hosts_of(web) for i in _before(observed, host, kept))
    steps: list[Step] = [Switch(plan.release.id, before)] if before else []
    steps += [Drain(web, goal.policy.drain)] if web else []
    steps += [Stop(leaving)] if leaving else []
    if plan.verb not in VERBS and not gone and _alike(own, plan, leaving):
        steps.append(Finish(plan.release.id))
    return Undo(replace(plan, steps=tuple(steps)), gone)


def _before(observed: Observed, host: str, kept: tuple[Instance, ...]) -> tuple[Instance, ...]:
    """Those of ``kept`` that are to get the requests of a host again; none where they have them."""
    here = tuple(i for i in kept if i.host == host)
    route = observed.routes.get(host, Route())
    # Of what an earlier try left, none ever had requests.
    had = {e.instance for e in (*route.active, *route.draining)}
    before = tuple(i for i in here if i.id in had) or here
    return () if routed(observed, before) else before


def _alike(own: tuple[Instance, ...], plan: Plan, leaving: tuple[Instance, ...]) -> bool:
    """Whether the instances of a role will have one configuration, wherever they are."""
    ending = {i.id for i in leaving}
    kinds = {(i.role, i.config) for i in own if i.release == plan.release.id and i.id not in ending}
    return len(kinds) == len({role for role, _ in kinds})


def _in(
    plan: Plan, *kinds: type[Start | StartFirst | Check | Switch | Stop]
) -> tuple[Instance, ...]:
    """The instances of steps of these kinds, each once, in their order."""
    some = (i for step in plan.steps if isinstance(step, kinds) for i in step.instances)
    return tuple(dict.fromkeys(some))


def _place(instance: Instance) -> tuple[str, str]:
    return instance.host, instance.role
