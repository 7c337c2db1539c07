"""Where a service stands, in words: what serves, what is unfinished, and the next command. Pure."""

from __future__ import annotations

from typing import NamedTuple

from pilotage.model import Observed
from pilotage.plan import current, served_where, serves
from pilotage.plan.rule import way_back


class Standing(NamedTuple):
    """``state``: what is so. ``next``: the command to run, or nothing. ``settled``: all is at its end."""

    state: str
    next: str
    settled: bool


def standing(observed: Observed) -> Standing:
    """What the spec row wants, and how far it is."""
    spec = observed.state.spec
    serving = current(observed)
    silent = observed.closed_by_deploy and not any(r.active for r in observed.routes.values())
    told = "nothing serves" if silent else serves(observed)
    mixed = len(served_where(observed)) > 1
    if spec is None:
        return Standing("nothing was deployed yet", "pilotage deploy", settled=True)
    again = f"pilotage {_verb(spec.direction)} {spec.to}"
    if spec.aborted_reason:
        mend = f"deploy a revision that mends it, or `{_deploy(spec.to)} --again`"
        if spec.finished_at is None and (spec.from_ != serving or mixed or on_trial(observed)):
            return Standing(
                f"release {spec.to} was aborted, and the way back is not finished; {told}",
                f"{again} (it goes on with the way back)",
                settled=False,
            )
        return Standing(f"release {spec.to} was aborted; {told} as before", mend, settled=True)
    if spec.finished_at and nothing_serves(observed):
        return Standing(
            f"release {spec.wanted} is stopped: nothing serves", "pilotage app start", settled=True
        )
    if spec.finished_at:
        return Standing(told, f"`{again}` brings all to it" if mixed else "", settled=not mixed)
    origin = way_back(observed, spec.from_) if spec.from_ != spec.to else None
    back = f", or `pilotage rollback {origin}` goes back" if origin else ""
    trial = on_trial(observed)
    if observed.closed_by_deploy:
        state = f"the {spec.direction} to {spec.to} is unfinished, in maintenance; {told}"
    elif trial:
        state = f"the {spec.direction} to {spec.to} is unfinished: {trial}; {told} the rest"
    elif mixed:
        state = f"the {spec.direction} to {spec.to} is unfinished; {told}"
    elif spec.switched_at:
        state = f"the {spec.direction} to {spec.to} is unfinished: the traffic is switched; {told}"
    else:
        state = f"the {spec.direction} to {spec.to} is unfinished, before the switch; {told}"
    return Standing(state, f"`{again}` goes on{back}", settled=False)


def nothing_serves(observed: Observed) -> bool:
    """Whether every edge says that it has nobody to send requests to, on hosts that all answer."""
    routes = observed.routes.values()
    return bool(routes) and not observed.unreachable and not any(r.active for r in routes)


def on_trial(observed: Observed) -> str:
    """Which release a canary gives which share, or nothing."""
    trials = {(e.release, r.share) for r in observed.routes.values() for e in r.trial if r.share}
    return ", ".join(
        f"{release} has {share * 100:g} % of the requests" for release, share in sorted(trials)
    )


def _verb(direction: str) -> str:
    return "rollback" if direction == "rollback" else "deploy --version"


def _deploy(release: str) -> str:
    return f"pilotage deploy --version {release}"
