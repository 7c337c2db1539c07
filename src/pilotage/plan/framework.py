"""The schema's part of a deploy where the migrations are a framework's own, run by its own command.

Its halves are whole migrations, and it has an order of its own: asked for one, it applies whatever comes
before it as well. So a deploy takes only what it can reach without running a contract half too early. A
contract half that stands before a pending expand half means a stop-over release, which the refusal names.
See ``docs/decisions/091-frameworks-have-an-order.md``.
"""

from __future__ import annotations

from dataclasses import replace

from pilotage.errors import Refused
from pilotage.migrate.migration import Framework, Migration, Migrations
from pilotage.model import Half, HalfRef, Observed, Ships, Spec, contract
from pilotage.plan.goal import Goal
from pilotage.plan.halves import Halves, contract_step, held_refs, in_band
from pilotage.plan.rule import (
    blocked,
    contract_it_first,
    expand_first,
    join_refs,
    name_of,
    older_first,
    stays_held,
)
from pilotage.proof import Proof, prove
from pilotage.steps import RunFramework, Step

UNKNOWN = (
    "nothing says what {} has applied (`migrations: {{status: …}}`), so nothing is guaranteed: whether "
    "old code fits the schema that its command leaves is for you to know"
)


def release_phase(observed: Observed, goal: Goal, spec: Spec) -> tuple[Halves, Halves]:
    """What comes before the new code starts: held contract halves, then what the release needs."""
    framework = goal.migrations.framework
    assert framework is not None
    if observed.schema.fresh:
        return Halves(), _from_scratch(observed, goal, framework)
    needed = _in_the_way(observed, goal)
    before = _held(observed, goal, spec, frozenset(needed))
    pending = _pending(observed, goal, spec, needed)
    if not framework.known:
        note = UNKNOWN.format(framework.name)
        before = replace(before, notes=(note, *before.notes))
    if framework.always and not pending.steps and not pending.refusals and _is_new(goal, spec):
        pending = Halves((_step(framework, (), goal.migrations),))
    return before, pending


def at_standstill(observed: Observed, after: Observed, goal: Goal, spec: Spec) -> Halves:
    """Everything that is pending, in the framework's order; ``after``: once everything is stopped.

    A contract half is applied when its proof will hold then; under `contract: manual` only one that
    an expand half lies behind.
    """
    files = goal.migrations
    framework = files.framework
    assert framework is not None
    if observed.schema.fresh:
        return _from_scratch(observed, goal, framework)
    needed = frozenset(_in_the_way(observed, goal))
    todo = _not_applied(observed, files)
    contracts = tuple(ref for ref in todo if ref.half is Half.CONTRACT)
    manual = goal.policy.contract == "manual"
    due = tuple(ref for ref in contracts if not manual or ref in needed)
    proof = prove(after, due, consumers=goal.policy.consumers) if due else Proof((), ())
    if proof.blockers and needed:
        return Halves(held=contracts, refusals=(blocked(proof, tuple(needed)),))
    notes: tuple[str, ...] = ()
    if proof.blockers:
        notes, due = (stays_held(due, proof),), ()
    run = tuple(ref for ref in todo if ref.half is Half.EXPAND or ref in due)
    steps = _in_runs(run, files, framework, fresh=False)
    if framework.always and not steps and _is_new(goal, spec):
        steps = (_step(framework, (), files),)
    return Halves(steps, held=tuple(ref for ref in contracts if ref not in due), notes=notes)


def contract_refusals(
    observed: Observed, refs: tuple[HalfRef, ...], files: Migrations
) -> tuple[Refused, ...]:
    """Why these contract halves may not run yet, whatever their proof says."""
    refusals = expand_first(observed, refs, files)
    if refusals or not any(migration.after for migration in files):
        return (*refusals, *older_first(observed, refs, files))
    return tuple(
        Refused(
            f"{ref} may not run before {join_refs(earlier)}: "
            f"{files.framework.name if files.framework else 'the framework'} would apply that as well",
            state="nothing was touched",
            next="deploy the release that ships it, or `pilotage contract` without naming one",
        )
        for ref in refs
        if (earlier := _before(observed, files, ref, refs))
    )


def half_of(migration: Migration) -> HalfRef:
    """The one half that a framework's migration is."""
    return HalfRef(migration.version, Half.CONTRACT if migration.contract else Half.EXPAND)


# ----------------------------------------------------------------------------------------------
# The steps
# ----------------------------------------------------------------------------------------------


def _from_scratch(observed: Observed, goal: Goal, framework: Framework) -> Halves:
    """Everything, on a database that no code has used yet: in one run where one run can do it."""
    todo = _not_applied(observed, goal.migrations)
    if framework.at_once and todo:
        step = _step(framework, todo, goal.migrations)
        return Halves((replace(step, fresh=True),))
    steps = _in_runs(todo, goal.migrations, framework, fresh=True)
    if not steps and framework.always:
        steps = (_step(framework, (), goal.migrations),)
    return Halves(steps)


