"""Which release a name means, which one is before, and which checkouts stay."""

from __future__ import annotations

import pytest

from pilotage.errors import UsageError
from pilotage.model import (
    DeployState,
    Endpoint,
    HistoryEntry,
    Instance,
    Observed,
    Release,
    Route,
    Spec,
)
from pilotage.wiring import find_release, release_before
from pilotage.wiring.tidy import kept


def release(letter: str, deployed_at: float | None = None) -> Release:
    return Release(letter * 12, letter * 40, deployed_at=deployed_at)


A, B, C = release("a", 1.0), release("b", 2.0), release("c", 3.0)


def observed(
    serving: Release | None, spec: Spec | None = None, *, releases: tuple[Release, ...] = (A, B, C)
) -> Observed:
    active = (Endpoint("i", serving.id, "x:1"),) if serving else ()
    return Observed(state=DeployState(spec=spec, releases=releases), routes={"here": Route(active)})


@pytest.mark.parametrize(
    ("serving", "spec", "before"),
    [
        (C, Spec(C.id, B.id, finished_at=4.0), B),
        (B, Spec(B.id, C.id, direction="rollback", finished_at=5.0), A),
        (B, Spec(C.id, B.id), B),
        (C, Spec(C.id, A.id, switched_at=3.0), A),
        (B, Spec(C.id, B.id, aborted_reason="no", finished_at=3.0), A),
        (C, Spec(B.id, C.id, direction="rollback"), B),
        (B, Spec(B.id, C.id, direction="rollback", switched_at=4.0), B),
    ],
    ids=[
        "after a deploy",
        "after a rollback, one further",
        "in the middle of a deploy, what served when it began",
        "after its switch as well",
        "after an abort, the one before what serves",
        "in the middle of a rollback",
        "after its switch still the same, so that the same command goes on",
    ],
)
def test_release_before(serving, spec, before):
    assert release_before(observed(serving, spec)) == before


def test_release_that_was_never_deployed_to_the_end_is_not_gone_back_to():
    never = release("d")
    found = release_before(observed(C, Spec(C.id, finished_at=1.0), releases=(A, never, C)))
    assert found == A


def test_there_is_nothing_before_the_first():
    with pytest.raises(UsageError, match="no release before"):
        release_before(observed(A, Spec(A.id, finished_at=1.0)))
    with pytest.raises(UsageError):
        release_before(observed(None))


def test_find_release_by_id_and_by_the_beginning_of_its_revision():
    state = DeployState(releases=(A, B, Release("f" * 12, "aaaa0000")))
    assert find_release(state, A.id) == A
    assert find_release(state, "bbbbbb") == B
    assert find_release(state, "aaaa") is None, "two begin with it"
    assert find_release(state, "bb") is None, "too short to mean one"
    assert find_release(state, "main") is None


def test_checkouts_of_what_runs_is_wanted_or_was_deployed_last_stay():
    letters = "abcdef"
    releases = tuple(release(letter) for letter in letters)
    history = tuple(
        HistoryEntry(n, "deploy", "x", None, letter * 12, 1.0, 2.0, "done")
        for n, letter in enumerate(letters[1:])
    )
    seen = Observed(
        state=DeployState(spec=Spec("f" * 12, "b" * 12), releases=releases, history=history),
        instances=(Instance("i", "s", "web", "here", "a" * 12),),
    )
    assert {revision[0] for revision in kept(seen, 2)} == {"a", "b", "e", "f"}
