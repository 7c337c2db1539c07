"""Random histories under random faults: what must hold, holds at every await, and the end is the wanted one.

``PILOTAGE_EXAMPLES`` sets how many examples are told in all (1,000; in CI 10,000), in shards that
pytest-xdist spreads over the cores. Each shard has a seed of its own, so a run is the same everywhere;
``PILOTAGE_SEED`` moves all of them. With 10,000 or more, the faults that are tried at every point of a
story are tried at every one; with fewer at every seventh.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import Phase

from pilotage.events import Judged, Planned
from pilotage.steps import StartFirst, Switch

from .chaos import Fault
from .hunt import at_every_point, drawn
from .repository import HABITS, Writing
from .story import Example, Op, tell

SHARDS = 8
EXAMPLES = int(os.environ.get("PILOTAGE_EXAMPLES") or ("10000" if os.environ.get("CI") else "1000"))
STRIDE = 1 if EXAMPLES >= 10_000 else 7
SEED = int(os.environ.get("PILOTAGE_SEED", "0"))


@pytest.mark.parametrize("shard", range(SHARDS))
def test_every_running_release_fits_and_nothing_is_lost(shard: int) -> None:
    drawn(-(-EXAMPLES // SHARDS), SEED * SHARDS + shard, tell)


def test_the_examples_are_not_empty() -> None:
    """What the property is about happens in them: often enough, and each kind of it."""
    happened: Counter[str] = Counter()

    def body(example: Example) -> None:
        story = tell(example)
        for outcome in story.outcomes:
            who, _, how = outcome.partition(": ")
            happened[f"{who.rstrip('0123456789')} {how.partition(':')[0]}"] += 1
        for line in story.chaos.log:
            happened[line.partition(": ")[2].partition(" ")[0]] += 1
        happened[story.ending] += 1
        happened["undone"] += story.undone
        for event in story.events:
            if isinstance(event, Planned):
                switches = sum(isinstance(step, Switch) for step in event.plan.steps)
                happened["in turns"] += switches > 1
                happened["first"] += any(isinstance(step, StartFirst) for step in event.plan.steps)
            if isinstance(event, Judged):
                stage = "canary" if event.share < 1 else "watch"
                happened[f"{stage} {event.finding}"] += 1
        happened["contracts"] += sum(ref.half == "contract" for ref in story.server.done)
        happened["backfills"] += sum(m.backfill is not None for m in story.applied())

    drawn(400, 1, body, phases=[Phase.generate])
    body(BAD)
    for gap in range(28, 36, 2):
        body(replace(ANEW, faults=(Fault(gap, "sicken", 1, "target.check"),)))
    wanted = {
        "downtime done": 20,
        "downtime crashed": 1,
        "maintenance done": 5,
        "live done": 100,
        "settled": 200,
        "aborted": 1,
        "next done": 300,
        "contract done": 50,
        "rollback done": 15,
        "rollback Misfit": 20,
        "in turns": 10,
        "first": 50,
        "part done": 15,
        "redeploy done": 15,
        "undone": 8,
        "boot done": 10,
        "half done": 30,
        "down done": 5,
        "next crashed": 50,
        "next LeaseLost": 5,
        "next Unhealthy": 5,
        "rival done": 10,
        "foreign done": 10,
        "foreign Misfit": 10,
        "console Misfit": 10,
        "contracts": 150,
        "backfills": 150,
        "crash": 60,
        "fail": 60,
        "interrupt": 15,
        "sleep": 15,
        "take_over": 20,
        "host_away": 15,
        "kill": 15,
        "sicken": 15,
        "worsen": 15,
        "canary good": 10,
        "canary unverified": 10,
        "canary worse": 1,
        "watch good": 40,
        "watch unverified": 40,
        "watch worse": 2,
        "next Worse": 5,
        "session": 15,
        "database_down": 15,
    }
    lacking = {what: happened[what] for what, least in wanted.items() if happened[what] < least}
    assert not lacking


STORY = Example(
    writings=(
        Writing(0, "rename", flags=HABITS[2]),
        Writing(1, "move"),
        Writing(0, "require", flags=HABITS[2]),
        Writing(1, "drop"),
    ),
    releases=((1, 1), (2, 2), (3, 3)),
    ops=(Op("next"), Op("next"), Op("next", 1), Op("contract", 1)),
    hosts=2,
)
"""A deploy of each kind of change; whoever comes after a crash waits for the lease."""

BACK = Op("rollback", 2)
DOWN = replace(STORY, ops=(Op("next"), Op("downtime"), Op("downtime", 1), Op("next", 1)))
"""Two deploys with downtime; the second one brings the old release back when it fails."""

CLOSED = replace(STORY, ops=(Op("next"), Op("maintenance"), Op("next", 1), Op("live", 1)))
"""A deploy under a person's maintenance."""

CANARY = Example(
    writings=(Writing(0, "rename"),),
    releases=((1, 1), (2, 1)),
    ops=(Op("next"), Op("next", 1)),
    hosts=2,
    verify=1.0,
    canary=(0.05, 0.25),
)

