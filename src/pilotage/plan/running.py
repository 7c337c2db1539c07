"""Which instances should run, and the steps that get there without a moment of nobody serving."""

from __future__ import annotations

from pilotage.model import Instance, Kind, Observed, Release, Spec, version_key
from pilotage.plan.goal import Layout, Policy
from pilotage.plan.groups import Groups, groups_of, unreadable
from pilotage.plan.trial import canaries, routed, served_by, watches
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
    StartFirst,
    Step,
    Stop,
    Switch,
    Wait,
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

    Where ``layout`` selects places, the others are left as they are, and the end is not recorded as long
    as any of them is not as wanted: the rest of the way is what the next plan is for.
    """
    own = own_instances(observed, layout)
    everywhere = _settle(own, layout.wanted(release), any_config=any_config)
    have, want = set(own), set(everywhere)
    wanted = tuple(i for i in everywhere if layout.selects(i))
    missing = tuple(i for i in wanted if i not in have)
    old = tuple(i for i in own if i not in want and layout.selects(i))
    partial = bool(left_out(observed, release, layout, any_config=any_config))
    dead, ghosts = _dead(observed, layout), _ghosts(observed)
    web, workers = of_kind(wanted, Kind.TRAFFIC), of_kind(wanted, Kind.WORKER)
    old_web, old_workers = of_kind(old, Kind.TRAFFIC), of_kind(old, Kind.WORKER)
    left_closed = observed.front is None and observed.astray
    opens = observed.closed_by_deploy or (web and left_closed)
    opening = (OpenEdges(hosts_of(web)),) if opens else ()
    if not (missing or old or dead or ghosts) and routed(observed, web):
        mend = (EnsureProxy(),) if observed.astray else ()
        if partial or (_recorded(observed, release) and not opening):
            return mend
        return (*mend, Check(wanted), *opening, Finish(release.id))

    steps: list[Step] = []
    if dead or ghosts:
        steps.append(Forget(dead, ghosts))
    new_data = _new_data(observed, release)
    opened: list[Step] = [Open(new_data)] if new_data else []
    rolling = None if unreadable(observed, release, own) else policy.rolling
    silent = observed.unreachable
    if web:
        busy = hosts_of(of_kind(missing, Kind.TRAFFIC))
        turns = groups_of(hosts_of(web), busy, silent, rolling if old_web else None)
        rest = _not_serving(observed, of_kind(everywhere, Kind.TRAFFIC), web)
        recorded = _recorded(observed, release)
        steps.append(EnsureProxy())
        for number, turn in enumerate(turns):
            here = _on(web, turn)
            later = (*(host for after in turns[number + 1 :] for host in after), *rest)
            steps += _wait(policy, number)
            first = () if number else _first(here, missing, release, policy, recorded=recorded)
            begun = first[0].instances if first else ()
            steps += first
            steps += _start(here, tuple(i for i in missing if i not in begun), release)
            steps += opened if not number else ()
            steps += canaries(observed, spec, policy, here) if spec and len(turns) == 1 else ()
            steps.append(Switch(release.id, here, later))
            steps += watches(observed, spec, policy, here) if spec else ()
            steps.append(Confirm(here, later))
            leaving = _on(old_web, turn) if number + 1 < len(turns) else ()
            steps += [Drain(leaving, policy.drain), Stop(leaving)] if leaving else []
            old_web = tuple(i for i in old_web if i not in leaving)
    else:
        steps += opened
    busy = hosts_of(of_kind(missing, Kind.WORKER))
    turns = groups_of(hosts_of(workers), busy, silent, rolling if old_workers else None)
    steps += _change_workers(
        workers, missing, old_workers, release, layout=layout, policy=policy, turns=turns
    )
    if old_web:
        steps += [Drain(old_web, policy.drain), Stop(old_web)]
    return (*steps, *opening, *(() if partial else (Finish(release.id),)))


def left_out(
    observed: Observed, release: Release, layout: Layout, *, any_config: bool = False
) -> tuple[Instance, ...]:
    """What is not as wanted in places that ``layout`` does not select: what runs there and should not,
    and what should and does not."""
    if not layout.only:
        return ()
    own = own_instances(observed, layout)
    wanted = _settle(own, layout.wanted(release), any_config=any_config)
    astray = (*(i for i in own if i not in wanted), *(i for i in wanted if i not in own))
    return tuple(i for i in astray if not layout.selects(i))


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


def _on(instances: tuple[Instance, ...], hosts: tuple[str, ...]) -> tuple[Instance, ...]:
    """Those on some hosts."""
    return tuple(instance for instance in instances if instance.host in hosts)


def _not_serving(
    observed: Observed, everywhere: tuple[Instance, ...], web: tuple[Instance, ...]
) -> tuple[str, ...]:
    """Hosts besides those of ``web`` that do not serve what they should."""
    others = (host for host in hosts_of(everywhere) if host not in hosts_of(web))
    return tuple(host for host in others if not served_by(observed, _on(everywhere, (host,))))


def _wait(policy: Policy, number: int) -> tuple[Step, ...]:
    """What comes before the turn of a group: nothing before the first."""
    seconds = policy.rolling.wait if policy.rolling and number else 0.0
    return (Wait(seconds),) if seconds else ()


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


def _first(
    web: tuple[Instance, ...],
    missing: tuple[Instance, ...],
    release: Release,
    policy: Policy,
    *,
    recorded: bool,
) -> tuple[StartFirst, ...]:
    """The one that starts alone. Also when it is there already, unless its release came to its end: a
    deployer that is gone may have left it in the middle of what it prepares."""
    if not web or policy.first is None or (recorded and not set(web) & set(missing)):
        return ()
    return (StartFirst(web[:1], release.revision, policy.first),)


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
    *,
    layout: Layout,
    policy: Policy,
    turns: Groups,
) -> list[Step]:
    """New workers start and are checked before old ones stop, but for roles without overlap.

    Those start in the first turn, all of them: nothing of their role runs any more.
    """
    first = tuple(i for i in old if not layout.overlap(i.role))
    later = tuple(i for i in old if layout.overlap(i.role))
    steps: list[Step] = []
    if first:
        steps.append(Stop(first))
    for number, turn in enumerate(turns):
        here = tuple(
            i for i in workers if (i.host in turn if layout.overlap(i.role) else not number)
        )
        steps += _wait(policy, number)
        steps += _start(here, missing, release) if here else ()
        leaving = _on(later, turn) if number + 1 < len(turns) else ()
        steps += [Stop(leaving)] if leaving else []
        later = tuple(i for i in later if i not in leaving)
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
