"""`pilotage.targets.base.Target`, sentence by sentence, for every target."""

from __future__ import annotations

import asyncio

import pytest
from tests.contract.target.kits import Kit, Said, instance_of

from pilotage.errors import LeaseLost, Misfit, StartFailed, TargetError, Unhealthy
from pilotage.model import Instance, Kind, Life

pytestmark = pytest.mark.integration


async def open_gate() -> None:
    """A gate that lets everything through."""


async def seen(kit: Kit, id: str) -> Instance | None:
    view = await kit.another().observe()
    return next((instance for instance in view.instances if instance.id == id), None)


async def dead(kit: Kit, id: str) -> Instance:
    """Wait until the target notices (the kernel takes a moment to end a process)."""
    async with asyncio.timeout(60):
        while (instance := await seen(kit, id)) is None or instance.alive:
            await asyncio.sleep(0.005)
    return instance


def test_observing_with_authority_shuts_earlier_deployers_out(kit):
    async def story():
        await kit.target.observe(token=5)
        with pytest.raises(LeaseLost):
            await kit.another().observe(token=4)
        with pytest.raises(LeaseLost):
            await kit.another().stop(instance_of(kit, "web-1"), token=4)
        await kit.another().observe()
        await kit.another().observe(token=5)

    kit.run(story())


def test_an_empty_target_has_its_hosts_and_no_instances(kit):
    async def story():
        view = await kit.target.observe()
        assert [(host.name, host.reachable) for host in view.hosts] == [(kit.host, True)]
        assert view.instances == ()

    kit.run(story())


def test_fetch_is_idempotent(kit):
    async def story():
        await kit.target.fetch(kit.revision)
        await kit.target.fetch(kit.revision)

    kit.run(story())


def test_a_started_instance_has_an_address_and_is_observed_with_what_it_was_started_with(kit):
    async def story():
        wanted = instance_of(kit, "web-1")
        await kit.target.fetch(kit.revision)
        started = await kit.target.start(wanted, kit.revision, token=1, gate=open_gate)
        assert started.address
        observed = await seen(kit, "web-1")
        assert observed is not None
        assert observed.life in (Life.STARTING, Life.RUNNING)
        for name in ("id", "service", "role", "host", "release", "config", "kind", "index"):
            assert getattr(observed, name) == getattr(wanted, name), name
        assert observed.address == started.address
        assert kit.lives("web-1")

    kit.run(story())


def test_instances_have_addresses_of_their_own(kit):
    async def story():
        await kit.target.fetch(kit.revision)
        started = await asyncio.gather(
            *(
                kit.target.start(
                    instance_of(kit, f"web-{n}"), kit.revision, token=1, gate=open_gate
                )
                for n in range(4)
            )
        )
        assert len({instance.address for instance in started}) == 4

    kit.run(story())


def test_at_the_gate_the_instance_is_on_record_and_does_not_live(kit):
    async def story():
        await kit.target.fetch(kit.revision)
        at_the_gate = []

        async def gate():
            at_the_gate.append((await seen(kit, "web-1"), kit.lives("web-1")))

        await kit.target.start(instance_of(kit, "web-1"), kit.revision, token=1, gate=gate)
        ((record, lived),) = at_the_gate
        assert record is not None
        assert record.life is Life.STARTING
        assert not lived

    kit.run(story())


def test_a_gate_that_refuses_takes_the_record_back_and_its_error_goes_on(kit):
    async def story():
        await kit.target.fetch(kit.revision)

        async def gate():
            raise Misfit("it would not fit")

        with pytest.raises(Misfit, match="would not fit"):
            await kit.target.start(instance_of(kit, "web-1"), kit.revision, token=1, gate=gate)
        assert await seen(kit, "web-1") is None
        assert not kit.lives("web-1")

    kit.run(story())


def test_cancelled_at_the_gate_nothing_is_left(kit):
    async def story():
        await kit.target.fetch(kit.revision)
        reached = asyncio.Event()

        async def gate():
            reached.set()
            await asyncio.Event().wait()

        start = asyncio.create_task(
            kit.target.start(instance_of(kit, "web-1"), kit.revision, token=1, gate=gate)
        )
        await reached.wait()
        start.cancel()
        with pytest.raises(asyncio.CancelledError):
            await start
        assert await seen(kit, "web-1") is None
        assert not kit.lives("web-1")

    kit.run(story())


def test_starting_what_is_alive_starts_nothing(kit):
    async def story():
        await kit.target.fetch(kit.revision)
        wanted = instance_of(kit, "web-1")
        first = await kit.target.start(wanted, kit.revision, token=1, gate=open_gate)

        async def gate():
            raise AssertionError("nothing is to be started")

        again = await kit.another().start(wanted, kit.revision, token=1, gate=gate)
        assert again.address == first.address

    kit.run(story())


def test_a_start_that_fails_leaves_no_record(kit):
    async def story():
        await kit.target.fetch(kit.revision)
        wanted = instance_of(kit, "web-1")
        kit.cannot_launch(wanted)
        with pytest.raises(StartFailed):
            await kit.target.start(wanted, kit.revision, token=1, gate=open_gate)
        assert await seen(kit, "web-1") is None

    kit.run(story())


