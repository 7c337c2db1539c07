"""The release phase of a container start: what a deploy does to the schema before it starts anything.

Under the deploy lock and the migration lock, by the runner that a deploy uses: the database and its tables,
the schema file on an empty one, expand halves and backfills in file order. A contract half is not run here,
except on a database that nothing has used: it needs the proof that every older instance has ended, and a
rollout that a platform drives has no such moment.
"""

from __future__ import annotations

from dataclasses import replace

from pilotage.entrypoint.place import Place
from pilotage.errors import Refused
from pilotage.events import Emit
from pilotage.manual import carry_out, manual_run
from pilotage.migrate.migration import Migrations
from pilotage.migrate.runner import SqlSchema
from pilotage.model import DeployState, Observed, Release, version_key
from pilotage.observe import World
from pilotage.plan import Goal, Layout, Policy
from pilotage.plan.halves import pending_expands
from pilotage.plan.playing import run_by
from pilotage.plan.rule import misfits, required_first
from pilotage.proxy.memory import MemoryProxy
from pilotage.record import trimmed
from pilotage.run import Run
from pilotage.steps import Step
from pilotage.store import Claim, Store
from pilotage.targets.memory import MemoryTarget
from pilotage.wiring.goals import check_files


async def prepare(
    place: Place, release: Release, files: Migrations, claim: Claim, emit: Emit
) -> tuple[Step, ...]:
    """Bring the schema to what the release ships; the steps that were taken.

    Raises
    ------
    Refused
        The rule forbids it, or another deployer has the lock: nothing was touched.
    DeployError
        It failed; ``state`` says what is applied.
    """
    service, stream = place.named()
    async with SqlSchema(
        url=place.url,
        migration_url=place.migration_url,
        stream=stream,
        service=service,
        settings=place.runner,
    ) as schema:
        # No host can be asked from in here. What runs shows by its registrations and its sessions.
        world = World(MemoryTarget(()), MemoryProxy(()), schema, Store(schema.document()))
        goal = Goal(release, Layout(service, ()), Policy(), files)
        async with manual_run(world, goal, claim, emit) as (run, observed):
            check_files(place.dialect, files, observed.schema)
            steps = _steps(observed, goal)
            await _record(run, release)
            await carry_out(run, steps)
            await _open(run, observed, release)
    return steps


def _steps(observed: Observed, goal: Goal) -> tuple[Step, ...]:
    pending = pending_expands(observed, goal)
    refusals = (
        *pending.refusals,
        *required_first(observed, run_by(pending.steps), goal.files),
        *misfits(observed, goal.release, pending.steps),
        *_shut(observed, goal.release),
    )
    if refusals:
        raise refusals[0]
    return pending.steps


def _shut(observed: Observed, release: Release) -> tuple[Refused, ...]:
    """New data that older code cannot read needs a switch, or that nothing older runs."""
    assert release.ships is not None
    shut = sorted(release.ships.breaks_old - observed.schema.applied.opened, key=version_key)
    if not shut:
        return ()
    names = {i.release for i in observed.alive}
    names |= {s.release for s in observed.schema.sessions or () if s.release}
    older = []
    for name in sorted(names - {release.id}):
        ships = observed.ships(name)
        if ships is None or not all(map(ships.ships_expand, shut)):
            older.append(name)
    if not older:
        return ()
    return (
        Refused(
            f"{', '.join(shut)} says new-data=breaks-old, and release {', '.join(older)} still runs, "
            "which could not read what this one writes",
            state="nothing was touched",
            next="stop the older release first, or deploy with `pilotage deploy`, which switches all "
            "at once",
        ),
    )


async def _record(run: Run, release: Release) -> None:
    """Write down what the release ships: its sessions carry its id, and nothing else says what it means."""

    def record(state: DeployState) -> DeployState:
        known = state.release(release.id)
        state = state.with_release(
            replace(release, deployed_at=known.deployed_at if known else None)
        )
        return replace(state, releases=trimmed(state))

    await run.world.store.update(record, token=run.token)


async def _open(run: Run, observed: Observed, release: Release) -> None:
    """What this release writes from now on may be there."""
    assert release.ships is not None
    shut = release.ships.breaks_old - observed.schema.applied.opened
    if shut:
        await run.world.schema.open(shut, token=run.token)
