"""The one rule, held against a whole plan: `walk` plays it through before anybody sees it."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter

from pilotage.errors import Blocked, Misfit, Refused
from pilotage.migrate.migration import Migration, Migrations
from pilotage.model import (
    Applied,
    Half,
    HalfRef,
    Observed,
    Release,
    Ships,
    Spec,
    cannot_return,
    contract,
    expand,
    fits,
    version_key,
)
from pilotage.plan.playing import Playing
from pilotage.proof import Proof
from pilotage.steps import Open, Start, Step, Stop


def misfits(observed: Observed, release: Release, steps: tuple[Step, ...]) -> tuple[Refused, ...]:
    """Why ``release`` may not run on the schema that the steps leave, or on the way there."""
    refusals: list[Refused] = []
    after = applied_after(observed.schema.applied, steps)
    fit = fits(release.ships, after)
    if not fit:
        refusals.append(misfit(release, fit.describe()))
    stuck = cannot_return(release.ships, observed.schema.applied)
    if stuck:
        refusals.append(
            misfit(release, f"cannot read the data that {', '.join(stuck)} allowed to be written")
        )
    stop_over = "deploy the releases between, one after the other"
    refusals += [Misfit(broken, next=stop_over) for broken in walk(observed, release, steps)]
    return tuple(refusals)


def misfit(release: Release, why: str) -> Misfit:
    """The refusal of a release that does not fit, with what to do instead."""
    named = "" if release.revision.startswith(release.id) else f" ({release.revision})"
    return Misfit(
        f"release {release.id}{named} does not fit the schema: it {why}",
        state="nothing was touched; what ran before goes on",
        next="deploy a release that ships these migrations (revert the code in a new commit "
        "that keeps the migration files), see `pilotage status`",
    )


def unknown_fit(release: Release) -> Misfit:
    """The refusal to go back to a release of which nobody can say whether it fits."""
    return Misfit(
        f"nobody can say whether release {release.id} fits the schema: what migrates it does not tell "
        "what it has applied",
        state="nothing was touched; what ran before goes on",
        next="have a release phase with a `status` (`migrations: {engine: …, status: …}`); or, if you know that "
        "its code runs on the schema as it is now, roll back with --force",
    )


def blocked(proof: Proof, refs: tuple[HalfRef, ...]) -> Blocked:
    """The refusal of a contract half whose proof is lacking."""
    return Blocked(
        f"{join_refs(refs)} may not run yet: " + "; ".join(proof.blockers),
        state="nothing was touched; the halves stay held",
        next="end what is named, or wait for it, then run `pilotage contract` again",
    )


def run_it_first(migration: Migration) -> Refused:
    """The refusal of a release that needs an out-of-band half."""
    return Refused(
        f"{migration} is out-of-band and its expand half is not applied, which this release needs",
        where=str(migration.path),
        state="nothing was touched",
        next=f"pilotage migrate run {migration.version}",
    )


def stays_held(refs: tuple[HalfRef, ...], proof: Proof) -> str:
    """The note on contract halves that a plan leaves out, because their proof is lacking."""
    return f"{join_refs(refs)} stays held: {'; '.join(proof.blockers)}"


def contract_it_first(refs: tuple[HalfRef, ...]) -> Refused:
    """The refusal of a release that requires a contract half which only a person may run."""
    return Refused(
        f"{join_refs(refs)} is required by this release, and `contract: manual` leaves it to you",
        state="nothing was touched",
        next="pilotage contract",
    )


def squash_too_early(migration: Migration, missing: tuple[HalfRef, ...]) -> Refused:
    """The refusal of a squash on a database that has not been through what it replaces."""
    return Refused(
        f"{migration} replaces halves that are not applied here: {join_refs(missing)}",
        where=str(migration.path),
        state="nothing was touched",
        next="deploy the last release that still has these files first, and run "
        "`pilotage contract` there",
    )


def expand_first(
    observed: Observed, refs: tuple[HalfRef, ...], migrations: Migrations
) -> tuple[Refused, ...]:
    """A contract half whose own expand half is not applied may not run."""
    refusals = []
    expanded = observed.schema.applied.expanded
    for ref in refs:
        migration = migrations.get(ref.version)
        if migration is None or migration.contract is None:
            refusals.append(Refused(f"there is no contract half of {ref.version} in the release"))
        elif migration.expand and ref.version not in expanded:
            refusals.append(
                Refused(
                    f"{ref} may not run before {expand(ref.version)}",
                    where=str(migration.path),
                    state="nothing was touched",
                    next="deploy the release, or `pilotage migrate run` its expand half",
                )
            )
    return tuple(refusals)


def required_first(
    observed: Observed, refs: tuple[HalfRef, ...], migrations: Migrations
) -> tuple[Refused, ...]:
    """A half may not run before what its file ``requires``, unless that runs with it."""
    refusals = []
    applied, together = observed.schema.applied, set(refs)
    for ref in refs:
        migration = migrations.get(ref.version)
        needs = migration.requires if migration else frozenset()
        missing = {r for r in needs if not applied.has(r) and r not in together}
        if missing:
            refusals.append(
                Refused(
                    f"{ref} requires {join_refs(sorted(missing))}, not applied yet",
                    where=str(migration.path) if migration else "",
                    state="nothing was touched",
                    next="pilotage contract, on the release that ships it",
                )
            )
    return tuple(refusals)


def older_first(
    observed: Observed, refs: tuple[HalfRef, ...], migrations: Migrations
) -> tuple[Refused, ...]:
    """A contract half may not overtake an older one that a deploy or `pilotage contract` will apply.

    The older one was written for the columns that the newer one removes: its backfill and its check
    read them, and what keeps the two in step (a trigger) goes with them. Out-of-band ones are left
    aside: a person said that they come when they come.
    """
    applied, together = observed.schema.applied, set(refs)
    last = max((version_key(ref.version) for ref in refs), default=(0, ""))
    older = tuple(
        contract(m.version)
        for m in migrations
        if m.contract
        and not m.out_of_band(Half.CONTRACT)
        and m.version not in applied.finished
        and (m.expand is None or m.version in applied.expanded)
        and contract(m.version) not in together
        and version_key(m.version) < last
    )
    if not older:
        return ()
    return (
        Refused(
            f"{join_refs(refs)} may not run before {join_refs(older)}, which is held",
            state="nothing was touched",
            next="pilotage contract",
        ),
    )


def applied_after(applied: Applied, steps: Iterable[Step]) -> Applied:
    """The schema as it will be when a release starts: what comes before the first `Start`."""
    playing = Playing(applied)
    for step in steps:
        if isinstance(step, Start):
            break
        playing.step(step)
    return playing.applied


def walk(observed: Observed, release: Release, steps: tuple[Step, ...]) -> tuple[str, ...]:
    """Play the steps through: where would a running release stop to fit the schema?

    A release that does not fit before the first step is not counted against the plan, unless the
    plan makes it worse.
    """
    playing = Playing(observed.schema.applied)
    fitting, misfits = _Fitting(), set[str]()
    for ships, names in _by_ships(observed).items():
        if fits(ships, observed.schema.applied):
            fitting.add(ships, names)
        else:
            misfits.update(names)
    broken: list[str] = []
    for step in steps:
        playing.step(step)
        lost = [(ships, fitting.lose(ships)) for ships in fitting.ships if playing.breaks(ships)]
        if isinstance(step, Start):
            new = [instance.id for instance in step.instances if instance.id not in misfits]
            fitting.drop(new)
            if fits(release.ships, playing.applied):
                fitting.add(release.ships, new)
            else:
                lost.append((release.ships, new))
        if isinstance(step, Stop):
            fitting.drop(instance.id for instance in step.instances)
        for ships, names in lost:
            misfits.update(names)
            why = fits(ships, playing.applied).describe()
            broken += [
                f"after '{step.describe()}', {name} would not fit: it {why}" for name in names
            ]
    return tuple(broken)


def _by_ships(observed: Observed) -> dict[Ships | None, list[str]]:
    """What runs, by what it ships: instances are many, releases few."""
    releases: dict[str, list[str]] = {}
    for instance in observed.alive:
        releases.setdefault(instance.release, []).append(instance.id)
    groups: dict[Ships | None, list[str]] = {}
    for release, names in releases.items():
        groups.setdefault(observed.ships(release), []).extend(names)
    return groups


class _Fitting:
    """The names of the instances that run and fit, by what their release ships."""

    def __init__(self) -> None:
        self._names: dict[Ships | None, dict[str, None]] = {}

    @property
    def ships(self) -> list[Ships | None]:
        return list(self._names)

    def add(self, ships: Ships | None, names: Iterable[str]) -> None:
        self._names.setdefault(ships, {}).update(dict.fromkeys(names))

    def lose(self, ships: Ships | None) -> list[str]:
        return list(self._names.pop(ships))

    def drop(self, names: Iterable[str]) -> None:
        for name in names:
            for group in self._names.values():
                group.pop(name, None)


def point_of_no_return(observed: Observed, spec: Spec, steps: tuple[Step, ...]) -> int | None:
    """The first step after which the release that serves now could not be started again."""
    origin = observed.state.release(spec.from_)
    if origin is None or origin.ships is None:
        return None
    playing = Playing(observed.schema.applied)
    lost = bool(fits(origin.ships, playing.applied).foreign_contracts)
    for index, step in enumerate(steps):
        playing.step(step)
        lost = lost or playing.breaks(origin.ships)
        new_data = isinstance(step, Open) and set(step.versions) - origin.ships.expands
        if new_data or lost:
            return index
    return None


def strangers(observed: Observed) -> tuple[str, ...]:
    """Notes on running instances of releases that nobody recorded."""
    seen = {i.release for i in observed.alive}
    return tuple(
        f"release {r.id} runs but was never recorded: it blocks every contract half that was not "
        "applied when it was first seen"
        for r in observed.state.releases
        if r.how == "seen" and r.id in seen
    )


def way_back(observed: Observed, release: str | None) -> str | None:
    """The release, when it may be rolled back to, as far as anybody knows what it ships."""
    ships = observed.ships(release) if release else None
    applied = observed.schema.applied
    barred = ships is not None and (not fits(ships, applied) or cannot_return(ships, applied))
    return None if barred else release


def closed_edges(observed: Observed) -> tuple[str, ...]:
    """A note on what a person closed: the plan leaves it so."""
    closure = observed.state.closure
    if closure is None or closure.by != "person":
        return ()
    return (f"{closure.describe()}, and this leaves it on: `{closure.ended_by}` ends it",)


def name_of(migrations: Migrations, version: str) -> str:
    found = migrations.get(version)
    return found.name if found else ""


def in_order(refs: Iterable[HalfRef]) -> tuple[HalfRef, ...]:
    """Halves in file order."""
    return tuple(sorted(refs, key=attrgetter("sort_key")))


def join_places(places: Iterable[tuple[str, str]]) -> str:
    """Places (host, role) in words."""
    return ", ".join(f"{role} on {host}" for host, role in places)


def join_refs(refs: Iterable[HalfRef]) -> str:
    return ", ".join(str(ref) for ref in refs)
