"""How examples are drawn: small numbers that choose, so that they shrink to short stories."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from .chaos import FAULTS, Fault
from .repository import HABITS, KINDS, Writing
from .story import OPS, Example, Op

_small = st.integers(0, 5)

KIND_WEIGHTS = ("rename", "move", "require", "drop", *KINDS, "move", "rename", "require")
writings = st.builds(
    Writing,
    lane=st.integers(0, 1),
    kind=st.sampled_from(KIND_WEIGHTS),
    pick=_small,
    flags=st.sampled_from((HABITS[0], HABITS[2], *HABITS)),
)
STRIDES = ((1, 0), (0, 1), (1, 1), (2, 1), (1, 2), (2, 2), (0, 0))

OP_WEIGHTS = ("next",) * 6 + (
    "again",
    "rollback",
    "rollback",
    "rollback",
    "contract",
    "contract",
    "half",
    "half",
    "downtime",
    "downtime",
    "downtime",
    "maintenance",
    "live",
    "part",
    "part",
    "redeploy",
    "redeploy",
    "boot",
)
ops = st.builds(
    Op,
    kind=st.sampled_from(
        (*OP_WEIGHTS, "deploy", "down", "forget_host", "hosts", "pause", "resume")
    ),
    arg=_small,
)

FAULT_WEIGHTS = (
    *FAULTS,
    *("crash", "fail", "crash", "fail"),
    *(
        "worsen",
        "worsen",
        "worsen",
        "take_over",
        "sicken",
        "host_away",
        "take_over",
        "foreign",
        "console",
    ),
)
faults = st.builds(Fault, gap=st.integers(1, 60), kind=st.sampled_from(FAULT_WEIGHTS), arg=_small)


@st.composite
def examples(draw: st.DrawFn) -> Example:
    """An example. Releases mostly go on from the newest; some branch off an older one."""
    written = tuple(draw(st.lists(writings, min_size=2, max_size=7)))
    releases = [(1, 1)]
    steps = st.tuples(st.integers(0, 3), st.sampled_from(STRIDES))
    for back, (one, other) in draw(st.lists(steps, min_size=2, max_size=4)):
        base = releases[-1 - back // 3] if len(releases) > 1 else releases[-1]
        releases.append((base[0] + one, base[1] + other))
    example = Example(
        writings=written,
        releases=tuple(releases),
        ops=(Op("next"), *draw(st.lists(ops, min_size=2, max_size=7))),
        faults=tuple(draw(st.lists(faults, min_size=1, max_size=10))),
        paces=tuple(draw(st.lists(st.integers(0, 9), max_size=4))),
        hosts=draw(st.integers(1, 2)),
        instances=draw(st.sampled_from((1, 1, 1, 2))),
        overlap=draw(st.booleans()),
        contract=draw(st.sampled_from(("next", "next", "auto", "manual"))),
        sessions=draw(st.sampled_from(("named", "named", "nameless", "none"))),
        verify=draw(st.sampled_from((1.0, 0.0, 1.0))),
        canary=draw(st.sampled_from(((), (0.05,), (0.05, 0.25)))),
        rate=draw(st.sampled_from((1000, 1000, 10, 0))),
    )
    limit = draw(st.sampled_from(("", "", "", "1", "50%")))
    # Shares are given on all hosts at once, so a configuration has one of them.
    if not example.canary:
        example = replace(example, limit=limit)
    return replace(example, first=draw(st.sampled_from((False, False, True))))


__all__ = ["OPS", "examples"]
