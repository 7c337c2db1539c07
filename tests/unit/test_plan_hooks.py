"""Where hooks stand among the steps of a plan."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import wraps

import pytest
from tests.unit.world import CLAIM, MemoryWorld, goal

from pilotage.deploy import deploy
from pilotage.model import Spec, contract
from pilotage.observe import observe
from pilotage.plan import Plan, plan_contract, plan_deploy, plan_rollback
from pilotage.plan.hooks import with_hooks
from pilotage.steps import Contract, EnsureProxy, Finish

HOOKS = {name: f"hooks/{name}" for name in ("pre-deploy", "pre-app-boot", "post-app-boot")}
ALL = tuple(HOOKS)

ONE, TWO = goal("1" * 40), goal("2" * 40)


def run(test: Callable[..., Coroutine[None, None, None]]) -> Callable[..., None]:
    """A test that is a coroutine."""

    @wraps(test)
    def runs(*args: object, **kwargs: object) -> None:
        asyncio.run(test(*args, **kwargs))

    return runs


def kinds(plan) -> list[str]:
    return [getattr(step, "hook", step.kind) for step in plan.steps]


@pytest.fixture
def made() -> MemoryWorld:
    return MemoryWorld()


@run
async def test_hooks_stand_around_the_schema_and_the_instances(made):
    plan = plan_deploy(await observe(made.world), replace(ONE, hooks=HOOKS), now=1.0)
    found = kinds(plan)
    assert found[0] == "pre-deploy"
    assert found[found.index("pre-app-boot") + 1] == "Start"
    assert found.index("pre-app-boot") < found.index("Switch") < found.index("post-app-boot")
    assert found[-2:] == ["post-app-boot", "Finish"]
    assert [k for k in found if k not in ALL] == kinds(
        plan_deploy(await observe(made.world), ONE, now=1.0)
    )


@run
async def test_only_hooks_that_there_are(made):
    hooks = {"pre-app-boot": "p", "pre-connect": "c"}
    plan = plan_deploy(await observe(made.world), replace(ONE, hooks=hooks), now=1.0)
    assert [k for k in kinds(plan) if "-" in k] == ["pre-app-boot"]


@run
async def test_the_plan_of_hooks_is_another_plan(made):
    seen = await observe(made.world)
    with_, without = (plan_deploy(seen, g, now=1.0) for g in (replace(ONE, hooks=HOOKS), ONE))
    assert with_.fingerprint != without.fingerprint


@run
async def test_nothing_to_do_runs_nothing(made):
    await deploy(made.world, ONE, CLAIM, made.emit)
    plan = plan_deploy(await observe(made.world), replace(ONE, hooks=HOOKS), now=1.0)
    assert plan.steps == ()


@run
async def test_rollback_has_them_and_contract_does_not(made):
    await deploy(made.world, ONE, CLAIM, made.emit)
    await deploy(made.world, TWO, CLAIM, made.emit)
    seen = await observe(made.world)
    assert set(ALL) <= set(kinds(plan_rollback(seen, replace(ONE, hooks=HOOKS), now=1.0)))
    assert not set(ALL) & set(kinds(plan_contract(seen, replace(TWO, hooks=HOOKS))))


def test_the_point_of_no_return_stays_before_its_step():
    step = Contract((contract("1"),))
    end = Finish("2")
    plan = Plan(
        verb="deploy",
        release=TWO.release,
        spec=Spec(to="2", from_="1"),
        steps=(EnsureProxy(), end, step),
        point_of_no_return=2,
    )
    hooked = with_hooks(plan, HOOKS)
    assert kinds(hooked) == ["pre-deploy", "EnsureProxy", "post-app-boot", "Finish", "Contract"]
    assert hooked.point_of_no_return == 4
    assert with_hooks(replace(plan, point_of_no_return=None), HOOKS).point_of_no_return is None
