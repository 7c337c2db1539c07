"""Stories that once went wrong, each as short as it was found, and what they taught."""

from __future__ import annotations

import pytest

from .chaos import Fault
from .repository import HABITS, Writing
from .story import Example, Op, tell

NEXT = Op("next")

FOUND = {
    "an instance id without its host: registrations of two hosts were one row": Example(
        ops=(NEXT, Op("hosts")),
        releases=((1, 1), (1, 1)),
    ),
    "a first deploy that fails after its switch was stopped while it had the requests": Example(
        releases=((1, 1), (1, 1)),
        ops=(NEXT, NEXT),
        faults=(Fault(28, "host_back"), Fault(60, "sicken")),
        hosts=1,
    ),
    "a first deploy whose instances died before it was taken back left its row open": Example(
        releases=((1, 1), (1, 1)),
        ops=(NEXT, NEXT),
        faults=(Fault(1, "fail"), Fault(14, "hang_up"), Fault(60, "kill")),
        hosts=1,
    ),
    "a squash was applied from scratch on a database that had begun with what it replaces": Example(
        writings=(Writing(0, "add"), Writing(0, "squash")),
        releases=((1, 1), (3, 1)),
        ops=(NEXT, NEXT),
        faults=(Fault(1, "sleep"), Fault(42, "fail")),
        hosts=1,
    ),
    "a squash was run by hand where what it replaces was pending": Example(
        writings=(Writing(0, "new_value"), Writing(1, "squash"), Writing(0, "squash")),
        releases=((1, 1), (3, 3)),
        ops=(NEXT, Op("half", 2)),
        faults=(Fault(28, "console", 3), Fault(10, "take_over")),
        hosts=1,
    ),
    "a contract half by hand overtook an older one that was held": Example(
        writings=(Writing(0, "rename"), Writing(0, "rename")),
        releases=((1, 1), (3, 2), (4, 2)),
        ops=(NEXT, NEXT, Op("half", 5)),
        hosts=1,
    ),
    "and took away the column that the older one's backfill fills": Example(
        writings=(
            Writing(1, "add"),
            Writing(1, "add"),
            Writing(1, "move"),
            Writing(1, "rename", 1, HABITS[4]),
        ),
        releases=((1, 1), (1, 3), (1, 5)),
        ops=(NEXT, NEXT, NEXT, Op("half")),
        hosts=1,
    ),
    "what ran on a host that no deploy knew was nobody's to forget": Example(
        writings=(Writing(0, "rename"), Writing(0, "rename")),
        releases=((1, 1), (2, 1), (3, 1), (4, 1), (5, 1)),
        ops=(NEXT, NEXT, Op("contract"), Op("hosts", 1)),
        faults=(Fault(1, "fail"), Fault(41, "take_over", 3), Fault(2, "foreign", 5)),
        hosts=1,
        overlap=False,
        verify=1.0,
    ),
}


@pytest.mark.parametrize("example", FOUND.values(), ids=list(FOUND))
def test_it_goes_right_now(example: Example) -> None:
    tell(example)
