"""Which instances should run, and the steps that get there without a moment of nobody serving."""

from __future__ import annotations

from pilotage.model import Instance, Kind, Observed, Release, Spec, version_key
from pilotage.plan.goal import Layout, Policy
from pilotage.plan.trial import canaries, routed, watches
from pilotage.steps import (
    Check,
    Confirm,
    Drain,
    EnsureProxy,
    Finish,
    Forget,
    Open,
    OpenEdges,
    Start,
    Step,
    Stop,
    Switch,
)


def own_instances(observed: Observed, layout: Layout) -> tuple[Instance, ...]:
    """The service's instances that a deploy replaces: alive, seen, and not a person's console."""
    return tuple(
        i
        for i in observed.instances
        if i.alive and i.service == layout.service and i.kind in (Kind.TRAFFIC, Kind.WORKER)
    )


def reconcile(
    observed: Observed,
    release: Release,
    layout: Layout,
    policy: Policy,
    *,
    spec: Spec | None = None,
    any_config: bool = False,
) -> tuple[Step, ...]:
    """Steps after which exactly the wanted instances of ``release`` run, and have the traffic.

    Empty when that is so already, and recorded. Edges that a deploy has closed are opened at the end; a
    person's closure stays. ``spec``: what is wanted, for what is watched on the way; None: nothing is.
    ``any_config``: an instance of the release counts whatever configuration it was started with (on the
    way back, nothing is restarted without need).
    """
    own = own_instances(observed, layout)
    wanted = _settle(own, layout.wanted(release), any_config=any_config)
    have, want = set(own), set(wanted)
    missing = tuple(i for i in wanted if i not in have)
    old = tuple(i for i in own if i not in want)
    dead, ghosts = _dead(observed, layout), _ghosts(observed)
    web, workers = of_kind(wanted, Kind.TRAFFIC), of_kind(wanted, Kind.WORKER)
    old_web, old_workers = of_kind(old, Kind.TRAFFIC), of_kind(old, Kind.WORKER)
    left_closed = observed.front is None and observed.astray
    opens = observed.closed_by_deploy or (web and left_closed)
    opening = (OpenEdges(hosts_of(web)),) if opens else ()
    if not (missing or old or dead or ghosts) and routed(observed, web):
        mend = (EnsureProxy(),) if observed.astray else ()
        if _recorded(observed, release) and not opening:
            return mend
        return (*mend, Check(wanted), *opening, Finish(release.id))

    steps: list[Step] = []
    if dead or ghosts:
        steps.append(Forget(dead, ghosts))
    new_data = _new_data(observed, release)
    opened: list[Step] = [Open(new_data)] if new_data else []
    if web:
        steps += [EnsureProxy(), *_start(web, missing, release), *opened]
        steps += canaries(observed, spec, policy, web) if spec else ()
        steps.append(Switch(release.id, web))
        steps += watches(observed, spec, policy, web) if spec else ()
        steps.append(Confirm(web))
    else:
        steps += opened
    steps += _change_workers(workers, missing, old_workers, release, layout)
    if old_web:
        steps += [Drain(old_web, policy.drain), Stop(old_web)]
    return (*steps, *opening, Finish(release.id))


def retire(observed: Observed, release: str, layout: Layout, policy: Policy) -> tuple[Step, ...]:
    """Steps after which nothing of ``release`` runs: the way back from a first deploy.

    The routes go first, so that nobody is sent to an instance that is being stopped.
    """
    mine = tuple(
        i for i in observed.instances if i.service == layout.service and i.release == release
    )
    dead, ghosts = _dead(observed, layout), _ghosts(observed)
    doomed = tuple(i for i in own_instances(observed, layout) if i in mine)
    web = of_kind(mine, Kind.TRAFFIC)
    steps: list[Step] = []
    if web:
        steps.append(Drain(web, policy.drain))
    if dead or ghosts:
        steps.append(Forget(dead, ghosts))
    if doomed:
        steps.append(Stop(doomed))
    spec = observed.state.spec
    if steps or spec is None or spec.finished_at is None:
        steps.append(Finish(None))
    return tuple(steps)


def of_kind(instances: tuple[Instance, ...], kind: Kind) -> tuple[Instance, ...]:
    """Those of one kind."""
    return tuple(instance for instance in instances if instance.kind is kind)


def hosts_of(instances: tuple[Instance, ...]) -> tuple[str, ...]:
    """Where they are, each host once."""
    return tuple(dict.fromkeys(instance.host for instance in instances))


def _settle(
    own: tuple[Instance, ...], wanted: tuple[Instance, ...], *, any_config: bool
) -> tuple[Instance, ...]:
    """The wanted instances, each replaced by the running one that fills its place already."""
    places = {(i.role, i.host, i.index, i.release, "" if any_config else i.config): i for i in own}
    return tuple(
        places.get((w.role, w.host, w.index, w.release, "" if any_config else w.config), w)
        for w in wanted
    )


def _new_data(observed: Observed, release: Release) -> tuple[str, ...]:
    """Versions whose new data old code cannot read, and which the switch to ``release`` allows."""
    breaks_old = release.ships.breaks_old if release.ships else frozenset()
    return tuple(sorted(breaks_old - observed.schema.applied.opened, key=version_key))


def _recorded(observed: Observed, release: Release) -> bool:
    """Whether the spec row says already that ``release`` is what runs, to the end."""
    spec = observed.state.spec
    return spec is not None and spec.wanted == release.id and spec.finished_at is not None


def _start(
    wanted: tuple[Instance, ...], missing: tuple[Instance, ...], release: Release
) -> list[Step]:
    lacking = set(missing)
    start = tuple(i for i in wanted if i in lacking)
    steps: list[Step] = [Start(start, release.revision)] if start else []
    return [*steps, Check(wanted)]


def _change_workers(
    workers: tuple[Instance, ...],
    missing: tuple[Instance, ...],
    old: tuple[Instance, ...],
    release: Release,
    layout: Layout,
) -> list[Step]:
    """New workers start and are checked before old ones stop, but for roles without overlap."""
    first = tuple(i for i in old if not layout.overlap(i.role))
    later = tuple(i for i in old if layout.overlap(i.role))
    steps: list[Step] = []
    if first:
        steps.append(Stop(first))
    if workers:
        steps += _start(workers, missing, release)
    if later:
        steps.append(Stop(later))
    return steps


def _dead(observed: Observed, layout: Layout) -> tuple[Instance, ...]:
    """Records of what no longer runs. That of a release command or a detached run is its exit status:
    it stays."""
    return tuple(
        i
        for i in observed.instances
        if not i.alive and i.service == layout.service and i.kind not in (Kind.ONCE, Kind.TOOL)
    )


def _ghosts(observed: Observed) -> tuple[str, ...]:
    """Registrations on hosts that answer and do not know the instance, or know it as dead."""
    answering = {host.name for host in observed.hosts if host.reachable}
    alive = {i.id for i in observed.instances if i.alive}
    return tuple(
        r.instance
        for r in observed.schema.registered
        if r.host in answering and r.instance not in alive
    )