BAD = replace(CANARY, faults=(Fault(1, "worsen", 1, "target.check"),))
"""The second release answers worse: it is on its way back from its first share."""


TURNS = Example(
    writings=(Writing(0, "rename", flags=HABITS[2]),),
    releases=((1, 1), (2, 1)),
    ops=(Op("next"), Op("next", 1)),
    hosts=2,
    verify=1.0,
    limit="1",
)
"""Hosts take turns; every point of a step between two switches is one at which the fleet is mixed."""

FIRST = replace(TURNS, first=True)
"""And one instance starts alone before all others; whoever comes after a crash waits for that one."""

PART = replace(TURNS, ops=(Op("next"), Op("part", 1), Op("next", 1)), limit="")
"""The second release comes to the second host alone, and to the other one with the next command."""

ANEW = replace(
    TURNS,
    ops=(Op("next"), Op("next", 1), Op("redeploy", 1), Op("redeploy", 1)),
    limit="",
    overlap=False,
)
"""The release that serves is deployed with another configuration, twice."""

BOOT = replace(ANEW, ops=(Op("next"), Op("boot", 1), Op("next", 1)))
"""Everything that runs is booted anew."""


EVERY_POINT = {
    "crash": ("crash", 0, STORY),
    "interrupt": ("interrupt", 0, STORY),
    "fail": ("fail", 0, STORY),
    "answers worse": ("worsen", 1, STORY),
    "crash in a canary": ("crash", 0, CANARY),
    "interrupt in a canary": ("interrupt", 0, CANARY),
    "fail in a canary": ("fail", 0, CANARY),
    "kill in a canary": ("kill", 0, CANARY),
    "answers worse in a canary": ("worsen", 1, CANARY),
    "crash on the way back from a canary": ("crash", 0, BAD),
    "fail on the way back from a canary": ("fail", 0, BAD),
    "canary taken over by the next deploy": ("take_over", 0, CANARY),
    "canary taken over by a rollback": ("take_over", 2, replace(CANARY, ops=(*CANARY.ops, BACK))),
    "kill": ("kill", 0, STORY),
    "old instance": ("foreign", 0, STORY),
    "old console": ("console", 0, STORY),
    "host away": ("host_away", 1, STORY),
    "taken over by the next deploy": ("take_over", 0, STORY),
    "taken over by a contract": ("take_over", 3, STORY),
    "taken over by a rollback": ("take_over", 3, replace(STORY, ops=(*STORY.ops[:3], BACK))),
    "crash in downtime": ("crash", 0, DOWN),
    "interrupt in downtime": ("interrupt", 0, DOWN),
    "fail in downtime": ("fail", 0, DOWN),
    "old console in downtime": ("console", 0, DOWN),
    "a downtime taken over": ("take_over", 1, DOWN),
    "rolled back in downtime": ("take_over", 3, replace(DOWN, ops=(*DOWN.ops[:3], BACK))),
    "crash under maintenance": ("crash", 0, CLOSED),
    "fail under maintenance": ("fail", 0, CLOSED),
    "opened meanwhile": ("take_over", 3, CLOSED),
    "crash in turns": ("crash", 0, TURNS),
    "fail in turns": ("fail", 0, TURNS),
    "host away in turns": ("host_away", 1, TURNS),
    "answers worse in turns": ("worsen", 1, TURNS),
    "turns taken over by a rollback": ("take_over", 2, replace(TURNS, ops=(*TURNS.ops, BACK))),
    "crash where one starts first": ("crash", 0, FIRST),
    "fail where one starts first": ("fail", 0, FIRST),
    "kill where one starts first": ("kill", 0, FIRST),
    "taken over where one starts first": ("take_over", 2, replace(FIRST, ops=(*FIRST.ops, BACK))),
    "crash in downtime where one starts first": ("crash", 0, replace(DOWN, first=True)),
    "crash in a part": ("crash", 0, PART),
    "fail in a part": ("fail", 0, PART),
    "crash in another configuration": ("crash", 0, ANEW),
    "fail in another configuration": ("fail", 0, ANEW),
    "kill in another configuration": ("kill", 0, ANEW),
    "answers worse in another configuration": ("worsen", 0, ANEW),
    "another configuration in turns": ("fail", 0, replace(ANEW, limit="1")),
    "another configuration taken over by a rollback": (
        "take_over",
        4,
        replace(ANEW, ops=(*ANEW.ops, BACK)),
    ),
    "crash in a boot": ("crash", 0, BOOT),
    "fail in a boot": ("fail", 0, BOOT),
}


@pytest.mark.parametrize(("kind", "arg", "story"), EVERY_POINT.values(), ids=list(EVERY_POINT))
def test_one_fault_at_every_point(kind: str, arg: int, story: Example) -> None:
    """Not by chance: the same story, with the fault before and after every single call in turn."""
    for number, example in enumerate(at_every_point(story, kind, arg)):
        if number % STRIDE == 0:
            tell(example)
