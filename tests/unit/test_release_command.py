"""A framework's command in an instance of its own: run once, joined, run again when it failed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tests.unit.linear import LINEAR, LinearDatabase, chain
from tests.unit.world import CLAIM, ROLES

from pilotage import deploy as verb
from pilotage.errors import Blocked, HalfFailed, PilotageError
from pilotage.events import Event, Note, Output
from pilotage.migrate.migration import Migrations
from pilotage.model import Kind, Registration, Release, Ships
from pilotage.observe import World
from pilotage.plan import Goal, Layout, Policy
from pilotage.proxy.memory import MemoryProxy
from pilotage.release_command import instance_of
from pilotage.store import Claim, Store, hold
from pilotage.targets.base import Job, OnOutput
from pilotage.targets.memory import MemoryTarget

ONE, TWO = chain("e1"), chain("e1", "e2", "c3")


class Shop:
    """A world whose framework's command does what ``tool`` says; ``jobs`` counts its runs."""

    def __init__(self, known: bool = True) -> None:
        self.database = LinearDatabase(known=known)
        self.jobs: list[Job] = []
        self.events: list[Event] = []
        self.tool: Callable[[Job], Awaitable[int]] = self.works
        self.target = MemoryTarget(run=self._run)
        self.proxy = MemoryProxy(
            ("localhost",), reachable=self.target.answers, admit=self.target.admit
        )
        self.world = World(
            self.target, self.proxy, self.database, Store(self.target.state), self.database
        )

    async def _run(self, job: Job, output: OnOutput) -> int:
        self.jobs.append(job)
        output(f"run {len(self.jobs)}")
        return await self.tool(job)

    async def works(self, job: Job) -> int:
        """Applies whatever is known and not applied, up to contract halves."""
        self.database.applied |= {m.version for m in self.database.files if m.expand}
        return 0

    def deploy(self, name: str, files: Migrations) -> object:
        self.database.learn(files)
        goal = Goal(
            Release(name, name, files.ships()),
            Layout("shop", ROLES, {}),
            Policy(patience=0.0),
            files,
        )
        return asyncio.run(verb.deploy(self.world, goal, CLAIM, self.events.append))

    def serving(self) -> set[str]:
        return {e.release for route in self.proxy.routes.values() for e in route.active}


def test_it_runs_once_as_an_instance_of_its_own_and_is_forgotten():
    shop = Shop()
    shop.deploy("one", ONE)
    (job,) = shop.jobs
    assert job.instance.kind is Kind.ONCE
    assert job.instance.role == "web"
    assert job.revision == "one"
    assert job.argv == ("/bin/sh", "-c", "tool up")
    assert job.timeout == 60.0
    assert Output(source="migrate", line="run 1").line in [
        e.line for e in shop.events if isinstance(e, Output)
    ]
    assert job.instance.id not in shop.database.registered
    assert shop.serving() == {"one"}
    shop.deploy("one", ONE)
    assert len(shop.jobs) == 1


def test_a_command_that_fails_leaves_the_old_release_and_runs_again():
    shop = Shop()
    shop.deploy("one", ONE)

    async def fails(job: Job) -> int:
        return 3

    shop.tool = fails
    for _ in range(2):
        with pytest.raises(
            HalfFailed, match=r"`tool up` exited 3; its last output:\n    run"
        ) as said:
            shop.deploy("two", TWO)
        assert "one serves" in said.value.state
        assert shop.serving() == {"one"}
    assert len(shop.jobs) == 3
    assert not [r for r in shop.database.registered.values() if r.kind is Kind.ONCE]
    shop.tool = shop.works
    shop.deploy("two", TWO)
    assert shop.serving() == {"two"}


def test_well_ended_and_nothing_applied_is_not_believed():
    shop = Shop()

    async def lies(job: Job) -> int:
        return 0

    shop.tool = lies
    with pytest.raises(HalfFailed, match="left something out"):
        shop.deploy("one", ONE)
    assert not shop.serving()