def test_a_healthy_instance_passes_its_check(kit):
    async def story():
        await kit.target.fetch(kit.revision)
        started = await kit.target.start(
            instance_of(kit, "web-1"), kit.revision, token=1, gate=open_gate
        )
        assert await kit.target.check(started) >= 0
        assert await kit.target.check(started, limit=0) >= 0

    kit.run(story())


def test_one_that_is_booted_is_healthy_once_and_joined_when_it_lives(kit):
    async def story():
        await kit.target.fetch(kit.revision)
        wanted = instance_of(kit, "web-1")
        for _ in range(2):
            booted = await kit.target.boot(
                wanted, kit.revision, limit=30, token=1, gate=open_gate, output=Said()
            )
            assert await kit.target.check(booted, limit=0) >= 0
        assert kit.lives("web-1")
        assert await kit.target.stop(booted, token=1) is False
        assert not kit.lives("web-1")

    kit.run(story())


def test_one_that_cannot_be_launched_is_not_booted(kit):
    async def story():
        await kit.target.fetch(kit.revision)
        wanted = instance_of(kit, "web-1")
        kit.cannot_launch(wanted)
        with pytest.raises(StartFailed):
            await kit.target.boot(
                wanted, kit.revision, limit=30, token=1, gate=open_gate, output=Said()
            )
        assert await seen(kit, "web-1") is None

    kit.run(story())


def test_a_sick_instance_does_not(kit):
    async def story():
        await kit.target.fetch(kit.revision)
        started = await kit.target.start(
            instance_of(kit, "sick-1", role="sick"), kit.revision, token=1, gate=open_gate
        )
        with pytest.raises(Unhealthy):
            await kit.target.check(started, limit=0.5)

    kit.run(story())


def test_a_dead_instance_does_not_and_stays_listed_until_it_is_stopped(kit):
    async def story():
        await kit.target.fetch(kit.revision)
        started = await kit.target.start(
            instance_of(kit, "web-1"), kit.revision, token=1, gate=open_gate
        )
        await kit.target.check(started)
        kit.kill(started)
        found = await dead(kit, "web-1")
        assert found.life is Life.DEAD
        assert found.detail
        with pytest.raises(Unhealthy):
            await kit.target.check(started)
        assert await kit.target.stop(started, token=1) is False
        assert await seen(kit, "web-1") is None

    kit.run(story())


def test_a_dead_instance_can_be_started_again(kit):
    async def story():
        await kit.target.fetch(kit.revision)
        wanted = instance_of(kit, "web-1")
        started = await kit.target.start(wanted, kit.revision, token=1, gate=open_gate)
        kit.kill(started)
        await dead(kit, "web-1")
        again = await kit.target.start(wanted, kit.revision, token=1, gate=open_gate)
        await kit.target.check(again)
        assert kit.lives("web-1")

    kit.run(story())


def test_stop_ends_it_forgets_it_and_may_be_repeated(kit):
    async def story():
        await kit.target.fetch(kit.revision)
        started = await kit.target.start(
            instance_of(kit, "web-1"), kit.revision, token=1, gate=open_gate
        )
        await kit.target.check(started)
        assert await kit.target.stop(started, token=1) is False
        assert not kit.lives("web-1")
        assert await seen(kit, "web-1") is None
        assert await kit.target.stop(started, token=1) is False

    kit.run(story())


def test_a_lower_token_changes_nothing(kit):
    async def story():
        await kit.target.fetch(kit.revision)
        old = await kit.target.start(
            instance_of(kit, "web-1"), kit.revision, token=1, gate=open_gate
        )
        await kit.another().start(instance_of(kit, "web-2"), kit.revision, token=2, gate=open_gate)
        with pytest.raises(LeaseLost):
            await kit.target.stop(old, token=1)
        with pytest.raises(LeaseLost):
            await kit.target.start(instance_of(kit, "web-3"), kit.revision, token=1, gate=open_gate)
        job = kit.job("job-1", lines=(), status=0, until=None)
        with pytest.raises(LeaseLost):
            await kit.target.run_once(job, token=1, gate=open_gate, output=Said())
        assert kit.lives("web-1")
        assert await seen(kit, "web-3") is None
        assert kit.runs("job-1") == 0

    kit.run(story())


def test_a_console_needs_no_token(kit):
    async def story():
        await kit.target.fetch(kit.revision)
        await kit.target.start(instance_of(kit, "web-1"), kit.revision, token=7, gate=open_gate)
        job = kit.job("job-1", lines=("hello",), status=0, until=None)
        assert await kit.target.run_once(job, token=None, gate=open_gate, output=Said()) == 0

    kit.run(story())


def test_a_job_prints_its_lines_and_returns_its_exit_status(kit):
    async def story():
        await kit.target.fetch(kit.revision)
        job = kit.job("job-1", lines=("one", "two"), status=3, until=None)
        said = Said()
        assert await kit.target.run_once(job, token=1, gate=open_gate, output=said) == 3
        assert said.lines == ["one", "two"]

    kit.run(story())


