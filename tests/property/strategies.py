"""How examples are drawn: small numbers that choose, so that they shrink to short stories."""

from __future__ import annotations

from hypothesis import strategies as st

from .chaos import FAULTS, Fault
from .repository import HABITS, KINDS, Writing
from .story import OPS, Example, Op

_small = st.integers(0, 5)

writings = st.builds(
    Writing,
    lane=st.integers(0, 1),
    kind=st.sampled_from(KINDS),
    pick=_small,
    flags=st.sampled_from(HABITS),
)

OP_WEIGHTS = ("next",) * 6 + (
    "again",
    "rollback",
    "rollback",
    "contract",
    "contract",
    "half",
    "half",
)
ops = st.builds(
    Op, kind=st.sampled_from((*OP_WEIGHTS, "deploy", "down", "forget_host", "hosts")), arg=_small
)

FAULT_WEIGHTS = (*FAULTS, "fail", "fail", "crash", "crash", "take_over", "foreign", "console")
faults = st.builds(Fault, gap=st.integers(1, 60), kind=st.sampled_from(FAULT_WEIGHTS), arg=_small)


@st.composite
def examples(draw: st.DrawFn) -> Example:
    """An example. Releases mostly go on from the newest; some branch off an older one."""
    written = tuple(draw(st.lists(writings, min_size=1, max_size=6)))
    releases = [(1, 1)]
    for back, one, other in draw(
        st.lists(
            st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 2)),
            min_size=1,
            max_size=4,
        )
    ):
        base = releases[-1 - back // 3] if len(releases) > 1 else releases[-1]
        releases.append((base[0] + one, base[1] + other))
    return Example(
        writings=written,
        releases=tuple(releases),
        ops=(Op("next"), *draw(st.lists(ops, min_size=1, max_size=6))),
        faults=tuple(draw(st.lists(faults, max_size=8))),
        paces=tuple(draw(st.lists(st.integers(0, 9), max_size=4))),
        hosts=draw(st.integers(1, 2)),
        instances=draw(st.sampled_from((1, 1, 1, 2))),
        overlap=draw(st.booleans()),
        contract=draw(st.sampled_from(("next", "next", "auto", "manual"))),
        sessions=draw(st.sampled_from(("named", "named", "nameless", "none"))),
    )


__all__ = ["OPS", "examples"]
