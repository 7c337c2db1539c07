"""The rule itself, and the small functions around it."""

from __future__ import annotations

import json

import pytest

from pilotage.model import (
    Applied,
    DeployState,
    Fit,
    Half,
    HalfRef,
    HalfRow,
    HistoryEntry,
    Host,
    Instance,
    Intent,
    Kind,
    LeaseRow,
    Life,
    Observed,
    Registration,
    Release,
    SchemaView,
    Ships,
    Spec,
    announced,
    cannot_return,
    contract,
    expand,
    fits,
    release_id,
    session_name,
    session_release,
)


def ships(*halves: str, **more: object) -> Ships:
    refs = [HalfRef.parse(text) for text in halves]
    return Ships(
        expands=frozenset(r.version for r in refs if r.half is Half.EXPAND),
        contracts=frozenset(r.version for r in refs if r.half is Half.CONTRACT),
        **more,  # type: ignore[arg-type]
    )


def applied(*halves: str) -> Applied:
    return Applied().plus(*(HalfRef.parse(text) for text in halves))


@pytest.mark.parametrize(
    ("release", "schema", "answer"),
    [
        (ships(), applied(), Fit()),
        (ships("1"), applied("1"), Fit()),
        (ships("1"), applied("1", "2"), Fit()),
        (ships("1", "2"), applied("1"), Fit(missing_expands=("2",))),
        (ships("1"), applied("1", "2", "2/contract"), Fit(foreign_contracts=("2",))),
        (ships("1", "2", "2/contract"), applied("1", "2", "2/contract"), Fit()),
        (ships("1", "2", "2/contract"), applied("1", "2"), Fit()),
        (ships("9", "10"), applied(), Fit(missing_expands=("9", "10"))),
        (
            ships("2", requires=frozenset({contract("1")})),
            applied("2"),
            Fit(missing_requires=(contract("1"),)),
        ),
        (ships("5", replaces=(("1", "4"),)), applied("5", "3/contract"), Fit()),
        (
            ships("5", replaces=(("1", "4"),)),
            applied("5", "6/contract"),
            Fit(foreign_contracts=("6",)),
        ),
        (None, applied(), Fit(known=False)),
    ],
)
def test_fits(release: Ships | None, schema: Applied, answer: Fit) -> None:
    assert fits(release, schema) == answer


def test_contract_counts_from_the_moment_it_started() -> None:
    view = SchemaView(rows=(HalfRow(contract("1"), started_at=1.0),))
    assert not fits(ships("0"), view.applied.plus(expand("0")))
    assert not view.applied.has(contract("1"))


def test_expand_counts_when_it_has_finished() -> None:
    view = SchemaView(rows=(HalfRow(expand("1"), started_at=1.0),))
    assert fits(ships("1"), view.applied) == Fit(missing_expands=("1",))


def test_a_fit_is_true_or_says_why() -> None:
    assert fits(ships("1"), applied("1"))
    assert fits(ships("1"), applied("1")).describe() == "fits"
    assert "needs 1/expand" in fits(ships("1"), applied()).describe()
    assert "written before 2/contract" in fits(ships("1"), applied("1", "2/contract")).describe()
    assert "unknown" in fits(None, applied()).describe()


def test_new_data_bars_the_way_back() -> None:
    opened = Applied(expanded=frozenset({"1", "2"}), opened=frozenset({"2"}))
    assert cannot_return(ships("1"), opened) == ("2",)
    assert cannot_return(ships("1", "2"), opened) == ()
    assert fits(ships("1"), opened), "old instances that drain are not judged by it"


def test_a_start_must_fit_what_is_intended() -> None:
    now = applied("1", "2")
    door = announced(now, (Intent(contract("2")),))
    assert not fits(ships("1"), door)
    assert fits(ships("1", "2", "2/contract"), door)
    assert not door.has(contract("2")), "an intent is not a finished half"
    taken_back = announced(now, (Intent(expand("2"), revert=True),))
    assert not fits(ships("1", "2"), taken_back)
    assert fits(ships("1"), taken_back)


@pytest.mark.parametrize(
    ("revision", "short"),
    [
        ("0123456789abcdef0123456789abcdef01234567", "0123456789ab"),
        ("v1.2.3", release_id("v1.2.3")),
    ],
)
def test_release_id(revision: str, short: str) -> None:
    assert release_id(revision) == short
    assert len(release_id(revision)) == 12
    assert session_release(session_name(release_id(revision))) == release_id(revision)


@pytest.mark.parametrize(
    ("name", "release"),
    [
        ("plt-0123456789ab", "0123456789ab"),
        ("plt-0123456789ab shop web", "0123456789ab"),
        ("shop plt-0123456789ab", "0123456789ab"),
        ("plt-0123456789", None),
        ("plt-0123456789abc", None),
        ("psql", None),
        (f"{'x' * 52}plt-0123456789ab"[:63], None),
    ],
)
def test_a_session_name_cut_short_proves_nothing(name: str, release: str | None) -> None:
    assert session_release(name) == release


def test_a_registration_is_alive_only_where_nobody_can_look() -> None:
    def registered(host: str) -> Registration:
        return Registration(f"i-{host}", "shop", host, "r1", ships("1"))

    seen = Instance("seen", "shop", "web", "a", "r1")
    dead = Instance("dead", "shop", "web", "a", "r1", life=Life.DEAD)
    observed = Observed(
        hosts=(Host("a"), Host("b", reachable=False)),
        instances=(seen, dead),
        schema=SchemaView(registered=(registered("a"), registered("b"), registered("c"))),
    )
    assert [i.id for i in observed.alive] == ["seen", "i-b", "i-c"]


def test_a_host_of_the_inventory_that_the_target_does_not_know_is_unreachable() -> None:
    observed = Observed(state=DeployState(hosts=("a", "gone")), hosts=(Host("a"),))
    assert observed.unreachable == ("gone",)


def test_deploy_state_survives_json() -> None:
    state = DeployState(
        token=7,
        lease=LeaseRow("me@here", "deploy", "step", 1.0, 2.0),
        spec=Spec(to="b", from_="a", attempt=2, switched_at=3.0, aborted_reason="no"),
        releases=(
            Release("a", "aaaa", ships("1", "1/contract", requires=frozenset({expand("1")}))),
            Release("b", "b", None, how="seen", deployed_at=4.0),
            Release("c", "c", ships("9", replaces=(("1", "8"),), breaks_old=frozenset({"9"}))),
        ),
        hosts=("one", "two"),
        history=(HistoryEntry(1, "deploy", "me", None, "a", 1.0, 2.0, "done", "", 0.5),),
    )
    assert DeployState.from_json(json.loads(json.dumps(state.to_json()))) == state
    assert DeployState.from_json({}) == DeployState()


def test_instances_survive_json() -> None:
    instance = Instance(
        "i", "shop", "web", "h", "r", "c", Kind.TRAFFIC, Life.DEAD, 3, "h:1", 2.0, "x"
    )
    assert Instance.from_json(json.loads(json.dumps(instance.to_json()))) == instance


@pytest.mark.parametrize("text", ["", "x", "1/", "1/neither", "1/expand/2"])
def test_half_refs_are_read_strictly(text: str) -> None:
    with pytest.raises(ValueError):
        HalfRef.parse(text)
    assert HalfRef.parse("12/contract") == contract("12")
    assert HalfRef.parse("12") == expand("12")


def test_file_order_is_numeric_and_expand_comes_first() -> None:
    refs = [contract("10"), expand("9"), contract("9"), expand("10")]
    assert [str(r) for r in sorted(refs)] == ["9/expand", "9/contract", "10/expand", "10/contract"]
