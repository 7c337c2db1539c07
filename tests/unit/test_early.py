"""What may be begun before its turn, and what becomes of it when another step fails."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from pilotage.early import Early, overtaking
from pilotage.model import HalfRef, Instance, Kind
from pilotage.run import Run
from pilotage.steps import (
    ApplyHalf,
    Check,
    Confirm,
    Drain,
    EnsureProxy,
    Fetch,
    Finish,
    RunHook,
    Start,
    Step,
    Stop,
    Switch,
)


def instance(name: str, kind: Kind) -> Instance:
    return Instance(
        id=name, service="shop", role=str(kind), host="h", release=name, config="c", kind=kind
    )


OLD_WEB, NEW_WEB = (instance(name, Kind.TRAFFIC) for name in ("old-web", "new-web"))
OLD_JOB, NEW_JOB = (instance(name, Kind.WORKER) for name in ("old-job", "new-job"))

FETCH, EDGE = Fetch("sha"), EnsureProxy()
EXPAND = ApplyHalf(HalfRef.parse("1/expand"))
START, CHECK = Start((NEW_WEB,), "sha"), Check((NEW_WEB,))
SWITCH, CONFIRM = Switch("new", (NEW_WEB,)), Confirm((NEW_WEB,))
WORK, WORKS = Start((NEW_JOB,), "sha"), Check((NEW_JOB,))
LAY_OFF, DRAIN = Stop((OLD_JOB,)), Drain((OLD_WEB,), 30.0)
STOP, FINISH = Stop((OLD_WEB,)), Finish("new")
WHOLE = (
    FETCH, EXPAND, EDGE, START, CHECK, SWITCH, CONFIRM, WORK, WORKS, LAY_OFF, DRAIN, STOP, FINISH,
)  # fmt: skip


def begun(steps: Sequence[Step], at: Step) -> tuple[Step, ...]:
    """The steps that may be begun at the turn of one."""
    return tuple(steps[index] for index in overtaking(steps, steps.index(at)))


def test_image_and_edge_go_beside_the_release_phase() -> None:
    assert begun(WHOLE, FETCH) == (FETCH, EDGE)
    assert begun(WHOLE, EXPAND) == (EDGE,)


def test_a_hook_comes_before_what_follows_it() -> None:
    assert begun((FETCH, RunHook("pre-deploy", ".kamal/hooks/pre-deploy"), EDGE, START), FETCH) == (
        FETCH,
    )


def test_nothing_drains_before_the_switch_is_verified() -> None:
    for step in (START, CHECK, SWITCH, CONFIRM):
        assert begun(WHOLE, step) == ()
    assert begun((SWITCH, WORK, WORKS, LAY_OFF, DRAIN, STOP, FINISH), WORK) == ()
    in_turns = (SWITCH, Confirm((NEW_WEB,), rest=("h2",)), WORK, WORKS, LAY_OFF, DRAIN, STOP)
    assert begun(in_turns, WORK) == ()


def test_the_old_web_drains_beside_the_change_of_workers() -> None:
    assert begun(WHOLE, WORK) == (DRAIN,)
    assert begun(WHOLE, WORKS) == (DRAIN,)


def test_nothing_is_stopped_before_every_new_worker_was_checked() -> None:
    for step in WHOLE[: WHOLE.index(LAY_OFF)]:
        assert STOP not in begun(WHOLE, step)
    assert begun(WHOLE, LAY_OFF) == (DRAIN, STOP)
    # Workers that are not to overlap are stopped first: a new one is still to come.
    first = (CONFIRM, LAY_OFF, WORK, WORKS, DRAIN, STOP, FINISH)
    assert begun(first, LAY_OFF) == (DRAIN,)
    assert begun(first, WORKS) == (DRAIN,)


def test_without_workers_all_is_in_its_order() -> None:
    assert begun((CONFIRM, DRAIN, STOP, FINISH), DRAIN) == ()


def run_of(*steps: Step) -> Run:
    plan: Any = SimpleNamespace(steps=steps)
    run: Any = SimpleNamespace(plan=plan)
    return run  # type: ignore[no-any-return]


def test_what_is_stopped_has_drained() -> None:
    done: list[Step] = []

    async def perform(_run: Run, step: Step) -> None:
        await asyncio.sleep(0.01 if step is DRAIN else 0)
        done.append(step)

    async def story() -> None:
        async with Early(run_of(CONFIRM, LAY_OFF, DRAIN, STOP), perform) as early:
            early.begin(1)
            await early.perform(3)
        assert done == [DRAIN, STOP]

    asyncio.run(story())


def test_when_another_step_fails_nobody_waits_for_requests_and_the_rest_goes_to_its_end() -> None:
    done: list[Step] = []

    async def perform(_run: Run, step: Step) -> None:
        await asyncio.sleep(60 if step is DRAIN else 0.01)
        done.append(step)

    async def fail(steps: Sequence[Step], at: int) -> None:
        async with Early(run_of(*steps), perform) as early:
            early.begin(at)
            await asyncio.sleep(0)
            raise ValueError("another")

    async def story() -> None:
        async with asyncio.timeout(30):
            with pytest.raises(ValueError, match="another"):
                await fail((CONFIRM, WORK, LAY_OFF, DRAIN, STOP), 1)
            assert done == []
            with pytest.raises(ValueError, match="another"):
                await fail((FETCH, EDGE, START), 0)
            assert done == [FETCH, EDGE]

    asyncio.run(story())
