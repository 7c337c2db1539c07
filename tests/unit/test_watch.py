"""Deploys that are watched, in memory: what each verdict leads to, and with what it is compared."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest
from tests.unit.world import CLAIM, MemoryWorld, goal, up

from pilotage.deploy import deploy, rollback
from pilotage.errors import Refused, Worse
from pilotage.events import Event, Judged, StepFinished, StepStarted, Switched, Watched
from pilotage.model import DeployState, Role, Route, Sample, release_id
from pilotage.plan import Goal
from pilotage.verdict import Limits
from pilotage.watch import enough, window

V1, V2, V3 = release_id("v1"), release_id("v2"), release_id("v3")
QUICK = {"verify": 0.02, "step": 0.02, "limits": Limits(max_p99_ratio=2.0)}
CANARY = {**QUICK, "canary": (0.05, 0.25)}


def some(requests: int, errors: int = 0, ms: float = 20.0) -> Sample:
    return Sample(requests, errors, ((ms, requests),) if requests else ())


class Traffic(MemoryWorld):
    """A world in which each look at a release finds more requests, as ``answers`` has it.

    ``answers``: release → what comes at each look, for all requests; a share gets its part.
    """

    def __init__(self, answers: Mapping[str, Sample], **more: object) -> None:
        super().__init__(**more)  # type: ignore[arg-type]
        self.answers = dict(answers)
        self.shares: list[tuple[float, dict[str, float]]] = []

    def emit(self, event: Event) -> None:
        super().emit(event)
        if isinstance(event, Watched):
            self.pass_on()
            route = self.proxy.routes["localhost"]
            self.shares.append((event.share, shares(route)))

    def pass_on(self) -> None:
        """One round of requests."""
        for host, route in self.proxy.routes.items():
            for release, share in shares(route).items():
                told = self.answers.get(release, Sample())
                part = Sample(
                    round(told.requests * share),
                    round(told.errors * share),
                    tuple((ms, round(n * share)) for ms, n in told.latency),
                )
                known = self.proxy.answered.get((host, release), Sample())
                self.proxy.answered[host, release] = known + part

    def state(self) -> DeployState:
        return asyncio.run(self.store.read())

    def judged(self) -> list[str]:
        return [event.finding for event in self.events if isinstance(event, Judged)]


def shares(route: Route) -> dict[str, float]:
    found = {e.release: 1 - route.share for e in route.active}
    return found | {e.release: route.share for e in route.trial}


def served(answers: Mapping[str, Sample], *, rounds: int = 1, **more: object) -> Traffic:
    """A world in which release 1 serves, and has answered some requests."""
    world = Traffic(answers, **more)
    up(world, goal("v1"))
    for _ in range(rounds):
        world.pass_on()
    world.events.clear()
    return world


def all_of(release: str) -> list[str]:
    return [f"web@{release}", f"web@{release}", f"worker@{release}"]


# ----------------------------------------------------------------------------------------------
# After the switch
# ----------------------------------------------------------------------------------------------


def test_a_good_release_is_kept_and_its_verdict_written_down() -> None:
    world = served({V1: some(1000), V2: some(1000)})
    up(world, goal("v2", **QUICK))
    assert world.running() == all_of(V2)
    assert world.judged() == ["good"]
    entry = world.state().history[-1]
    assert entry.outcome == "done"
    assert entry.verdict.startswith("good: ")
    assert "0 % failed, p99 20 ms (before it 20 ms)" in entry.verdict
    spec = world.state().spec
    assert spec is not None
    assert spec.verified_at
    finished = [e.detail for e in world.events if isinstance(e, StepFinished) and e.kind == "Watch"]
    assert finished == [entry.verdict]


def test_a_bad_release_is_switched_back_and_nothing_old_was_stopped() -> None:
    world = served({V1: some(1000), V2: some(1000, 400)})
    old = {i.id for i in world.target.everything()}
    with pytest.raises(Worse) as failed:
        up(world, goal("v2", **QUICK))
    assert failed.value.what == (
        f"release {V2} answered worse: 400 of 1 000 requests failed (40 %), and at most 1 % may"
    )
    assert failed.value.state == f"release {V1} serves as before"
    assert failed.value.exit_status == 1
    assert {i.id for i in world.target.everything()} == old, "the same instances, never restarted"
    assert world.serving() == {V1}
    started = [e.step for e in world.events if isinstance(e, StepStarted)]
    assert not any("worker of v2" in step for step in started)
    spec, entry = world.state().spec, world.state().history[-1]
    assert spec is not None
    assert spec.aborted_reason == failed.value.what
    assert spec.finished_at
    assert (entry.outcome, entry.detail) == ("aborted", failed.value.what)
    assert entry.verdict == "worse: 400 of 1 000 requests failed (40 %), and at most 1 % may"
    with pytest.raises(Refused, match="was aborted before"):
        up(world, goal("v2", **QUICK))
    world.answers[V2] = some(1000)
    up(world, goal("v2", **QUICK), again=True)
    assert world.serving() == {V2}


def test_worse_is_said_before_the_time_is_over() -> None:
    world = served({V1: some(1000), V2: some(1000, 400)})
    with pytest.raises(Worse):
        up(world, goal("v2", **{**QUICK, "verify": 3600.0}))
    assert world.serving() == {V1}


def test_a_slow_release_is_switched_back() -> None:
    world = served({V1: some(1000), V2: some(1000, ms=100.0)})
    with pytest.raises(Worse, match="p99 is 100 ms where it was 20 ms, more than 2 times that"):
        up(world, goal("v2", **QUICK))
    assert world.serving() == {V1}


def test_too_few_requests_are_unverified_and_the_deploy_goes_on() -> None:
    world = served({V1: some(1000), V2: some(10, 10)})
    up(world, goal("v2", **QUICK))
    assert world.judged() == ["unverified"]
    assert world.running() == all_of(V2)
    assert world.state().history[-1].verdict == (
        "unverified: 10 requests came, and a judgement takes 50"
    )


def test_a_release_that_mends_a_broken_one_is_kept() -> None:
    world = served({V1: some(1000, 300), V2: some(1000, 30)})
    up(world, goal("v2", **QUICK))
    assert world.judged() == ["good"]


def test_a_first_deploy_is_judged_by_its_errors_alone() -> None:
    world = Traffic({V1: some(1000, ms=5000.0)})
    up(world, goal("v1", **QUICK))
    assert world.judged() == ["good"]
    broken = Traffic({V1: some(1000, 500)})
    with pytest.raises(Worse) as failed:
        up(broken, goal("v1", **QUICK))
    assert failed.value.state == "nothing serves: there was no release before"
    assert broken.running() == []


def test_a_rollback_is_watched_too() -> None:
    world = served({V1: some(1000), V2: some(1000)})
    up(world, goal("v2"))
    world.pass_on()
    world.answers[V1] = some(1000, 900)
    with pytest.raises(Worse):
        asyncio.run(rollback(world.world, goal("v1", **QUICK), CLAIM, world.emit))
    assert world.serving() == {V2}


def test_a_bad_configuration_of_the_same_release_is_taken_back() -> None:
    world = served({V1: some(1000)})
    world.answers[V1] = some(1000, 500)
    with pytest.raises(Worse) as failed:
        up(world, goal("v1", config="other", **QUICK))
    assert failed.value.state == "what ran before is as it was; what was started is stopped again"
    assert world.running() == all_of(V1)
    assert world.serving() == {V1}


# ----------------------------------------------------------------------------------------------
# The canary
# ----------------------------------------------------------------------------------------------


def test_a_canary_goes_up_in_stages() -> None:
    world = served({V1: some(10_000), V2: some(10_000)})
    up(world, goal("v2", **CANARY))
    assert world.judged() == ["good"] * 3
    stages = list(dict.fromkeys((share, tuple(sorted(got.items()))) for share, got in world.shares))
    assert stages == [
        (0.05, tuple(sorted({V1: 0.95, V2: 0.05}.items()))),
        (0.25, tuple(sorted({V1: 0.75, V2: 0.25}.items()))),
        (1.0, ((V2, 1.0),)),
    ]
    assert world.running() == all_of(V2)
    route = world.proxy.routes["localhost"]
    assert (route.trial, route.share, route.draining) == ((), 0.0, ())


def test_a_bad_canary_is_taken_back_before_any_switch() -> None:
    world = served({V1: some(10_000), V2: some(10_000, 5000)})
    with pytest.raises(Worse, match=f"release {V2} answered worse with 5 % of the requests: "):
        up(world, goal("v2", **CANARY))
    assert world.running() == all_of(V1)
    route = world.proxy.routes["localhost"]
    assert (route.trial, route.share, route.draining) == ((), 0.0, ())
    assert {e.release for e in route.active} == {V1}
    assert not any(isinstance(e, Switched) and e.release == V2 for e in world.events)
    spec = world.state().spec
    assert spec is not None
    assert spec.switched_at is None
    assert spec.aborted_reason


def test_a_canary_is_compared_with_the_same_time() -> None:
    """The old release was fast when the run began; both are slow now (a slow database, say)."""
    world = served({V1: some(10_000), V2: some(10_000, ms=200.0)})
    world.answers[V1] = some(10_000, ms=200.0)
    up(world, goal("v2", **CANARY))
    assert world.judged()[:2] == ["good", "good"]


def test_hosts_that_serve_nothing_get_no_trial() -> None:
    roles = (Role("web", ("localhost", "other"), traffic=True),)
    world = Traffic({V1: some(10_000), V2: some(10_000)}, hosts=("localhost", "other"))
    up(world, goal("v1", roles=(Role("web", ("localhost",), traffic=True),)))
    trials: list[tuple[str, Route]] = []
    apply = world.proxy.apply

    async def remembered(host: str, route: Route, **more: object) -> float:
        trials.append((host, route))
        return await apply(host, route, **more)

    world.proxy.apply = remembered  # type: ignore[method-assign]
    up(world, goal("v2", roles=roles, **CANARY))
    assert {host for host, route in trials if route.trial} == {"localhost"}
    assert world.serving() == {V2}
    assert set(world.proxy.routes) == {"localhost", "other"}


# ----------------------------------------------------------------------------------------------
# Crashes
# ----------------------------------------------------------------------------------------------


class Killed(BaseException):
    """The deployer is gone."""


def killed_when(world: Traffic, when: Callable[[Event], bool], wanted: Goal) -> None:
    emit = world.emit

    def kill(event: Event) -> None:
        emit(event)
        if when(event):
            raise Killed

    with pytest.raises(Killed):
        asyncio.run(deploy(world.world, wanted, CLAIM, kill))


def at_share(share: float) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, Watched) and event.share == share


@pytest.mark.parametrize("share", [0.05, 0.25, 1.0])
def test_killed_in_a_watch_and_run_again(share: float) -> None:
    world = served({V1: some(10_000), V2: some(10_000)})
    killed_when(world, at_share(share), goal("v2", **CANARY))
    world.events.clear()
    up(world, goal("v2", **CANARY))
    assert world.running() == all_of(V2)
    watched = list(dict.fromkeys(e.share for e in world.events if isinstance(e, Watched)))
    assert watched == [s for s in (0.05, 0.25, 1.0) if s >= share]


@pytest.mark.parametrize("share", [0.05, 1.0])
def test_killed_in_a_watch_and_found_worse_by_the_next(share: float) -> None:
    world = served({V1: some(10_000), V2: some(10_000)})
    killed_when(world, at_share(share), goal("v2", **CANARY))
    world.answers[V2] = some(10_000, 5000)
    with pytest.raises(Worse):
        up(world, goal("v2", **CANARY))
    assert world.running() == all_of(V1)
    assert world.proxy.routes["localhost"].endpoints == world.proxy.routes["localhost"].active


@pytest.mark.parametrize("share", [0.05, 1.0])
def test_killed_in_a_watch_and_rolled_back(share: float) -> None:
    world = served({V1: some(10_000), V2: some(10_000)})
    killed_when(world, at_share(share), goal("v2", **CANARY))
    asyncio.run(rollback(world.world, goal("v1", **CANARY), CLAIM, world.emit))
    assert world.running() == all_of(V1)
    assert world.proxy.routes["localhost"].trial == ()


def test_another_release_in_the_middle_of_a_canary() -> None:
    world = served({V1: some(10_000), V2: some(10_000), V3: some(10_000)})
    killed_when(world, at_share(0.25), goal("v2", **CANARY))
    up(world, goal("v3", **CANARY))
    assert world.running() == all_of(V3)
    assert world.proxy.routes["localhost"].endpoints == world.proxy.routes["localhost"].active


# ----------------------------------------------------------------------------------------------
# Windows
# ----------------------------------------------------------------------------------------------


def test_a_window_is_what_came_between() -> None:
    then = {"a": some(100, 1), "b": some(10)}
    now = {"a": some(150, 2), "b": some(10), "c": some(7)}
    assert window(now, then) == {"a": some(50, 1), "b": some(0), "c": some(7)}


def test_an_edge_that_began_anew_counts_from_there() -> None:
    assert window({"a": some(30, 3)}, {"a": some(1000, 1)}) == {"a": some(30, 3)}


def test_a_host_that_does_not_answer_is_not_counted() -> None:
    assert window({"a": some(30)}, {"a": some(10), "b": some(5)}) == {"a": some(20)}


def test_the_nearest_window_with_enough_in_it() -> None:
    few, more, all_ = {"a": some(10)}, {"a": some(40), "b": some(40)}, {"a": some(900)}
    assert enough((few, more, all_), Limits()).requests == 80
    assert enough((few, more, all_), Limits(min_requests=100)).requests == 900
    assert enough((few,), Limits()).requests == 10
