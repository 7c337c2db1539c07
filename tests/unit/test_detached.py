"""What detached runs are called, and how they are found again."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from pilotage.detached import Runs, begin, half_of, job, require_same, runs_of
from pilotage.errors import Refused
from pilotage.model import Instance, Kind, Life, Observed, contract, expand
from pilotage.targets.base import Job, OnOutput
from pilotage.targets.memory import MemoryTarget

REF = expand("7")


def run(number: int, *, life: Life = Life.DEAD, ref: str = "7-expand") -> Instance:
    return Instance(
        id=f"shop-run-{ref}-{number}",
        service="shop",
        role="web",
        host="a",
        release="abc",
        kind=Kind.TOOL,
        life=life,
    )


def test_the_first_run_and_the_next() -> None:
    about = {"role": "web", "host": "a", "release": "abc", "checksum": "1f", "by": "ada"}
    first = Runs("shop", REF).next(**about)
    assert (first.id, first.kind, first.release) == ("shop-run-7-expand-1", Kind.TOOL, "abc")
    assert (first.config, first.by) == ("1f", "ada")
    # By number, not by letter.
    found = runs_of([run(10), run(9), run(2)], "shop", REF)
    assert found.last == run(10)
    assert found.alive is None
    assert found.next(**about).id == "shop-run-7-expand-11"


def test_the_one_that_is_alive_is_found() -> None:
    alive = run(3, life=Life.RUNNING)
    assert runs_of([run(2), alive, run(4)], "shop", REF).alive == alive


def test_others_are_not_taken_for_one() -> None:
    others = [
        run(1, ref="7-contract"),
        run(1, ref="77-expand"),
        replace(run(1), kind=Kind.ONCE),
        replace(run(1), id="other-run-7-expand-1"),
        replace(run(1), id="shop-run-7-expand-x"),
    ]
    assert runs_of(others, "shop", REF).known == ()


def test_an_instance_tells_its_half() -> None:
    assert half_of(run(12)) == REF
    assert half_of(run(1, ref="7-contract")) == contract("7")
    assert half_of(replace(run(1), kind=Kind.CONSOLE)) is None
    assert half_of(replace(run(1), id="shop-web-1")) is None
    dashed = replace(run(1), service="my-shop", id="my-shop-run-7-expand-1")
    assert half_of(dashed) == REF


def test_it_runs_where_whoever_began_it_stood() -> None:
    made = job(run(1), "sha", ("pilotage", "migrate", "run", "7"), folder="/srv/my shop", env={})
    assert made.argv[:2] == ("/bin/sh", "-c")
    assert made.argv[3:] == ("/srv/my shop", "pilotage", "migrate", "run", "7")


async def test_who_has_another_file_does_not_join() -> None:
    over = asyncio.Event()

    async def wait(job: Job, output: OnOutput) -> int:
        await over.wait()
        return 0

    target = MemoryTarget(("a",), run=wait)
    # Both looked before either began, so both have the same name for it.
    hers = replace(run(1), life=Life.STARTING, config="1f", by="ada")
    his = replace(hers, config="2e", by="bob")
    await target.fetch("sha")
    for each in (hers, his):
        await begin(target, job(each, "sha", ("x",), folder="/", env={}))
    (found,) = (await target.observe()).instances
    require_same(found, REF, "1f", where="abc")
    with pytest.raises(Refused) as refused:
        require_same(found, REF, his.config, where="def")
    assert str(refused.value) == (
        "shop-run-7-expand-1 on a: shop-run-7-expand-1 runs 7/expand as it is in abc for ada, and in def it is "
        "another one\n"
        "  state: that run goes on; nothing was begun\n"
        "  next:  agree on one file: `pilotage migrate follow 7` shows the run, `pilotage migrate stop 7` ends it"
    )
    with pytest.raises(Refused, match="in the worktree there is none"):
        require_same(found, REF, None, where="the worktree")
    over.set()


def test_no_release_is_judged_by_it() -> None:
    observed = Observed(instances=(run(1, life=Life.RUNNING),))
    assert observed.alive == ()