async def _killed(shop: Shop, name: str, files: Migrations, status: int | None) -> None:
    """A deployer that is gone while its command runs: the job stays, with its registration."""
    shop.database.learn(files)
    going = asyncio.Event()

    async def tool(job: Job) -> int:
        await going.wait()
        if status == 0:
            await shop.works(job)
        return status or 0

    shop.tool = tool
    goal = Goal(
        Release(name, name, files.ships()), Layout("shop", ROLES, {}), Policy(patience=0.0), files
    )
    first = asyncio.create_task(_until_cut_off(shop, goal))
    while not shop.jobs:
        await asyncio.sleep(0)
    shop.tool = shop.works
    second = asyncio.create_task(verb.deploy(shop.world, goal, CLAIM, shop.events.append))
    await asyncio.sleep(0.3)
    assert len(shop.jobs) == 1, "the second did not wait"
    going.set()
    await second
    await asyncio.gather(first, return_exceptions=True)


async def _until_cut_off(shop: Shop, goal: Goal) -> None:
    """The first deployer: its lease is taken over at once, since its clock says that it is over."""
    await verb.deploy(shop.world, goal, Claim("first", ttl=0.0), shop.events.append)


@pytest.mark.parametrize("status", [0, 7])
def test_one_that_is_left_running_is_waited_for(status):
    """And run again only when it did not do its work."""
    shop = Shop()
    asyncio.run(_killed(shop, "one", ONE, status))
    assert len(shop.jobs) == (1 if status == 0 else 2)
    assert any("running still" in e.text for e in shop.events if isinstance(e, Note))
    assert shop.serving() == {"one"}


def test_without_a_status_what_is_recorded_of_an_earlier_run_counts():
    """A deployer died right after its command had ended: the next one does not run it again."""
    shop = Shop(known=False)
    empty = Migrations({}, LINEAR.__class__("tool", "tool up", known=False, always=True))
    from pilotage.migrate.base import Command

    instance = instance_of(
        Release("one", "one", Ships()), Command("tool up", "shop", "web", "localhost", 60.0)
    )

    async def before() -> None:
        async with hold(shop.world.store, CLAIM, shop.events.append) as lease:
            await shop.target.fetch("one")
            job = Job(instance, "one", ("/bin/sh", "-c", "tool up"))

            async def gate() -> None: ...

            await shop.target.run_once(job, token=lease.token, gate=gate, output=lambda line: None)

    asyncio.run(before())
    assert len(shop.jobs) == 1
    shop.deploy("one", empty)
    assert len(shop.jobs) == 1
    assert shop.serving() == {"one"}
    shop.deploy("two", empty)
    assert len(shop.jobs) == 2


def test_one_that_may_run_where_nobody_can_look_is_a_reason_to_stop():
    shop = Shop()
    shop.database.registered["shop-migrate-one-1"] = Registration(
        "shop-migrate-one-1", "shop", "elsewhere", "one", ONE.ships(), Kind.ONCE
    )
    with pytest.raises(Blocked, match="was begun on elsewhere, which does not answer"):
        shop.deploy("one", ONE)
    assert not shop.jobs


def test_a_contract_half_counts_from_the_moment_its_command_began():
    shop = Shop()
    shop.deploy("one", ONE)
    shop.deploy("two", TWO)
    three = chain("e1", "e2", "c3", "e4")

    async def fails(job: Job) -> int:
        return 1

    shop.tool = fails
    with pytest.raises(PilotageError):
        shop.deploy("three", three)
    assert "c3" in asyncio.run(shop.database.view()).applied.contracted

    async def all_of_it(job: Job) -> int:
        shop.database.applied |= {m.version for m in shop.database.files}
        return 0

    shop.tool = all_of_it
    shop.deploy("three", three)
    assert shop.serving() == {"three"}
