"""One instance that starts first, alone: in plans, and when it fails."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.config.test_load import load
from tests.unit.world import MemoryWorld, goal, up

from pilotage.errors import Unhealthy
from pilotage.model import Role, release_id
from pilotage.observe import observe
from pilotage.plan import Goal, plan_deploy
from pilotage.steps import Check, Start, StartFirst, Step
from pilotage.targets.shared.health import Patience
from pilotage.wiring.first import first_alone, hints

HOSTS = ("a", "b")
ROLES = (Role("web", HOSTS, traffic=True), Role("job", ("a",)))
V1, V2 = release_id("v1"), release_id("v2")


def v(number: int, first: float | None = 600.0) -> Goal:
    return goal(f"v{number}", roles=ROLES, first=first)


def starts(steps: tuple[Step, ...]) -> list[tuple[str, list[str]]]:
    return [
        (step.kind, [f"{i.role}@{i.host}" for i in step.instances])
        for step in steps
        if isinstance(step, (Start, Check))
    ]


def planned(world: MemoryWorld, wanted: Goal) -> list[tuple[str, list[str]]]:
    observed = asyncio.run(observe(world.world))
    return starts(plan_deploy(observed, wanted, now=1.0).steps)


def test_one_of_the_web_starts_before_the_others() -> None:
    assert planned(MemoryWorld(HOSTS), v(1)) == [
        ("StartFirst", ["web@a"]),
        ("Start", ["web@b"]),
        ("Check", ["web@a", "web@b"]),
        ("Start", ["job@a"]),
        ("Check", ["job@a"]),
    ]


def test_all_start_together_where_nothing_is_prepared() -> None:
    assert planned(MemoryWorld(HOSTS), v(1, None))[0] == ("Start", ["web@a", "web@b"])


def test_one_that_was_left_in_the_middle_is_waited_for_first() -> None:
    world = MemoryWorld(HOSTS)
    first = v(1).layout.wanted(v(1).release)[0]
    asyncio.run(world.target.fetch("v1"))

    async def passes() -> None:
        pass

    asyncio.run(world.target.start(first, "v1", token=1, gate=passes))
    assert planned(world, v(1))[:2] == [("StartFirst", ["web@a"]), ("Start", ["web@b"])]


def test_what_runs_to_its_end_is_not_waited_for_again() -> None:
    world = MemoryWorld(HOSTS)
    up(world, v(1))
    assert planned(world, v(1)) == []
    worker = next(i for i in world.target.everything() if i.role == "job")
    world.target.kill(worker.id)
    assert [kind for kind, _ in planned(world, v(1))] == ["Check", "Start", "Check"]
    web = next(i for i in world.target.everything() if i.host == "b")
    world.target.kill(web.id)
    assert planned(world, v(1))[0] == ("StartFirst", ["web@a"])


def test_where_it_fails_nothing_else_is_started() -> None:
    world = MemoryWorld(HOSTS)
    up(world, v(1))
    world.target.unfit.add(V2)
    with pytest.raises(Unhealthy) as failed:
        up(world, v(2))
    assert failed.value.state == f"release {V1} serves as before"
    assert world.running() == [f"job@{V1}", f"web@{V1}", f"web@{V1}"]
    assert sum(host.started for host in world.target.hosts.values()) == 4


def test_the_step_says_who_and_for_how_long() -> None:
    step = StartFirst(v(1).layout.wanted(v(1).release)[:1], "v1", 600.0)
    assert step.describe() == (
        "start 1 × web of v1 on a first, alone, and wait until healthy: its entrypoint has 600 s to "
        "prepare the database"
    )


# ----------------------------------------------------------------------------------------------
# The configuration
# ----------------------------------------------------------------------------------------------

DOCKER = """\
service: shop
image: acme/shop
servers: [10.0.0.1, 10.0.0.2]
registry: {server: r.example.com, username: me, password: [P]}
builder: {arch: amd64}
"""
DATABASE = "databases: {primary: sqlite:///shop.db}\n"


@pytest.mark.parametrize(
    ("more", "seconds"),
    [
        ("", 600.0),
        ("migrations: {engine: entrypoint}\n", 3600.0),
        ("migrations: {engine: entrypoint, timeout: 2h}\n", 7200.0),
        ("migrations: {engine: none}\n", None),
        (f"{DATABASE}migrations: {{engine: rails}}\n", None),
        (DATABASE, None),
    ],
)
def test_who_starts_one_first(tmp_path: Path, more: str, seconds: float | None) -> None:
    assert first_alone(load(tmp_path, DOCKER + more)) == seconds


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("", "so one instance starts first, alone; in a release phase"),
        ("migrations: {engine: entrypoint}\n", "nothing is guaranteed"),
        ("migrations: {engine: none}\n", "every instance do that at once"),
        (
            f"{DATABASE}migrations: {{engine: rails}}\n",
            "as well, which knows of no half that is held",
        ),
    ],
)
def test_a_script_that_migrates_is_told_of(tmp_path: Path, more: str, says: str) -> None:
    script = tmp_path / "bin" / "docker-entrypoint"
    script.parent.mkdir()
    script.write_text('#!/bin/bash -e\n# not db:migrate\n./bin/rails db:prepare\nexec "${@}"\n')
    (hint,) = hints(load(tmp_path, DOCKER + more))
    assert says in hint
    script.write_text('#!/bin/bash -e\n# ./bin/rails db:prepare\nexec "${@}"\n')
    assert bool(hints(load(tmp_path, DOCKER + more))) == ("entrypoint" in more)


# ----------------------------------------------------------------------------------------------
# Patience
# ----------------------------------------------------------------------------------------------


def test_the_time_of_its_health_begins_with_its_first_connection() -> None:
    patience = Patience(5.0, quiet=60.0)
    assert patience.given == 60.0
    assert 59 < patience.left <= 60

    async def connect(host: str, port: int) -> object:
        if port == 1:
            raise ConnectionRefusedError
        return object()

    hearing = patience.hearing(connect)  # type: ignore[arg-type]
    with pytest.raises(ConnectionRefusedError):
        asyncio.run(hearing("h", 1))  # type: ignore[arg-type]
    assert patience.given == 60.0
    asyncio.run(hearing("h", 2))  # type: ignore[arg-type]
    assert patience.given == 5.0
    assert 4 < patience.left <= 5
    assert replace(patience, quiet=0.0).given == 5.0
