"""The release phase by a framework's own command: one run of it, in an instance of its own.

Its id comes from the release and the command, so a deployer that was killed leaves a run that the next one
finds: running, and joins it, or ended. One that nobody asked for any more (another release is deployed
now) is waited for all the same, because until its end nobody knows the schema.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from pilotage.errors import Blocked, HalfFailed, TargetError
from pilotage.events import Emit, Note, Output
from pilotage.migrate.base import Command
from pilotage.model import HalfRef, Instance, Kind, Life, Observed, Registration, Release
from pilotage.observe import World, observe
from pilotage.run import Run
from pilotage.targets.base import Job

QUOTED = 20
"""How many of its last lines an error quotes."""

SOURCE = "migrate"
"""The `Output.source` of its lines."""

LOOK_AGAIN_SECONDS = 0.2


async def apply(run: Run, refs: tuple[HalfRef, ...], *, fresh: bool = False) -> None:
    """Have the framework apply these halves; see `pilotage.migrate.base.Engine.run`."""
    engine = run.world.engine
    assert engine is not None
    release = _whose(run, refs)

    async def command(command: Command) -> None:
        await _carry_out(run, release, command, again=engine.known and bool(refs))

    await engine.run(
        tuple(run.migration(ref.version) for ref in refs),
        fresh=fresh,
        release=release.id,
        token=run.token,
        emit=run.emit,
        command=command,
    )


def _whose(run: Run, refs: tuple[HalfRef, ...]) -> Release:
    """The release whose checkout has the files: ours, else the one that left the halves held."""
    ours = run.plan.release
    ships = ours.ships
    if ships is None or all(r.version in ships.expands | ships.contracts for r in refs):
        return ours
    return run.origin or ours


async def _carry_out(run: Run, release: Release, command: Command, *, again: bool) -> None:
    """Run it, or join the run that is there.

    ``again``: something else says what is applied, so how an earlier run ended does not matter.
    """
    instance = instance_of(release, command)
    target = run.world.target
    observed = await observe(run.world)
    _nobody_elsewhere(observed, instance)
    alive = any(i.id == instance.id and i.alive for i in observed.instances)
    lines: deque[str] = deque(maxlen=QUOTED)
    begun = False

    async def gate() -> None:
        nonlocal begun
        begun = True
        await _register(run.world, instance, release)

    def output(line: str) -> None:
        lines.append(line)
        run.emit(Output(source=SOURCE, line=line))

    job = Job(
        instance,
        release.revision,
        ("/bin/sh", "-c", command.line),
        timeout=command.timeout,
        env=command.env,
    )
    if again and not alive:
        await target.stop(instance, token=run.token)
    try:
        status = await target.run_once(job, token=run.token, gate=gate, output=output)
        if status and not begun and not alive:
            run.emit(
                Note(text=f"{instance.id} ended with status {status} before: running it again")
            )
            lines.clear()
            await target.stop(instance, token=run.token)
            status = await target.run_once(job, token=run.token, gate=gate, output=output)
    except asyncio.CancelledError:
        # A person who interrupts a migration wants it to end, as one in a terminal of his own would.
        await asyncio.shield(_end(run, instance))
        raise
    await run.world.schema.deregister((instance.id,), token=run.token)
    if status or again:  # else its record is what says that it is done
        await target.stop(instance, token=run.token)
    if status:
        quoted = "\n    ".join(("", *lines)) if lines else " (it printed nothing)"
        raise HalfFailed(
            f"`{command.line}` exited {status}; its last output:{quoted}",
            where=f"{instance.id} on {instance.host}",
            next=f"mend it (`pilotage logs {instance.id}` has all that it printed), then run the command "
            "again: it goes on with what is not applied",
        )


async def _end(run: Run, instance: Instance) -> None:
    await run.world.target.stop(instance, token=run.token)
    await run.world.schema.deregister((instance.id,), token=run.token)


def instance_of(release: Release, command: Command) -> Instance:
    """The instance that one run of a command is: the same for every deployer that wants it."""
    what = "\n".join((command.line, *command.versions))
    digest = hashlib.sha256(what.encode()).hexdigest()[:8]
    return Instance(
        id=f"{command.service}-{SOURCE}-{release.id}-{digest}",
        service=command.service,
        role=command.role,
        host=command.host,
        release=release.id,
        kind=Kind.ONCE,
        life=Life.STARTING,
    )


async def _register(world: World, instance: Instance, release: Release) -> None:
    """Announce it, so that no contract half overlooks it; it makes the schema fit, so nothing is judged."""
    await world.schema.register(Registration.of(instance, release))


def _nobody_elsewhere(observed: Observed, instance: Instance) -> None:
    """Refuse while another run may be going on where nobody can look."""
    here = {i.id for i in observed.instances}
    for other in observed.alive:
        if other.kind is Kind.ONCE and other.id not in here and other.service == instance.service:
            raise Blocked(
                f"{other.id} was begun on {other.host}, which does not answer: it may be running still",
                state="nothing was begun",
                next=f"bring the host back, or `pilotage status --forget-host {other.host}` when it is "
                "gone for good",
            )


async def settle(world: World, observed: Observed, *, token: int, emit: Emit) -> bool:
    """Wait for the runs that a dead deployer left behind; whether there was any.

    Until they have ended, what is applied is not what will be.
    """
    left = [i for i in observed.instances if i.kind is Kind.ONCE and i.alive]
    for instance in left:
        emit(
            Note(
                text=f"{instance.id} is running still, from a deploy that did not see its end: waiting "
                "for it, at most until its time limit"
            )
        )
        await _see_its_end(world, observed, instance, token=token, emit=emit)
    return bool(left)


async def _see_its_end(
    world: World, observed: Observed, instance: Instance, *, token: int, emit: Emit
) -> None:
    if instance.life is not Life.STARTING:  # else its deployer is fenced off, and takes it back
        release = observed.state.release(instance.release)
        job = Job(instance, release.revision if release else instance.release, ("true",))
        # How it ended does not matter: what is applied is asked for again.
        with suppress(TargetError):
            await world.target.run_once(job, token=token, gate=_no_gate, output=_lines(emit))
    while True:
        view = await world.target.observe()
        if not any(i.id == instance.id and i.alive for i in view.instances):
            return
        await asyncio.sleep(LOOK_AGAIN_SECONDS)


def _lines(emit: Emit) -> Callable[[str], None]:
    return lambda line: emit(Output(source=SOURCE, line=line))


async def _no_gate() -> None:
    """It passed its gate when it was begun."""