def test_a_job_that_has_ended_is_not_run_again(kit):
    async def story():
        await kit.target.fetch(kit.revision)
        job = kit.job("job-1", lines=(), status=3, until=None)
        for target in (kit.target, kit.another()):
            assert await target.run_once(job, token=1, gate=open_gate, output=Said()) == 3
        assert kit.runs("job-1") == 1

    kit.run(story())


def test_a_job_that_is_running_is_joined(kit, tmp_path):
    async def story():
        await kit.target.fetch(kit.revision)
        go = tmp_path / "go"
        job = kit.job("job-1", lines=("begun",), status=4, until=go)
        said = Said()
        first = asyncio.create_task(kit.target.run_once(job, token=1, gate=open_gate, output=said))
        async with asyncio.timeout(60):
            while not said.lines:
                await asyncio.sleep(0.005)
        second = asyncio.create_task(
            kit.another().run_once(job, token=1, gate=open_gate, output=Said())
        )
        await asyncio.sleep(0)
        observed = await seen(kit, "job-1")
        assert observed is not None
        assert observed.kind is Kind.ONCE
        go.touch()
        assert await asyncio.gather(first, second) == [4, 4]
        assert kit.runs("job-1") == 1

    kit.run(story())


def test_a_job_that_was_stopped_is_forgotten_and_runs_again(kit):
    async def story():
        await kit.target.fetch(kit.revision)
        job = kit.job("job-1", lines=(), status=3, until=None)
        for _ in range(2):
            assert await kit.target.run_once(job, token=1, gate=open_gate, output=Said()) == 3
        assert kit.runs("job-1") == 1
        await kit.target.stop(job.instance, token=1)
        assert await kit.target.run_once(job, token=1, gate=open_gate, output=Said()) == 3
        assert kit.runs("job-1") == 2

    kit.run(story())


def test_a_job_outlives_its_caller_and_is_joined_later(kit, tmp_path):
    async def story():
        await kit.target.fetch(kit.revision)
        go = tmp_path / "go"
        job = kit.job("job-1", lines=("begun",), status=5, until=go)
        said = Said()
        caller = asyncio.create_task(kit.target.run_once(job, token=1, gate=open_gate, output=said))
        async with asyncio.timeout(60):
            while not said.lines:
                await asyncio.sleep(0.005)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        go.touch()
        assert await kit.another().run_once(job, token=1, gate=open_gate, output=Said()) == 5
        assert kit.runs("job-1") == 1

    kit.run(story())


def test_two_callers_at_the_gate_run_a_job_once(kit):
    async def story():
        await kit.target.fetch(kit.revision)
        job = kit.job("job-1", lines=(), status=6, until=None)
        both = asyncio.Barrier(2)

        async def gate():
            await both.wait()

        results = await asyncio.gather(
            kit.target.run_once(job, token=1, gate=gate, output=Said()),
            kit.another().run_once(job, token=1, gate=gate, output=Said()),
        )
        assert results == [6, 6]
        assert kit.runs("job-1") == 1

    kit.run(story())


def test_a_gate_that_refuses_runs_no_job(kit):
    async def story():
        await kit.target.fetch(kit.revision)
        job = kit.job("job-1", lines=(), status=0, until=None)

        async def gate():
            raise Misfit("it would not fit")

        with pytest.raises(Misfit):
            await kit.target.run_once(job, token=1, gate=gate, output=Said())
        assert await seen(kit, "job-1") is None
        assert kit.runs("job-1") == 0

    kit.run(story())


def test_the_state_document_is_swapped_only_at_the_version_that_was_read(kit):
    async def story():
        mine, other = kit.target.state, kit.another().state
        assert await mine.read() == (0, {})
        assert await mine.write({"n": 1}, expected=0)
        assert not await other.write({"n": 2}, expected=0)
        assert await other.read() == (1, {"n": 1})
        assert await other.write({"n": 2}, expected=1)
        assert await mine.read() == (2, {"n": 2})
        assert await mine.now() > 0

    kit.run(story())


def test_of_many_writers_at_one_version_one_wins(kit):
    async def story():
        documents = [kit.another().state for _ in range(8)]
        won = await asyncio.gather(
            *(document.write({"n": n}, expected=0) for n, document in enumerate(documents))
        )
        assert won.count(True) == 1
        assert await kit.target.state.read() == (1, {"n": won.index(True)})

    kit.run(story())


def test_a_revision_that_cannot_be_had_is_an_error(kit):
    async def story():
        gone = "0" * 40
        if hasattr(kit.target, "unfetchable"):
            kit.target.unfetchable.add(gone)
        with pytest.raises(TargetError):
            await kit.target.fetch(gone)

    kit.run(story())


def test_an_instance_that_nobody_knows_is_not_healthy_and_need_not_be_stopped(kit):
    async def story():
        with pytest.raises(Unhealthy):
            await kit.target.check(instance_of(kit, "nobody"), limit=0)
        assert await kit.target.stop(instance_of(kit, "nobody"), token=1) is False

    kit.run(story())