def _held(observed: Observed, goal: Goal, spec: Spec, needed: frozenset[HalfRef]) -> Halves:
    """What the release that serves left held: applied first, when its proof holds."""
    origin = observed.state.release(spec.from_)
    if origin is None or origin.ships is None:
        return Halves()
    ships = goal.release.ships or Ships()
    held = held_refs(observed, origin.ships)
    if goal.policy.contract == "manual" or origin.id == goal.release.id:
        return Halves(held=held)
    ready = tuple(ref for ref in in_band(held, goal.files) if ships.ships_contract(ref.version))
    offered = tuple(
        ref
        for ref in ready
        if ref not in needed and not _before(observed, goal.files, ref, ready, besides=needed)
    )
    if not offered:
        return Halves(held=held)
    proof = prove(observed, offered, consumers=goal.policy.consumers)
    if proof.blockers:
        return Halves(held=held, notes=(stays_held(offered, proof),))
    step = contract_step(offered, goal.files, optional=True)
    return Halves((step,), held=tuple(ref for ref in held if ref not in offered))


def _pending(observed: Observed, goal: Goal, spec: Spec, needed: dict[HalfRef, HalfRef]) -> Halves:
    """The expand halves of the release, with the contract halves that stand before any of them."""
    files = goal.migrations
    framework = files.framework
    assert framework is not None
    refs = tuple(needed)
    if refs and goal.policy.contract == "manual":
        return Halves(refusals=(contract_it_first(refs),))
    if refs:
        proof = prove(observed, refs, consumers=goal.policy.consumers)
        if proof.blockers:
            origin = observed.state.release(spec.from_)
            shipped = origin is not None and origin.ships is not None
            if shipped and all(origin.ships.ships_contract(r.version) for r in refs):  # type: ignore[union-attr]
                return Halves(refusals=(blocked(proof, refs),))
            return Halves(refusals=(_stop_over(needed, files, proof.blockers),))
    todo = tuple(
        ref for ref in _not_applied(observed, files) if ref.half is Half.EXPAND or ref in needed
    )
    return Halves(_in_runs(todo, files, framework, fresh=False))


def _in_runs(
    refs: tuple[HalfRef, ...], files: Migrations, framework: Framework, *, fresh: bool
) -> tuple[Step, ...]:
    """Steps that apply the halves in order: neighbours of one kind go in one run."""
    steps: list[Step] = []
    start = 0
    for index, ref in enumerate(refs):
        last = index + 1 == len(refs) or refs[index + 1].half is not ref.half
        if not last:
            continue
        run = refs[start : index + 1]
        start = index + 1
        if ref.half is Half.CONTRACT:
            steps.append(contract_step(run, files, optional=False))
        else:
            steps.append(replace(_step(framework, run, files), fresh=fresh))
    return tuple(steps)


def _step(framework: Framework, refs: tuple[HalfRef, ...], files: Migrations) -> RunFramework:
    names = tuple(name_of(files, ref.version) for ref in refs)
    return RunFramework(refs, names, framework.name, framework.command)


# ----------------------------------------------------------------------------------------------
# What is before what
# ----------------------------------------------------------------------------------------------


def _not_applied(observed: Observed, files: Migrations) -> tuple[HalfRef, ...]:
    return tuple(
        half_of(migration)
        for migration in files
        if not observed.schema.applied.has(half_of(migration))
    )


def _before(
    observed: Observed,
    files: Migrations,
    ref: HalfRef,
    together: tuple[HalfRef, ...],
    *,
    besides: frozenset[HalfRef] = frozenset(),
) -> tuple[HalfRef, ...]:
    """What the framework would apply on its way to ``ref``, and is neither applied nor in ``together``."""
    todo = {half.version: half for half in _not_applied(observed, files)}
    return tuple(
        todo[version]
        for version in files.in_order(files.ancestors(ref.version))
        if version in todo and (todo[version] not in together or todo[version] in besides)
    )


def _in_the_way(observed: Observed, goal: Goal) -> dict[HalfRef, HalfRef]:
    """Contract halves that stand before a pending expand half → the first such expand half."""
    files = goal.migrations
    found: dict[HalfRef, HalfRef] = {}
    for ref in _not_applied(observed, files):
        if ref.half is Half.EXPAND:
            for earlier in _before(observed, files, ref, ()):
                if earlier.half is Half.CONTRACT:
                    found.setdefault(earlier, ref)
    place = files.in_order(ref.version for ref in found)
    return {contract(version): found[contract(version)] for version in place}


def _is_new(goal: Goal, spec: Spec) -> bool:
    """Whether the release is not the one that ran, to its end, when this deploy began."""
    return spec.from_ != goal.release.id


def _stop_over(
    needed: dict[HalfRef, HalfRef], files: Migrations, blockers: tuple[str, ...]
) -> Refused:
    """The refusal of a release that wants to go past a contract half in one step."""
    last = next(reversed(needed))
    name, first = files.framework.name if files.framework else "", needed[last]
    where = files.get(first.version)
    return Refused(
        f"{first} comes after {join_refs(needed)} in the order of {name}, and that may only run when no "
        f"code from before it is left: {'; '.join(blockers)}",
        where=str(where.path) if where else "",
        state="nothing was touched",
        next=f"a stop-over: first deploy a release whose migrations end with {last.version} (the last "
        f"commit before {first.version} was added), and then this one, which runs {last} first",
    )
