"""What a person does to one migration by hand: run, mark, take back; each held to the same rule.

Every verb takes the deploy lease, so that it never meets a deploy half-way.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from pilotage.deploy import look
from pilotage.errors import Misfit, Refused
from pilotage.events import Emit
from pilotage.execute import (
    close_door,
    execute,
    open_door,
    prove_again,
)
from pilotage.migrate.migration import Migration
from pilotage.model import Half, HalfRef, Intent, Observed, Spec, expand, fits
from pilotage.observe import World, observe
from pilotage.plan import Goal, Plan
from pilotage.plan.halves import (
    adoption,
    contract_step,
    contracts_due,
    pending_expands,
    untouched,
)
from pilotage.plan.playing import run_by
from pilotage.plan.rule import blocked, expand_first, older_first, required_first, walk
from pilotage.run import Run, StepError, require_fit
from pilotage.steps import ApplyHalf, Backfill, Step
from pilotage.store import Claim, hold


@asynccontextmanager
async def manual_run(
    world: World, goal: Goal, claim: Claim, emit: Emit
) -> AsyncIterator[tuple[Run, Observed]]:
    """A run without a plan of its own, under the lease, after a look with authority."""
    await world.schema.prepare()
    async with hold(world.store, claim, emit) as lease:
        observed = await look(world, lease, emit)
        spec = observed.state.spec or Spec(to=goal.release.id)
        plan = Plan(verb="migrate", release=goal.release, spec=spec, migrations=goal.files)
        yield Run(world, plan, goal.policy, lease, emit), observed


async def run_half(world: World, goal: Goal, ref: HalfRef, claim: Claim, emit: Emit) -> None:
    """Run one half now: an expand half with its backfill, or a contract half with its proof."""
    async with manual_run(world, goal, claim, emit) as (run, observed):
        migration = _file(goal, ref)
        refusals = required_first(observed, (ref,), goal.files)
        if ref.half is Half.CONTRACT:
            refusals += expand_first(observed, (ref,), goal.files)
            refusals += older_first(observed, (ref,), goal.files)
        if refusals:
            raise refusals[0]
        if ref.half is Half.CONTRACT:
            step: Step = contract_step((ref,), goal.files, optional=False)
            await carry_out(run, (step,))
            return
        whole = observed.schema.fresh and untouched(observed, migration)
        if migration.replaces and not whole:
            adopted = adoption(observed, migration)
            if isinstance(adopted, Refused):
                raise adopted
            await carry_out(run, (adopted,))
            return
        backfill = (Backfill(ref.version, migration.name),) if migration.backfill else ()
        await carry_out(run, (ApplyHalf(ref, migration.name, fresh=whole), *backfill))


async def apply_pending(
    world: World, goal: Goal, claim: Claim, emit: Emit, *, contracts: bool = False
) -> tuple[Step, ...]:
    """The release phase alone: every pending expand half, and with ``contracts`` what is held.

    On a fresh database contract halves run with the expand halves, in file order, as in a deploy.
    """
    async with manual_run(world, goal, claim, emit) as (run, observed):
        pending = pending_expands(observed, goal)
        refusals = pending.refusals or required_first(observed, run_by(pending.steps), goal.files)
        if refusals:
            raise refusals[0]
        refs = contracts_due(observed, goal) if contracts and not observed.schema.fresh else ()
        after = (contract_step(refs, goal.files, optional=False),) if refs else ()
        steps = (*pending.steps, *after)
        broken = walk(observed, goal.release, steps)
        if broken:
            raise Misfit(broken[0], state="nothing was touched", next="see `pilotage status`")
        await carry_out(run, steps)
    return steps


async def mark(
    world: World,
    goal: Goal,
    refs: tuple[HalfRef, ...],
    claim: Claim,
    emit: Emit,
) -> None:
    """Record halves as applied because a person ran them. A contract half needs its proof, too."""
    async with manual_run(world, goal, claim, emit) as (run, observed):
        for ref in refs:
            migration = _file(goal, ref)
            if ref.half is Half.CONTRACT and not observed.schema.applied.has(ref):
                refusals = expand_first(await observe(world), (ref,), goal.files)
                if refusals:
                    raise refusals[0]
                await _prove_only(run, ref)
            else:
                require_fit(await observe(world), ref)
            await world.schema.mark(migration, ref.half, release=goal.release.id, token=run.token)
            await world.schema.withdraw((ref,), token=run.token)


async def _prove_only(run: Run, ref: HalfRef) -> None:
    """Close the door and prove, as before a contract half that pilotage would run itself."""
    await close_door(run, (ref,))
    proof = await prove_again(run, (ref,))
    if proof.blockers:
        await open_door(run, (ref,))
        raise blocked(proof, (ref,))


async def rename(
    world: World, goal: Goal, claim: Claim, emit: Emit, *, old: str, version: str
) -> None:
    """Give the records of ``old`` the version that its file has now, when nothing that runs minds.

    A running release that still ships the file under its old version would no longer fit.
    """
    async with manual_run(world, goal, claim, emit) as (run, observed):
        migration = goal.files.get(version)
        rows = tuple(row.ref for row in observed.schema.rows if row.ref.version == old)
        if migration is None or not rows:
            missing = f"migration {version}" if migration is None else f"record of {old}"
            raise Refused(
                f"there is no {missing}",
                state="nothing was touched",
                next="see `pilotage migrate status`",
            )
        if any(row.ref.version == version for row in observed.schema.rows):
            raise Refused(
                f"{migration} is on record already",
                where=str(migration.path),
                state="nothing was touched",
                next="see `pilotage migrate status`",
            )
        new = tuple(HalfRef(version, ref.half) for ref in rows)
        before = observed.schema.applied
        after = before.minus(*rows).plus(*new)
        for instance in observed.alive:
            ships = observed.ships(instance.release)
            fit = fits(ships, after)
            if fits(ships, before) and not fit:
                raise Misfit(
                    f"{instance.id} of release {instance.release} runs on {instance.host} and knows "
                    f"the migration as {old}: under the new version it {fit.describe()}",
                    state="nothing was touched",
                    next="give the file its old version back",
                )
        await world.schema.rename(old, migration, token=run.token)


async def down(world: World, goal: Goal, version: str, claim: Claim, emit: Emit) -> None:
    """Take an expand half back by its ``-- down`` section, when nothing that runs needs it."""
    async with manual_run(world, goal, claim, emit) as (run, observed):
        ref = expand(version)
        migration = _file(goal, ref)
        row = observed.schema.row(ref)
        if row is None:
            raise Refused(f"{ref} is not applied", state="nothing was touched")
        if version in observed.schema.applied.contracted:
            raise Refused(
                f"{migration} is contracted: what it removed does not come back by `-- down`",
                where=str(migration.path),
                state="nothing was touched",
                next="write a new migration, or restore a backup",
            )
        if migration.down is None:
            raise Refused(
                f"{migration} has no `-- down` section",
                where=str(migration.path),
                state="nothing was touched",
                next="write one, or a new migration that takes it back",
            )
        await world.schema.intend((Intent(ref, token=run.token, revert=True),), token=run.token)
        try:
            _nobody_needs(await observe(world), ref)
            await world.schema.revert(migration, token=run.token, emit=emit)
        finally:
            await world.schema.withdraw((ref,), token=run.token)


def _nobody_needs(observed: Observed, ref: HalfRef) -> None:
    """Refuse to take an expand half back under a release that needs it, seen or by session."""
    after = observed.schema.applied.minus(ref)
    for instance in observed.alive:
        fit = fits(observed.ships(instance.release), after)
        if ref.version in fit.missing_expands or not fit.known:
            raise Misfit(
                f"{instance.id} of release {instance.release} runs on {instance.host} and needs {ref}",
                state="nothing was touched",
                next="roll back to a release that does not ship it, then try again",
            )
    for host in observed.unreachable:
        raise Misfit(
            f"host {host} does not answer; what runs there may need {ref}",
            state="nothing was touched",
            next=f"bring it back, or `pilotage status --forget-host {host}`",
        )
    for session in observed.schema.sessions or ():
        ships = observed.ships(session.release) if session.release else None
        if session.release and (ships is None or ref.version in ships.expands):
            raise Misfit(
                f"database session {session.pid} is of release {session.release}, which needs {ref}",
                state="nothing was touched",
                next="end it, then try again",
            )


def _file(goal: Goal, ref: HalfRef) -> Migration:
    migration = goal.files.get(ref.version)
    if migration is None or migration.section(ref.half) is None:
        raise Refused(
            f"there is no {ref.half} half of {ref.version}",
            state="nothing was touched",
            next="see `pilotage migrate status`",
        )
    return migration


async def carry_out(run: Run, steps: tuple[Step, ...]) -> None:
    try:
        await execute(replace(run, plan=replace(run.plan, steps=steps)))
    except StepError as failed:
        raise failed.error from failed.error.__cause__
