"""Where a deploy with downtime stands when it has failed, in words. Pure."""

from __future__ import annotations

from pilotage.model import Kind, Observed
from pilotage.plan import Plan
from pilotage.plan.playing import run_by


def stands(observed: Observed, plan: Plan) -> str:
    """What is applied of the plan, what runs, and what the edges do."""
    parts = [_halves(observed, plan), _running(observed), _edges(observed)]
    return "; ".join(part for part in parts if part)


def _halves(observed: Observed, plan: Plan) -> str:
    """Which halves of the plan are applied, begun, and not begun."""
    refs = run_by(plan.steps)
    applied = [str(ref) for ref in refs if observed.schema.applied.has(ref)]
    rest = [ref for ref in refs if str(ref) not in applied]
    begun = [str(ref) for ref in rest if observed.schema.row(ref)]
    left = [str(ref) for ref in rest if str(ref) not in begun]
    parts = []
    if applied:
        parts.append(f"applied: {', '.join(applied)}")
    if begun:
        parts.append(f"begun and not finished: {', '.join(begun)}")
    if left:
        parts.append(f"not begun: {', '.join(left)}")
    return "; ".join(parts)


def _running(observed: Observed) -> str:
    """How many instances of which release run; consoles are a person's own."""
    counts: dict[tuple[str, str], int] = {}
    for instance in observed.alive:
        if instance.kind in (Kind.TRAFFIC, Kind.WORKER):
            key = (instance.role, instance.release)
            counts[key] = counts.get(key, 0) + 1
    told = [f"{number} × {role} of {release}" for (role, release), number in counts.items()]
    return f"what runs: {', '.join(told)}" if told else "nothing runs"


def _edges(observed: Observed) -> str:
    closure = observed.state.closure
    if closure is None:
        return "the edges are open"
    if closure.by == "deploy":
        return "the edges stay closed: maintenance is on"
    return f"the edges stay as {closure.who} closed them"
