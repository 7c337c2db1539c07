"""Carries a plan out, step by step, in the order of a deploy.

Whatever a step needs to be safe is asked again here, at the moment it matters: the rule before every
migration half, start and switch; the proof of a contract half after its intents are written. A plan
says what to do; it is never believed about what is.
"""

from __future__ import annotations

import asyncio
import time

from pilotage import release_command
from pilotage.early import Early
from pilotage.edges import close_edges, open_edges, shut
from pilotage.errors import Misfit, PilotageError, VerifyFailed
from pilotage.events import (
    ContractHeld,
    InstanceHealthy,
    InstanceStarted,
    InstanceStopped,
    Output,
    StepFailed,
    StepFinished,
    StepStarted,
)
from pilotage.expand import expand_together, expands_from
from pilotage.migrate.migration import Migration
from pilotage.model import (
    Half,
    HalfRef,
    Instance,
    Intent,
    Registration,
    Release,
)
from pilotage.observe import World, observe
from pilotage.plan.rule import blocked, join_refs
from pilotage.proof import Proof, prove
from pilotage.record import finish, mark_verified
from pilotage.run import Run, StepError, judge, require_fit, together
from pilotage.steps import (
    Adopt,
    ApplyHalf,
    AwaitReplicas,
    Backfill,
    Canary,
    Check,
    CloseEdges,
    Confirm,
    Contract,
    Drain,
    EnsureProxy,
    Fetch,
    Finish,
    Forget,
    Open,
    OpenEdges,
    RunFramework,
    RunHook,
    Soak,
    Start,
    StartFirst,
    Step,
    Stop,
    Switch,
    Wait,
    Watch,
)
from pilotage.targets.base import Gate
from pilotage.traffic import canary, drain, switch
from pilotage.watch import begin, watch

LOOK_AGAIN_SECONDS = 0.2


async def execute(run: Run) -> None:
    """Every step of the plan, in order. Raises `StepError` at the first that fails."""
    steps = run.plan.steps
    index = 0
    async with Early(run, perform) as early:
        while index < len(steps):
            early.begin(index)
            together = expands_from(steps, index)
            if len(together) > 1:
                await expand_together(run, index, together)
            else:
                await execute_step(run, index, early)
            index += len(together) or 1


async def execute_step(run: Run, index: int, early: Early) -> None:
    """The step of the plan at ``index``. Raises `StepError`."""
    steps = run.plan.steps
    step = steps[index]
    at = {"index": index, "total": len(steps), "step": step.describe(), "kind": step.kind}
    began = time.monotonic()
    try:
        await run.lease.renew(doing=step.describe())
        run.emit(StepStarted(**at))  # type: ignore[arg-type]
        detail = await early.perform(index) if index in early else await perform(run, step)
    except PilotageError as error:
        run.emit(StepFailed(**at, error=error.what))  # type: ignore[arg-type]
        raise StepError(step, error) from error
    seconds = time.monotonic() - began
    run.emit(StepFinished(**at, seconds=seconds, detail=detail or ""))  # type: ignore[arg-type]


async def perform(run: Run, step: Step) -> str | None:
    """One step. Returns a detail worth showing, or None."""
    match step:
        case Fetch(revision=revision):
            await run.world.target.fetch(revision)
        case RunHook(hook=hook):
            await run_hook(run, hook)
        case EnsureProxy():
            await run.world.proxy.ensure(token=run.token)
            await shut(run.world, token=run.token)
        case CloseEdges():
            return await close_edges(run, step)
        case OpenEdges():
            return await open_edges(run, step)
        case ApplyHalf(ref=ref, fresh=fresh):
            await expand_half(run, ref, fresh=fresh)
        case RunFramework(refs=refs, fresh=fresh):
            await run_framework(run, refs, fresh=fresh)
        case Backfill(version=version):
            await run.world.schema.backfill(
                run.migration(version), final=False, token=run.token, emit=run.emit
            )
        case AwaitReplicas():
            await run.world.schema.replayed()
        case Adopt(version=version):
            await run.world.schema.adopt(
                run.migration(version), release=run.plan.release.id, token=run.token
            )
        case Forget(instances=instances, registrations=registrations):
            await forget(run, instances, registrations)
        case StartFirst():
            await start_first(run, step)
        case Start(instances=instances, revision=revision):
            await start(run, instances, revision)
        case Check(instances=instances) | Confirm(instances=instances):
            await check(run, instances)
            if isinstance(step, Confirm) and not step.rest:
                await mark_verified(run)
        case Open(versions=versions):
            await run.world.schema.open(versions, token=run.token)
        case Canary():
            return await canary(run, step)
        case Switch():
            return await switch(run, step)
        case Watch():
            return await watch(run, step, await begin(run, step))
        case Drain(instances=instances, limit=limit):
            return await drain(run, instances, limit)
        case Stop(instances=instances):
            await stop(run, instances)
        case Finish(release=release):
            await finish(run, release)
        case Soak():
            await soak(run, step)
        case Wait(seconds=seconds):
            await wait(run, await run.world.store.now() + seconds)
        case Contract():
            return await contract(run, step)
        case _:
            raise AssertionError(f"no handler for {step!r}")
    return None


