"""What a person reads of closed edges: in a plan, a status, a history, and where things stand."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import click
import pytest
from tests.unit.world import CLAIM, MemoryWorld, goal

from pilotage.cli.closing import replaced
from pilotage.cli.pages import history, plan, status
from pilotage.cli.pages.about import About
from pilotage.cli.standing import standing
from pilotage.deploy import boot, deploy, stop
from pilotage.errors import StartFailed
from pilotage.maintenance import close
from pilotage.model import Closure, DeployState, Front, HalfRef, HalfRow, Observed, release_id
from pilotage.observe import observe
from pilotage.page import maintenance, pause
from pilotage.plan import plan_deploy
from pilotage.source import Revision

ABOUT = About("shop")
V1, V2 = release_id("v1"), release_id("v2")


def printed(lines) -> str:
    return " ".join(click.unstyle("\n".join(lines)).split())


def served() -> MemoryWorld:
    world = MemoryWorld()
    asyncio.run(deploy(world.world, goal("v1"), CLAIM, world.emit))
    return world


def look(world: MemoryWorld) -> Observed:
    return asyncio.run(observe(world.world))


def shut(world: MemoryWorld, front: Front, message: str = "") -> None:
    layout = goal("v1").layout
    asyncio.run(close(world.world, layout, front, CLAIM, world.emit, message=message))


def failed() -> MemoryWorld:
    """A deploy with downtime to v2 has stopped everything, and v2 did not start."""
    world = served()
    world.target.unstartable.add(V2)
    with pytest.raises(StartFailed):
        asyncio.run(deploy(world.world, goal("v2"), CLAIM, world.emit, downtime=True))
    return world


def test_a_plan_with_downtime_says_what_stays_closed_when_it_fails():
    planned = plan_deploy(look(served()), goal("v2"), now=1.0, downtime=True)
    text = printed(plan.page(ABOUT, Revision("b" * 40, "main"), planned))
    assert "3 MAINTENANCE on localhost: new requests are answered with 503" in text
    assert f"1–2 {V1} serves as before" in text
    assert "3–12 the edges stay closed, and the same command goes on from there" in text
    assert f"until the point of no return `pilotage rollback {V1}` goes back" in text
    assert f"13 {V2} serves" in text
    assert planned.to_json()["downtime"] is True


def test_a_status_says_who_stopped_what_and_when():
    world, one = served(), goal("v1")
    now = asyncio.run(world.store.now())
    for number, role in enumerate(("worker", "web")):
        by = replace(CLAIM, owner=f"person-{number}")
        asyncio.run(stop(world.world, one, {("localhost", role)}, by, world.emit))
        asyncio.run(stop(world.world, one, {("localhost", role)}, CLAIM, world.emit))
    observed = look(world)
    text = printed(status.page(ABOUT, observed, now + 300))
    for number, role in enumerate(("worker", "web")):
        assert f"! {role} on localhost: stopped by person-{number}, " in text
    assert text.count("`pilotage app start` starts it again") == 2
    rows = status.to_json(ABOUT, observed, now)["stopped"]
    assert [(row["host"], row["role"], row["who"]) for row in rows] == [
        ("localhost", "worker", "person-0"),
        ("localhost", "web", "person-1"),
    ]
    state = observed.state
    assert DeployState.from_json(state.to_json()) == state
    asyncio.run(boot(world.world, one, {("localhost", "web")}, CLAIM, world.emit))
    text = printed(status.page(ABOUT, look(world), now))
    assert "worker on localhost: stopped by" in text
    assert "web on localhost: stopped by" not in text


def test_a_status_says_who_closed_since_when_and_what_ends_it():
    world = served()
    shut(world, maintenance("tea"), "tea")
    world.target.state.advance(90)
    observed, now = look(world), asyncio.run(world.store.now())
    text = printed(status.page(ABOUT, observed, now))
    assert "maintenance is on, by tester, since 1 min 30 s, saying: tea; `pilotage live`" in text
    assert "last: maintenance by tester, done" in text
    shown = status.to_json(ABOUT, observed, now)
    assert (shown["closure"]["message"], shown["astray"]) == ("tea", [])


def test_a_status_says_where_the_edge_does_something_else():
    world = served()
    shut(world, pause(5.0))
    route = world.proxy.routes["localhost"]
    world.proxy.routes["localhost"] = replace(route, front=None)
    text = printed(status.page(ABOUT, look(world), 0.0))
    assert "the edges of localhost do not show it: run `pilotage pause` again" in text

    world = served()
    route = world.proxy.routes["localhost"]
    world.proxy.routes["localhost"] = replace(route, front=maintenance())
    text = printed(status.page(ABOUT, look(world), 0.0))
    assert "the edges of localhost are still closed: run `pilotage live` again" in text


def test_where_a_deploy_with_downtime_stands_that_was_left():
    stands = standing(look(failed()))
    assert stands.state == f"the deploy to {V2} is unfinished, in maintenance; nothing serves"
    assert stands.next == (
        f"`pilotage deploy --version {V2}` goes on, or `pilotage rollback {V1}` goes back"
    )
    assert not stands.settled


def test_a_way_back_is_not_offered_once_it_is_barred():
    observed = look(failed())
    gone = HalfRow(HalfRef.parse("9/contract"), started_at=1.0)
    observed = replace(observed, schema=replace(observed.schema, rows=(gone,)))
    assert standing(observed).next == f"`pilotage deploy --version {V2}` goes on"


def test_a_history_shows_what_was_said():
    world = served()
    shut(world, maintenance("tea"), "tea time")
    rows = printed(history.page(asyncio.run(world.store.read()).history[::-1]))
    assert "maintenance done" in rows
    assert "tea time" in rows


@pytest.mark.parametrize(
    ("before", "mode", "said"),
    [
        (None, "pause", ""),
        (Closure(maintenance(), "person", "ada"), "maintenance", "it was on already"),
        (Closure(maintenance(), "person", "ada"), "pause", "the maintenance by ada is over"),
        (Closure(pause(1.0), "person", "ada"), "maintenance", "the pause by ada is over"),
        (Closure(maintenance(), "deploy", "ada"), "maintenance", "will not end it"),
    ],
)
def test_what_a_new_closure_takes_the_place_of(before, mode, said):
    assert said in replaced(before, mode)
    assert bool(said) is bool(replaced(before, mode))
