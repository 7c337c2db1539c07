"""What a look comes to, and its JSON."""

from __future__ import annotations

from pilotage.health.look import Looked
from pilotage.health.verdict import body, judge
from pilotage.model import Applied, HalfRef, Instance, Observed, SchemaView, Session, Ships
from pilotage.proof import evidence, prove

SHIPS = Ships(expands=frozenset("123"), contracts=frozenset("2"))


def look(**applied: frozenset[str]) -> Looked:
    return Looked("shop", made=True, applied=Applied(**applied))


def test_a_misfit_that_waiting_may_mend_and_one_that_it_does_not():
    missing = judge(look(expanded=frozenset("12")), SHIPS)
    assert (missing.ready, missing.permanent) == (False, False)
    foreign = judge(look(expanded=frozenset("123"), contracted=frozenset("9")), SHIPS)
    assert (foreign.ready, foreign.permanent) == (False, True)


def test_required_halves_are_named():
    ships = Ships(requires=frozenset({HalfRef.parse("7/contract")}))
    verdict = judge(look(), ships)
    told = body(verdict, release="r", age=0.12345, error=None)
    assert told["requires"] == ["7/contract"]
    assert told["age"] == 0.123
    assert "requires 7/contract" in told["why"]


def test_a_long_list_is_cut():
    ships = Ships(expands=frozenset(str(n) for n in range(1, 101)))
    told = body(judge(look(), ships), release=None, age=None, error=None)
    assert told["missing"][:2] == ["1/expand", "2/expand"]
    assert told["missing"][-1] == "and 80 more"
    assert len(told["missing"]) == 21
    assert told["shipped"] == {"expands": 100, "contracts": 0, "last": "100/expand"}


def observed(*names: str) -> Observed:
    instance = Instance("shop-web-1", "shop", "web", "host", "b" * 12)
    sessions = tuple(Session(number, name) for number, name in enumerate(names))
    return Observed(instances=(instance,), schema=SchemaView(sessions=sessions))


def test_our_own_sessions_are_no_positive_control():
    new = "b" * 12
    assert "was seen by name, so" not in evidence(observed(f"plt-{new}:readiness"))[1]
    assert "was seen by name, so" not in evidence(observed(f"plt-{new}:entrypoint"))[1]
    assert "was seen by name, so" in evidence(observed(f"plt-{new}"))[1]
    assert "was seen by name, so" in evidence(observed(f"plt-{new}:mine"))[1]


def test_our_own_session_of_an_older_release_stands_in_the_way():
    view = observed(f"plt-{'a' * 12}:readiness")
    blockers = prove(view, (HalfRef.parse("2/contract"),)).blockers
    assert any("aaaaaaaaaaaa:readiness" in line for line in blockers)
