"""A deploy to some places: why it may not be divided, and what stays unknown where nobody answers.

Hosts that were not selected need not answer. Expanding takes nothing from whatever runs on one, and contracting
needs a proof that it bars; what is left to refuse is here.
"""

from __future__ import annotations

from pilotage.errors import Refused
from pilotage.model import Half, Observed, Spec, version_key
from pilotage.plan.goal import Goal
from pilotage.plan.groups import unreadable
from pilotage.plan.running import own_instances
from pilotage.steps import Contract, RunFramework, Step

_ALL = "deploy without --hosts, --roles and --primary"


def indivisible(
    observed: Observed, goal: Goal, spec: Spec, steps: tuple[Step, ...]
) -> tuple[Refused, ...]:
    """Why a release may not be brought to some places alone."""
    if not goal.layout.only:
        return ()
    why: list[tuple[str, str]] = []
    if spec.downtime:
        why.append(("a deploy with downtime stops everything, wherever it runs", _ALL))
    unseen = (i for i in observed.alive if i.host in observed.unreachable)
    others = (
        *own_instances(observed, goal.layout),
        *(i for i in unseen if i.service == goal.layout.service),
    )
    for name, versions in unreadable(observed, goal.release, others).items():
        reason = (
            f"{name} cannot read what {goal.release.id} writes ({', '.join(versions)}), so the two may not "
            "serve side by side"
        )
        why.append((reason, _ALL))
    silent = ", ".join(_silent(observed, goal))
    back = (
        f"bring {silent} back; what is gone for good: take it out of the configuration, then "
        "`pilotage status --forget-host`"
    )
    why += [
        (f"nobody knows what runs on {silent}, which does not answer, and {reason}", back)
        for reason in _lost_on(observed, goal, steps)
        if silent
    ]
    return tuple(
        Refused(
            f"{goal.release.id} may not be deployed to some hosts or roles alone: {reason}",
            state="nothing was touched; what ran before goes on",
            next=way_out,
        )
        for reason, way_out in why
    )


def unknown(observed: Observed, goal: Goal) -> list[str]:
    """What is said of hosts that were not selected and do not answer."""
    return [
        f"{host} does not answer and was not selected: what runs there is unknown, and no contract half runs "
        "until it answers"
        for host in _silent(observed, goal)
    ]


def _silent(observed: Observed, goal: Goal) -> tuple[str, ...]:
    """Hosts of the service that were not selected and do not answer."""
    only = {host for host, _ in goal.layout.only}
    hosts = dict.fromkeys(host for role in goal.layout.roles for host in role.hosts)
    silent = (host for host in hosts if host in observed.unreachable)
    return tuple(host for host in silent if only and host not in only)


def _lost_on(observed: Observed, goal: Goal, steps: tuple[Step, ...]) -> list[str]:
    """What code that nobody knows of could not live with."""
    lost, breaks_old = [], goal.release.ships.breaks_old if goal.release.ships else frozenset()
    if opening := sorted(breaks_old - observed.schema.applied.opened, key=version_key):
        lost.append(
            f"{goal.release.id} is the first to write what older code cannot read ({', '.join(opening)})"
        )
    halves = (ref for s in steps if isinstance(s, (Contract, RunFramework)) for ref in s.refs)
    if observed.schema.fresh and any(ref.half is Half.CONTRACT for ref in halves):
        lost.append("on a database that is new contract halves run at once")
    return lost
