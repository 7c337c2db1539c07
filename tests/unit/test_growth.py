"""Planning does not grow with the square of anything: counted in calls, so that no clock matters."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from benchmarks.planning import ABOUT, REVISION, load_files, texts, world

from pilotage.cli.pages.plan import barred_by, page
from pilotage.migrate.history import check_applied
from pilotage.model import Observed, SchemaView
from pilotage.plan import plan_deploy


def calls(work: Callable[[], Any]) -> int:
    """How many functions are called (and generators resumed) on the way."""
    count = 0

    def note(_frame: FrameType, event: str, _arg: object) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def of(size: int, what: str) -> int:
    """The calls of planning for ``size`` hosts and as many migrations."""
    files = load_files(texts(size), dialect="postgresql")
    observed, goal = world(size, files, pending=what != "all applied")
    if what == "new database":
        observed = Observed(hosts=observed.hosts, schema=SchemaView(fresh=True))

    def work() -> None:
        check_applied(observed.schema, files)
        plan = plan_deploy(observed, goal, now=1.0)
        assert plan.fingerprint
        assert list(page(ABOUT, REVISION, plan, (), barred_by(observed, plan.steps)))

    return calls(work)


@pytest.mark.parametrize("what", ["all pending", "all applied", "new database"])
def test_planning_is_linear(what: str) -> None:
    small, large = of(40, what), of(160, what)
    assert large < 5.5 * small, "four times as much, with room for the logarithm of sorting"
