"""The schema's part of a deploy: which halves are pending, which are held, and in what order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pilotage.errors import Refused
from pilotage.migrate.migration import Migration, Migrations
from pilotage.model import Half, HalfRef, Observed, Ships, Spec, contract, expand, version_key
from pilotage.plan.goal import Goal
from pilotage.plan.rule import (
    blocked,
    contract_it_first,
    name_of,
    run_it_first,
    squash_too_early,
    stays_held,
)
from pilotage.proof import prove
from pilotage.steps import Adopt, ApplyHalf, Backfill, Contract, RunFramework, Soak, Step


def held_refs(observed: Observed, ships: Ships | None) -> tuple[HalfRef, ...]:
    """Contract halves that a release ships and that are not applied to their end."""
    if ships is None:
        return ()
    left = ships.contracts - observed.schema.applied.finished
    return tuple(contract(version) for version in sorted(left, key=version_key))


def in_band(refs: Iterable[HalfRef], files: Migrations) -> tuple[HalfRef, ...]:
    """Those that a deploy may apply: their file is there, and nobody marked them out-of-band."""
    found = []
    for version in files.in_order(ref.version for ref in refs):
        migration = files.get(version)
        if migration and migration.contract and not migration.out_of_band(Half.CONTRACT):
            found.append(contract(version))
    return tuple(found)


def contract_step(refs: tuple[HalfRef, ...], files: Migrations, *, optional: bool) -> Contract:
    """The step that proves and applies these halves."""
    return Contract(refs, tuple(name_of(files, ref.version) for ref in refs), optional=optional)


def contracts_due(observed: Observed, goal: Goal) -> tuple[HalfRef, ...]:
    """Held contract halves of the goal's own files, whose expand half is applied or does not exist."""
    refs = in_band(held_refs(observed, goal.migrations.ships()), goal.migrations)
    expanded = observed.schema.applied.expanded
    return tuple(
        ref
        for ref in refs
        if (file := goal.migrations.get(ref.version))
        and (not file.expand or ref.version in expanded)
    )


@dataclass(frozen=True, slots=True)
class Halves:
    """Steps on the schema, what stays held, notes on why, and what forbids the plan."""

    steps: tuple[Step, ...] = ()
    held: tuple[HalfRef, ...] = ()
    notes: tuple[str, ...] = ()
    refusals: tuple[Refused, ...] = ()

    @property
    def expands(self) -> bool:
        """Whether anything is added."""
        changes = (ApplyHalf, Adopt, Backfill, RunFramework)
        return any(isinstance(step, changes) for step in self.steps)


def contracts_before(observed: Observed, goal: Goal, spec: Spec) -> Halves:
    """What the release that serves now left held, to be applied before anything else.

    Under `next`, and under `auto` when its soak was interrupted; under `manual` only a person's
    `pilotage contract` does it. Never on a deploy of the release that serves already.
    """
    origin = observed.state.release(spec.from_)
    if origin is None or origin.ships is None or observed.schema.fresh:
        return Halves()
    ships = goal.release.ships or Ships()
    held = held_refs(observed, origin.ships)
    ready = tuple(r for r in in_band(held, goal.files) if ships.ships_contract(r.version))
    due = goal.policy.contract != "manual" and origin.id != goal.release.id
    required = required_of(ready, ships)
    offered = tuple(ref for ref in ready if ref not in required) if due else ()
    if required and goal.policy.contract == "manual":
        return Halves(held=held, refusals=(contract_it_first(required),))
    if not required + offered:
        return Halves(held=held)
    proof = prove(observed, required + offered, consumers=goal.policy.consumers)
    if proof.blockers and required:
        return Halves(held=held, refusals=(blocked(proof, required),))
    if proof.blockers:
        return Halves(held=held, notes=(stays_held(offered, proof),))
    steps = (
        *((contract_step(required, goal.files, optional=False),) if required else ()),
        *((contract_step(offered, goal.files, optional=True),) if offered else ()),
    )
    return Halves(steps, held=tuple(r for r in held if r not in required + offered))