async def run_hook(run: Run, hook: str) -> None:
    """A program of the project, which is told what this run is about."""
    release, origin = run.plan.release, run.plan.spec.from_
    details = {"RELEASE": release.id} | ({"FROM_RELEASE": origin} if origin else {})
    await run.world.hooks.run(hook, version=release.revision, lock=True, details=details, step=True)


# ----------------------------------------------------------------------------------------------
# The release phase
# ----------------------------------------------------------------------------------------------


async def expand_half(run: Run, ref: HalfRef, *, fresh: bool) -> None:
    """Apply an expand half.

    Nobody is asked what runs: expanding takes nothing from any release (`pilotage.model.fits`), so whatever
    fits before fits afterwards.
    """
    await run.world.schema.apply(
        run.migration(ref.version),
        Half.EXPAND,
        release=run.plan.release.id,
        token=run.token,
        emit=run.emit,
        fresh=fresh,
    )


async def run_framework(run: Run, refs: tuple[HalfRef, ...], *, fresh: bool) -> None:
    """Have a framework apply its halves, if every running release still fits afterwards."""
    require_fit(await observe(run.world), *refs)
    await release_command.apply(run, refs, fresh=fresh)


async def contract(run: Run, step: Contract) -> str | None:
    """Close the door, look again, prove; then backfill, verify and apply. The point of no return.

    Anything that starts from now on registered itself before it reads the intents, so it refuses
    itself, or it is seen by the observation here. That is why the intents come first.

    A half that began before is only taken to its end. It was filled in and checked then, and may have
    dropped what kept old and new in step: a backfill now would write stale values over new ones.
    """
    finished = (await run.world.schema.view()).applied.finished
    refs = tuple(ref for ref in step.refs if ref.version not in finished)
    if not refs:
        return "applied already"
    overtaken = [ref for ref in earlier_contracts(run, step) if ref.version not in finished]
    if overtaken and step.optional:
        return hold_back(run, refs, (f"{join_refs(overtaken)}, which comes before it, is held",))
    await close_door(run, refs)
    proof = await prove_again(run, refs)
    if proof.blockers:
        await open_door(run, refs)
        if not step.optional:
            raise blocked(proof, refs)
        return hold_back(run, refs, proof.blockers)
    if run.world.engine:
        await release_command.apply(run, refs)
        return None
    begun = await begun_before(run)
    for index, ref in enumerate(refs):
        migration = run.migration(ref.version)
        try:
            if ref.version not in begun:
                await backfill_again(run, migration)
                await verify(run, migration)
        except VerifyFailed as error:
            await open_door(run, refs[index:])
            if not step.optional:
                raise
            return hold_back(run, refs[index:], (error.what,))
        await run.world.schema.apply(
            migration, Half.CONTRACT, release=run.plan.release.id, token=run.token, emit=run.emit
        )
    return None


def earlier_contracts(run: Run, step: Contract) -> list[HalfRef]:
    """The halves of the plan's contract steps before this one: a held one is not overtaken."""
    steps = run.plan.steps[: run.plan.steps.index(step)]
    return [ref for before in steps if isinstance(before, Contract) for ref in before.refs]


async def close_door(run: Run, refs: tuple[HalfRef, ...]) -> None:
    """Commit the intents: a start that they would break refuses itself from now on."""
    intents = tuple(Intent(ref, token=run.token) for ref in refs)
    await run.world.schema.intend(intents, token=run.token)


async def begun_before(run: Run) -> frozenset[str]:
    """The versions whose contract half has begun, in whichever run that was."""
    return (await run.world.schema.view()).applied.contracted


async def backfill_again(run: Run, migration: Migration) -> None:
    """What old code wrote until it had drained is filled in now that none of it is left."""
    if migration.backfill:
        await run.world.schema.backfill(migration, final=True, token=run.token, emit=run.emit)


