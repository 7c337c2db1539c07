"""Playing a plan through gives what asking every running release after every step gives."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pilotage.model import (
    DeployState,
    HalfRow,
    Instance,
    Observed,
    Release,
    SchemaView,
    Ships,
    Spec,
    contract,
    expand,
    fits,
)
from pilotage.plan.playing import Playing, halves_of
from pilotage.plan.rule import point_of_no_return, walk
from pilotage.steps import Adopt, ApplyHalf, Contract, Finish, Open, Start, Step, Stop

VERSIONS = ("1", "2", "3", "4")
some = st.frozensets(st.sampled_from(VERSIONS))
halves = st.sampled_from([half(v) for v in VERSIONS for half in (expand, contract)])
ships = st.none() | st.builds(
    Ships,
    expands=some,
    contracts=some,
    requires=st.frozensets(halves, max_size=1),
    replaces=st.sampled_from([(), (("1", "2"),)]),
)


def instance(name: str, release: str) -> Instance:
    return Instance(id=name, service="shop", role="web", host="h", release=release)


NAMES = ("a1", "a2", "b1", "c1")
RUNNING = tuple(instance(name, name[0]) for name in NAMES)

steps = st.lists(
    st.one_of(
        st.sampled_from(VERSIONS).map(lambda v: ApplyHalf(expand(v))),
        st.sampled_from(VERSIONS).map(Adopt),
        st.lists(st.sampled_from(VERSIONS).map(contract), min_size=1, max_size=2).map(
            lambda refs: Contract(tuple(refs))
        ),
        st.sampled_from([*RUNNING, instance("n1", "n")]).map(lambda i: Stop((i,))),
        st.sampled_from(["n1", "n2"]).map(lambda name: Start((instance(name, "n"),), "n")),
        st.sampled_from(VERSIONS).map(lambda v: Open((v,))),
        st.just(Finish("n")),
    ),
    max_size=8,
).map(tuple)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Observed, Release, tuple[Step, ...]]:
    applied = draw(st.sets(halves))
    releases = tuple(Release(name, name, ships=draw(ships)) for name in "abc")
    observed = Observed(
        state=DeployState(releases=releases),
        instances=RUNNING,
        schema=SchemaView(rows=tuple(HalfRow(ref, finished_at=1.0) for ref in sorted(applied))),
    )
    return observed, Release("n", "n", ships=draw(ships)), draw(steps)


def walked(observed: Observed, release: Release, steps: tuple[Step, ...]) -> list[str]:
    """The walk as one would write it without a thought to how long it takes."""
    applied = observed.schema.applied
    running = {i.id: observed.ships(i.release) for i in observed.alive}
    misfits = {name for name, ships in running.items() if not fits(ships, applied)}
    broken = []
    for step in steps:
        applied = applied.plus(*halves_of(step))
        if isinstance(step, Start):
            running |= {i.id: release.ships for i in step.instances}
        if isinstance(step, Stop):
            for instance in step.instances:
                running.pop(instance.id, None)
        for name, ships in running.items():
            fit = fits(ships, applied)
            if not fit and name not in misfits:
                misfits.add(name)
                broken.append(
                    f"after '{step.describe()}', {name} would not fit: it {fit.describe()}"
                )
    return broken


@given(worlds())
def test_walk(world: tuple[Observed, Release, tuple[Step, ...]]) -> None:
    observed, release, steps = world
    assert sorted(walk(observed, release, steps)) == sorted(walked(observed, release, steps))


@given(worlds())
def test_point_of_no_return(world: tuple[Observed, Release, tuple[Step, ...]]) -> None:
    observed, _, steps = world
    origin = observed.state.releases[0]
    expected = None
    applied = observed.schema.applied
    for index, step in enumerate(steps if origin.ships else ()):
        applied = applied.plus(*halves_of(step))
        assert origin.ships is not None
        new_data = isinstance(step, Open) and not set(step.versions) <= origin.ships.expands
        if new_data or fits(origin.ships, applied).foreign_contracts:
            expected = index
            break
    assert point_of_no_return(observed, Spec(to="n", from_="a"), steps) == expected


@given(worlds())
def test_what_is_applied(world: tuple[Observed, Release, tuple[Step, ...]]) -> None:
    observed, _, steps = world
    playing, applied = Playing(observed.schema.applied), observed.schema.applied
    for step in steps:
        playing.step(step)
        applied = applied.plus(*halves_of(step))
        assert playing.applied == applied