def required_of(ready: tuple[HalfRef, ...], ships: Ships) -> tuple[HalfRef, ...]:
    """Those that a release requires, with the older ones before them: none overtakes an older one."""
    last = max((ref for ref in ready if ref in ships.requires), default=None)
    return tuple(ref for ref in ready if last and not last < ref)


def pending_expands(observed: Observed, goal: Goal) -> Halves:
    """Expand halves and their backfills in file order; on a fresh database contract halves too."""
    ships = goal.release.ships or Ships()
    applied, fresh = observed.schema.applied, observed.schema.fresh
    files = goal.files
    contracts = ships.contracts - applied.finished if fresh else frozenset()
    steps: list[Step] = []
    refusals: list[Refused] = []
    for migration in goal.migrations:
        version = migration.version
        if migration.expand and version not in applied.expanded:
            if migration.replaces and not (fresh and untouched(observed, migration)):
                adopted = adoption(observed, migration)
                if isinstance(adopted, Refused):
                    refusals.append(adopted)
                else:
                    steps.append(adopted)
            elif migration.out_of_band(Half.EXPAND) and not fresh:
                refusals.append(run_it_first(migration))
            else:
                steps.append(ApplyHalf(expand(version), migration.name, fresh=fresh))
                if migration.backfill:
                    steps.append(Backfill(version, migration.name))
        if version in contracts and migration.contract:
            steps.append(contract_step((contract(version),), files, optional=False))
    return Halves(tuple(steps), refusals=tuple(refusals))


def contracts_after(observed: Observed, goal: Goal, *, busy: bool, partial: bool = False) -> Halves:
    """Under `auto`, the release's own contract halves after the soak; else they are held.

    ``busy``: the plan changes what runs, so the soak begins when it is through. ``partial``: it leaves
    places out, so older code still runs.
    """
    if observed.schema.fresh:
        return Halves()
    held = held_refs(observed, goal.release.ships)
    refs = in_band(held, goal.files)
    if goal.policy.contract != "auto" or not refs or partial:
        return Halves(held=held)
    spec = observed.state.spec
    finished = None if busy or spec is None else spec.finished_at
    soak = Soak(goal.policy.soak, finished + goal.policy.soak if finished else None)
    left = tuple(ref for ref in held if ref not in refs)
    return Halves((soak, contract_step(refs, goal.files, optional=True)), held=left)


def untouched(observed: Observed, squash: Migration) -> bool:
    """Whether nothing of what a squash stands for was ever begun here."""
    begun = [version_key(row.ref.version) for row in observed.schema.rows]
    return not any(
        version_key(lo) <= version <= version_key(hi)
        for lo, hi in squash.replaces
        for version in begun
    )


def adoption(observed: Observed, squash: Migration) -> Adopt | Refused:
    """What becomes of a squash where something it stands for was begun: it is never run there."""
    missing = not_replaced(observed, squash)
    return squash_too_early(squash, missing) if missing else Adopt(squash.version, squash.name)


def not_replaced(observed: Observed, squash: Migration) -> tuple[HalfRef, ...]:
    """Halves that a squash stands for and that are not applied, as far as anybody recorded them."""
    applied = observed.schema.applied
    known = {release.ships for release in observed.state.releases if release.ships}
    missing = set()
    for lo, hi in squash.replaces:
        if hi not in applied.expanded and hi not in applied.finished:
            missing.add(expand(hi))
        for ships in known:
            for version in ships.expands | ships.contracts:
                if not version_key(lo) <= version_key(version) <= version_key(hi):
                    continue
                if version in ships.expands and version not in applied.expanded:
                    missing.add(expand(version))
                if version in ships.contracts and version not in applied.finished:
                    missing.add(contract(version))
    return tuple(sorted(missing))