async def verify(run: Run, migration: Migration) -> None:
    """Ask the file's own check whether anything would be lost."""
    if migration.verify:
        await run.world.schema.verify(migration)


async def open_door(run: Run, refs: tuple[HalfRef, ...]) -> None:
    """Take the intents back."""
    await run.world.schema.withdraw(refs, token=run.token)


async def prove_again(run: Run, refs: tuple[HalfRef, ...]) -> Proof:
    """Observe and prove; for ``patience`` seconds, sessions of what was just stopped may linger."""
    give_up = time.monotonic() + run.policy.patience
    while True:
        proof = prove(await observe(run.world), refs, consumers=run.policy.consumers)
        if not proof.blockers or time.monotonic() >= give_up:
            return proof
        await asyncio.sleep(LOOK_AGAIN_SECONDS)


def hold_back(run: Run, refs: tuple[HalfRef, ...], why: tuple[str, ...]) -> str:
    """Say that halves stay held, and why."""
    run.emit(ContractHeld(halves=tuple(str(ref) for ref in refs), why=why))
    return f"held: {'; '.join(why)}"


# ----------------------------------------------------------------------------------------------
# Instances
# ----------------------------------------------------------------------------------------------


async def start(run: Run, instances: tuple[Instance, ...], revision: str) -> None:
    """Start instances at once, each through its gate."""
    release = run.plan.release

    async def one(instance: Instance) -> None:
        gate = start_gate(run.world, instance, release)
        started = await run.world.target.start(instance, revision, token=run.token, gate=gate)
        run.emit(_started(started))

    await together(one(instance) for instance in instances)


def _started(instance: Instance) -> InstanceStarted:
    return InstanceStarted(
        instance=instance.id,
        role=instance.role,
        host=instance.host,
        release=instance.release,
        address=instance.address,
    )


async def start_first(run: Run, step: StartFirst) -> None:
    """Start an instance through its gate, and see it healthy before anything else is done."""
    (instance,) = step.instances

    def output(line: str) -> None:
        run.emit(Output(source=instance.role, line=line))

    began = time.monotonic()
    started = await run.world.target.boot(
        instance,
        step.revision,
        limit=step.limit,
        token=run.token,
        gate=start_gate(run.world, instance, run.plan.release),
        output=output,
    )
    run.emit(_started(started))
    run.emit(InstanceHealthy(instance=started.id, seconds=time.monotonic() - began))


def start_gate(world: World, instance: Instance, release: Release) -> Gate:
    """The start gate: register first, read what is announced second, and refuse what would not fit."""

    async def gate() -> None:
        announced = await world.schema.register(Registration.of(instance, release))
        try:
            judge(release, announced, kind=instance.kind)
        except Misfit:
            await world.schema.deregister((instance.id,))
            raise

    return gate


async def check(run: Run, instances: tuple[Instance, ...]) -> None:
    """Wait until all are healthy."""

    async def one(instance: Instance) -> None:
        seconds = await run.world.target.check(instance)
        run.emit(InstanceHealthy(instance=instance.id, seconds=seconds))

    await together(one(instance) for instance in instances)


async def stop(run: Run, instances: tuple[Instance, ...]) -> None:
    """Stop instances, and take back their registrations once they are gone."""

    async def one(instance: Instance) -> None:
        began = time.monotonic()
        killed = await run.world.target.stop(instance, token=run.token)
        await run.world.schema.deregister((instance.id,), token=run.token)
        run.emit(
            InstanceStopped(instance=instance.id, seconds=time.monotonic() - began, killed=killed)
        )

    await together(one(instance) for instance in instances)


async def forget(run: Run, instances: tuple[Instance, ...], registrations: tuple[str, ...]) -> None:
    """Delete records of the dead, and registrations that nobody stands behind."""
    for instance in instances:
        await run.world.target.stop(instance, token=run.token)
    gone = (*(i.id for i in instances), *registrations)
    await run.world.schema.deregister(gone, token=run.token)


async def soak(run: Run, step: Soak) -> None:
    """Wait until the soak is over, keeping the lease."""
    now = await run.world.store.now()
    await wait(run, step.until if step.until is not None else now + step.seconds)


async def wait(run: Run, until: float) -> None:
    """Wait until a moment (Unix time, by the store's clock), keeping the lease."""
    now = await run.world.store.now()
    while now < until:
        await asyncio.sleep(min(5.0, until - now))
        await run.lease.renew()
        now = await run.world.store.now()
