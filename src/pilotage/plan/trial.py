"""How a release is watched while it takes requests: a share of them first, then all."""

from __future__ import annotations

from pilotage.model import Instance, Observed, Route, Spec
from pilotage.plan.goal import Policy
from pilotage.steps import Canary, Open, Step, Switch, Watch


def canaries(
    observed: Observed, spec: Spec, policy: Policy, web: tuple[Instance, ...]
) -> tuple[Canary, ...]:
    """A stage for each share, as long as the release before it serves, and alone.

    After a crash in a canary it goes on with the share in force, which is watched anew: smaller ones
    were passed. Once any host sends all its requests to the new release there is no canary any more,
    only the rest of the switch. A rollback has none: it is wanted at once.
    """
    origin = spec.from_
    if spec.direction != "deploy" or origin is None or origin == spec.to:
        return ()
    if nobody_asks(observed) or not _serves(observed, origin, web):
        return ()
    in_force = _share_in_force(observed, web)
    return tuple(
        Canary(spec.to, web, share, origin, policy.step, policy.limits)
        for share in policy.canary
        if share >= in_force
    )


def watches(
    observed: Observed, spec: Spec, policy: Policy, web: tuple[Instance, ...]
) -> tuple[Watch, ...]:
    """The watch after the switch; none where nothing is switched, or an earlier run watched already."""
    if not policy.verify or nobody_asks(observed):
        return ()
    watched = spec.from_ == spec.to or spec.verified_at is not None
    if watched and served_by(observed, web):
        return ()
    return (Watch(spec.to, spec.from_, policy.verify, policy.limits),)


def nobody_asks(observed: Observed) -> bool:
    """Whether no request comes through: the edges are closed, or are to be."""
    return observed.front is not None or any(route.front for route in observed.routes.values())


def served_by(observed: Observed, web: tuple[Instance, ...]) -> bool:
    """Whether exactly these instances get what no trial gets, on each of their hosts."""
    return all(
        {e.instance for e in route.active} == ids for route, ids in _places(observed, web).values()
    )


def routed(observed: Observed, web: tuple[Instance, ...]) -> bool:
    """Whether exactly these instances get new requests, on each of their hosts."""
    on_trial = any(route.trial for route, _ in _places(observed, web).values())
    return served_by(observed, web) and not on_trial


def notes(observed: Observed, spec: Spec, steps: tuple[Step, ...]) -> list[str]:
    """What a person should know of how this plan watches."""
    found = []
    canary = [step for step in steps if isinstance(step, Canary)]
    if canary and any(isinstance(step, Open) for step in steps):
        found.append(
            f"while the canary runs, {spec.from_} meets new data that it cannot read: "
            "take `rollout.canary` out for this release"
        )
    if any(isinstance(step, Switch) for step in steps) and nobody_asks(observed):
        found.append("the edges are closed: no request comes, so nothing is watched")
    return found


def _places(observed: Observed, web: tuple[Instance, ...]) -> dict[str, tuple[Route, set[str]]]:
    """Host → its route, and the ids of those of ``web`` that belong there."""
    hosts = dict.fromkeys(instance.host for instance in web)
    return {
        host: (observed.routes.get(host, Route()), {i.id for i in web if i.host == host})
        for host in hosts
    }


def _serves(observed: Observed, origin: str, web: tuple[Instance, ...]) -> bool:
    """Whether all that is not on trial goes to ``origin``, and something of it lives where it does."""
    alive = {i.id for i in observed.instances if i.alive}
    routes = [route for route, _ in _places(observed, web).values() if route.active]
    return bool(routes) and all(
        all(e.release == origin for e in route.active)
        and any(e.instance in alive for e in route.active)
        for route in routes
    )


def _share_in_force(observed: Observed, web: tuple[Instance, ...]) -> float:
    """The share that these instances have on every host that serves; 0 where one has none of them."""
    return min(
        (
            route.share if {e.instance for e in route.trial} == ids else 0.0
            for route, ids in _places(observed, web).values()
            if route.active
        ),
        default=0.0,
    )
