"""Where a service stands, as one page and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from pilotage.cli import text
from pilotage.cli.pages.about import About
from pilotage.cli.standing import standing
from pilotage.edges import VERBS
from pilotage.errors import PilotageError
from pilotage.model import (
    REVERTING,
    HalfRef,
    Instance,
    Kind,
    LeaseRow,
    Life,
    Observed,
    contract,
    expand,
    fits,
    version_key,
)
from pilotage.plan import current
from pilotage.plan.rule import join_places


def page(
    about: About, observed: Observed, now: float, *, lost: PilotageError | None = None
) -> Iterator[str]:
    """The status for a person. ``lost``: the database could not be asked, so only what runs is known."""
    if lost:
        mark = text.bad("●")
        yield f"{mark} {text.heading(about.title)}   the database cannot be asked; what runs here:"
        yield from _instances(observed, now)
        return
    yield from _title(about, observed, now)
    yield from _instances(observed, now)
    yield from _schema(about, observed)
    yield from _sessions(observed)
    yield from ("", text.heading("Lock"))
    yield f"  {lock_line(observed.state.lease, now)}"


def _title(about: About, observed: Observed, now: float) -> Iterator[str]:
    stands = standing(observed)
    state = observed.state
    fine = stands.settled and not (state.closure or state.stopped or observed.astray)
    mark = text.good("●") if fine else text.warn("●")
    yield f"{mark} {text.heading(about.title)}   {stands.state}"
    last = observed.state.history[-1] if observed.state.history else None
    yield from _closure(observed, now)
    yield from _stopped(observed, now)
    if last:
        what = last.verb if last.verb in VERBS else f"{last.verb} of {last.to}"
        yield text.dim(
            f"  last: {what} by {last.who}, {last.outcome}, "
            f"{text.ago(last.ended_at or last.started_at, now)}"
        )
    spec = observed.state.spec
    if spec and spec.aborted_reason:
        why = text.one_line(f"{spec.to} was aborted: {spec.aborted_reason}", 400)
        yield from text.wrapped(why, indent=4, first="  ! ")
    if stands.next:
        yield from text.wrapped(stands.next, indent=8, first=f"  {text.dim('next')}  ")


def _closure(observed: Observed, now: float) -> Iterator[str]:
    """What the edges do instead of passing requests on, and where they do not do it (yet)."""
    closure, astray = observed.state.closure, observed.astray
    mark = f"  {text.warn('!')} "
    if closure:
        said = f", saying: {text.one_line(closure.message, 60)}" if closure.message else ""
        since = f"since {text.seconds(max(0.0, now - closure.since))}"
        end = f"; `{closure.ended_by}` ends it" if closure.by == "person" else ""
        yield from text.wrapped(f"{closure.describe()}, {since}{said}{end}", indent=4, first=mark)
    if astray:
        again = closure.front.mode if closure and closure.by == "person" else "live"
        verb = again if closure is None or closure.by == "person" else "deploy"
        wrong = "do not show it" if closure else "are still closed"
        line = f"the edges of {', '.join(astray)} {wrong}: run `pilotage {verb}` again"
        yield from text.wrapped(line, indent=4, first=mark)


def _stopped(observed: Observed, now: float) -> Iterator[str]:
    """What a person stopped: a line for each time that somebody did."""
    for (who, since), rows in groupby(observed.state.stopped, lambda row: (row.who, row.since)):
        where = join_places(row.place for row in rows)
        line = f"{where}: stopped by {who}, {text.ago(since, now)}; `pilotage app start` starts it again"
        yield from text.wrapped(line, indent=4, first=f"  {text.warn('!')} ")


# ----------------------------------------------------------------------------------------------
# Instances
# ----------------------------------------------------------------------------------------------


def _instances(observed: Observed, now: float) -> Iterator[str]:
    yield from ("", text.heading("Instances"))
    for host in observed.hosts:
        if not host.reachable:
            yield text.bad(f"  ! {host.name} does not answer: {host.detail or 'no reason given'}")
    names = {host.name for host in observed.hosts}
    for name in observed.state.hosts:
        if name not in names:
            yield from text.wrapped(
                f"{name} is in the inventory and not configured any more; what runs there is not "
                f"known (`pilotage status --forget-host {name}` when it is gone for good)",
                indent=4,
                first=f"  {text.warn('!')} ",
            )
    # A release command that ended is a record of its exit status, and nothing that anybody misses.
    here = [i for i in observed.instances if i.alive or i.kind not in (Kind.ONCE, Kind.TOOL)]
    every = [*here, *(i for i in observed.alive if i not in observed.instances)]
    if not every:
        yield text.dim("  none")
        return
    order = {Kind.TRAFFIC: 0, Kind.WORKER: 1, Kind.CONSOLE: 2, Kind.ONCE: 3, Kind.TOOL: 4}
    every.sort(key=lambda i: (i.host, order[i.kind], i.role, i.release, i.index))
    yield from text.columns(_row(observed, instance, now) for instance in every)


def _row(observed: Observed, instance: Instance, now: float) -> tuple[str, ...]:
    return (
        instance.role or "?",
        instance.release,
        _life(observed, instance, now),
        _traffic(observed, instance),
        instance.address or "",
        _fits(observed, instance),
        text.dim(instance.id),
    )


def _life(observed: Observed, instance: Instance, now: float) -> str:
    if instance not in observed.instances:
        return text.warn("not seen")
    match instance.life:
        case Life.DEAD:
            return text.bad(f"dead: {instance.detail}")
        case Life.STARTING:
            return text.warn("starting")
        case _:
            since = "" if instance.started_at is None else text.seconds(now - instance.started_at)
            return text.good(f"up {since}".strip())


def traffic_of(observed: Observed, instance: Instance) -> str | None:
    """``active``, ``trial``, ``draining``, ``none``; None for an instance that takes no traffic at all."""
    if instance.kind is not Kind.TRAFFIC:
        return None
    route = observed.routes.get(instance.host)
    if route and any(e.instance == instance.id for e in route.active):
        return "active"
    if route and any(e.instance == instance.id for e in route.trial):
        return "trial"
    if route and any(e.instance == instance.id for e in route.draining):
        return "draining"
    return "none"


def _traffic(observed: Observed, instance: Instance) -> str:
    match traffic_of(observed, instance):
        case "active":
            return text.good("traffic")
        case "trial":
            return text.warn(f"{observed.routes[instance.host].share * 100:g} % of traffic")
        case "draining":
            return text.warn("draining")
        case "none":
            return text.dim("no traffic")
        case _:
            words = {Kind.CONSOLE: "console", Kind.TOOL: "migrate run"}
            return text.dim(words.get(instance.kind, ""))


def _fits(observed: Observed, instance: Instance) -> str:
    if not instance.alive or instance.kind is Kind.TOOL:
        return ""
    fit = fits(observed.ships(instance.release), observed.schema.applied)
    if fit and not observed.schema.known:
        return text.warn("nobody knows whether it fits")
    if fit:
        return text.good("fits")
    return text.bad(f"DOES NOT FIT: it {fit.describe()}") if fit.known else text.warn("unknown")


# ----------------------------------------------------------------------------------------------
# Schema and sessions
# ----------------------------------------------------------------------------------------------


def _schema(about: About, observed: Observed) -> Iterator[str]:
    schema = observed.schema
    if about.dialect is None:
        return
    yield from ("", text.heading("Schema"))
    if not schema.exists:
        yield f"  {about.dialect}, not there yet: the first deploy makes it"
        return
    yield f"  {about.dialect}, at {version_of(observed) or 'no migration'}"
    for row in schema.rows:
        if row.finished_at is None:
            verb = "is being taken back" if row.how == REVERTING else "began and is not finished"
            yield text.warn(
                f"  ! {row.ref} {row.name} {verb} "
                f"({text.plural(row.statements_done, 'statement')} done)"
            )
    for ref in pending(observed):
        yield f"  pending  {ref} {_name(observed, ref)}"
    for ref in held(observed):
        yield f"  held     {ref} {_name(observed, ref)}"
    for intent in schema.intents:
        what = "revert" if intent.revert else "apply"
        yield text.warn(f"  intent   to {what} {intent.ref}: what it breaks may not start")


def _name(observed: Observed, ref: HalfRef) -> str:
    return next((row.name for row in observed.schema.rows if row.ref.version == ref.version), "")


def version_of(observed: Observed) -> str | None:
    """The newest version whose expand half is applied (or whose contract half, without one)."""
    applied = observed.schema.applied
    versions = applied.expanded | applied.finished
    return max(versions, key=version_key) if versions else None


def pending(observed: Observed) -> list[HalfRef]:
    """Expand halves that the serving release ships and that are not applied."""
    release = observed.state.release(current(observed))
    ships = release.ships if release else None
    missing = ships.expands - observed.schema.applied.expanded if ships else ()
    return sorted(expand(version) for version in missing)


def held(observed: Observed) -> list[HalfRef]:
    """Contract halves that the serving release ships and that are not applied."""
    release = observed.state.release(current(observed))
    ships = release.ships if release else None
    left = ships.contracts - observed.schema.applied.finished if ships else ()
    return sorted(contract(version) for version in left)


def _sessions(observed: Observed) -> Iterator[str]:
    sessions = observed.schema.sessions
    if not sessions:
        return
    yield from ("", text.heading("Database sessions"))
    counts = Counter(s.release or s.application_name or "(no name)" for s in sessions)
    known = {s.release for s in sessions if s.release}
    for name, number in sorted(counts.items(), key=lambda item: (item[0] not in known, item[0])):
        what = f"release {name}" if name in known else name
        yield f"  {number:>3}  {what}"


def lock_line(lease: LeaseRow | None, now: float) -> str:
    """Who holds the deploy lock."""
    if lease is None:
        return text.dim("free")
    why = f" ({lease.reason})" if lease.reason else ""
    since = text.ago(lease.since, now)
    if lease.hold:
        return text.warn(f"held by {lease.owner}{why}, since {since}, until it is released")
    if lease.expires <= now:
        return text.warn(
            f"{lease.owner}{why} took it {since} and is gone; the next deploy takes it"
        )
    doing = f", now: {lease.doing}" if lease.doing else ""
    return text.warn(f"{lease.owner}{why}, since {since}{doing}")


# ----------------------------------------------------------------------------------------------
# JSON
# ----------------------------------------------------------------------------------------------


def to_json(about: About, observed: Observed, now: float) -> dict[str, Any]:
    """What ``status --json`` prints."""
    state, schema = observed.state, observed.schema
    serving = state.release(current(observed))
    stands = standing(observed)
    return {
        "service": about.service,
        "destination": about.destination,
        "at": now,
        "release": serving.to_json() if serving else None,
        "state": stands.state,
        "next": stands.next,
        "settled": stands.settled,
        "spec": state.spec.to_json() if state.spec else None,
        "closure": state.closure.to_json() if state.closure else None,
        "astray": list(observed.astray),
        "stopped": [row.to_json() for row in state.stopped],
        "hosts": [
            {"name": h.name, "reachable": h.reachable, "detail": h.detail} for h in observed.hosts
        ],
        "unreachable": list(observed.unreachable),
        "instances": [_instance_json(observed, i) for i in observed.instances]
        + [_instance_json(observed, i) for i in observed.alive if i not in observed.instances],
        "routes": {host: route.to_json() for host, route in observed.routes.items()},
        "schema": {
            "dialect": about.dialect,
            "exists": schema.exists,
            "fresh": schema.fresh,
            "version": version_of(observed),
            "halves": [
                {
                    "half": str(row.ref),
                    "name": row.name,
                    "release": row.release,
                    "started_at": row.started_at,
                    "finished_at": row.finished_at,
                    "statements_done": row.statements_done,
                    "how": row.how,
                }
                for row in schema.rows
            ],
            "pending": [str(ref) for ref in pending(observed)],
            "held": [str(ref) for ref in held(observed)],
            "intents": [{"half": str(i.ref), "revert": i.revert} for i in schema.intents],
            "sessions": _sessions_json(observed),
        },
        "lock": {**state.lease.to_json(), "token": state.token} if state.lease else None,
        "releases": [release.to_json() for release in state.releases],
    }


def _instance_json(observed: Observed, instance: Instance) -> dict[str, Any]:
    fit = fits(observed.ships(instance.release), observed.schema.applied)
    return {
        **instance.to_json(),
        "traffic": traffic_of(observed, instance),
        "fits": bool(fit) if fit.known and observed.schema.known else None,
        "why": "" if fit else fit.describe(),
    }


def _sessions_json(observed: Observed) -> list[dict[str, Any]] | None:
    sessions = observed.schema.sessions
    if sessions is None:
        return None
    return [
        {
            "pid": s.pid,
            "application_name": s.application_name,
            "client": s.client,
            "release": s.release,
        }
        for s in sessions
    ]
