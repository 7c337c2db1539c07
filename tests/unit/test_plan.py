"""Plans, printed: the order of steps in every situation that the design names."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.world import goal, migration

from pilotage.errors import Blocked, Misfit
from pilotage.migrate.migration import Migration
from pilotage.model import (
    DeployState,
    Endpoint,
    HalfRef,
    HalfRow,
    Host,
    Instance,
    Kind,
    Life,
    Observed,
    Registration,
    Release,
    Route,
    SchemaView,
    Session,
    Ships,
    Spec,
    contract,
    release_id,
    session_name,
)
from pilotage.plan import Goal, plan_contract, plan_deploy, plan_rollback
from pilotage.steps import Contract, Open, Soak, Start

NOW = 1000.0
V = {n: release_id(f"v{n}") for n in range(1, 7)}

BASE = migration("1", "expand")
ADD = migration("2", "expand")
RENAME = migration("3", "expand", "backfill", "verify", "contract")
RETYPE = migration("4", "expand", "contract")
FILES = {1: (BASE,), 2: (BASE, ADD), 3: (BASE, ADD, RENAME), 4: (BASE, ADD, RENAME, RETYPE)}


def v(number: int, **policy: object) -> Goal:
    return goal(f"v{number}", *FILES[number], **policy)


def rows(*halves: str, running: str | None = None) -> tuple[HalfRow, ...]:
    done = tuple(
        HalfRow(HalfRef.parse(h), started_at=1.0, finished_at=2.0) for h in halves if h != running
    )
    return (*done, *((HalfRow(HalfRef.parse(running), started_at=1.0),) if running else ()))


def after(number: int, *halves: str, by: Goal | None = None, **changes: object) -> Observed:
    """What is after release ``number`` was deployed, with these halves applied."""
    made = by or v(number)
    instances = tuple(
        replace(i, life=Life.RUNNING, address=f"h:{n}")
        for n, i in enumerate(made.layout.wanted(made.release))
    )
    web = [i for i in instances if i.kind is Kind.TRAFFIC]
    route = Route(tuple(Endpoint(i.id, i.release, i.address or "") for i in web))
    releases = tuple(replace(v(n).release, deployed_at=float(n)) for n in range(1, number + 1))
    before = V[number - 1] if number > 1 else None
    observed = Observed(
        state=DeployState(
            token=1,
            spec=Spec(to=V[number], from_=before, switched_at=9.0, finished_at=9.0),
            releases=releases,
            hosts=("localhost",),
        ),
        hosts=(Host("localhost"),),
        instances=instances,
        routes={"localhost": route},
        schema=SchemaView(
            rows=rows(*halves),
            sessions=(Session(7, session_name(V[number])),),
            dialect="postgresql",
        ),
    )
    return replace(observed, **changes)  # type: ignore[arg-type]


def story(observed: Observed, wanted: Goal, **more: object) -> list[str]:
    plan = plan_deploy(observed, wanted, now=NOW, **more)  # type: ignore[arg-type]
    assert not plan.refusals, [r.what for r in plan.refusals]
    return [step.describe() for step in plan.steps]


EMPTY = Observed(hosts=(Host("localhost"),), schema=SchemaView(fresh=True, dialect="postgresql"))


def rollout(new: int, old: int | None) -> list[str]:
    """The part of a plan that changes what runs."""
    lines = [
        "make sure that the proxy runs",
        f"start 2 × web of v{new}, without traffic",
        "wait until 2 × web healthy",
        f"SWITCH new requests to {V[new]} on localhost",
        "verify the switch: every new instance is still healthy",
        f"start 1 × worker of v{new}",
        "wait until 1 × worker healthy",
    ]
    if old:
        lines += [
            f"stop 1 × worker of {V[old]}",
            "drain 2 × web, at most 30 s",
            f"stop 2 × web of {V[old]}",
        ]
    return [*lines, f"record {V[new]} as what runs now"]


def test_an_empty_database_takes_halves_in_file_order() -> None:
    assert story(EMPTY, v(4)) == [
        "fetch v4 where it will run",
        "expand 1 m1",
        "expand 2 m2",
        "expand 3 m3",
        "backfill 3 m3, in batches",
        "prove that nothing older runs, then contract 3 m3",
        "expand 4 m4",
        "prove that nothing older runs, then contract 4 m4",
        *rollout(4, None),
    ]


def test_one_release_after_the_other_holds_the_contract_until_the_next() -> None:
    observed = after(2, "1", "2")
    assert story(observed, v(3)) == [
        "fetch v3 where it will run",
        "expand 3 m3",
        "backfill 3 m3, in batches",
        *rollout(3, 2),
    ]
    plan = plan_deploy(observed, v(3), now=NOW)
    assert plan.held == (contract("3"),)
    assert plan.point_of_no_return is None

    later = after(3, "1", "2", "3")
    assert story(later, v(4)) == [
        "fetch v4 where it will run",
        "prove that nothing older runs, then contract 3 m3 (or hold it, if something older turns up)",
        "expand 4 m4",
        *rollout(4, 3),
    ]


def test_a_deploy_that_skips_releases_expands_them_all_and_holds_every_contract() -> None:
    observed = after(1, "1")
    assert story(observed, v(4)) == [
        "fetch v4 where it will run",
        "expand 2 m2",
        "expand 3 m3",
        "backfill 3 m3, in batches",
        "expand 4 m4",
        *rollout(4, 1),
    ]
    assert plan_deploy(observed, v(4), now=NOW).held == (contract("3"), contract("4"))


def test_a_contract_stays_held_while_something_older_is_left() -> None:
    console = Instance("c", "shop", "", "localhost", V[2], kind=Kind.CONSOLE)
    observed = after(3, "1", "2", "3")
    observed = replace(observed, instances=(*observed.instances, console))
    plan = plan_deploy(observed, v(4), now=NOW)
    assert not any(isinstance(step, Contract) for step in plan.steps)
    assert plan.held == (contract("3"), contract("4"))
    assert any("console c" in note and "stays held" in note for note in plan.notes)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"hosts": (Host("localhost"), Host("b", reachable=False))}, "host b does not answer"),
        (
            {
                "schema": replace(
                    after(3, "1", "2", "3").schema,
                    sessions=(Session(42, session_name(V[2]), "10.0.0.9"),),
                )
            },
            "database session 42 from 10.0.0.9",
        ),
        (
            {
                "schema": replace(
                    after(3, "1", "2", "3").schema,
                    registered=(Registration("x", "shop", "elsewhere", V[2], v(2).release.ships),),
                )
            },
            "x of release",
        ),
        (
            {
                "schema": replace(
                    after(3, "1", "2", "3").schema,
                    sessions=(Session(42, session_name("ffffffffffff")),),
                )
            },
            "database session 42",
        ),
    ],
)
def test_what_blocks_a_contract(change: dict[str, object], word: str) -> None:
    observed = after(3, "1", "2", "3", **change)
    plan = plan_contract(observed, v(3))
    (refusal,) = plan.refusals
    assert isinstance(refusal, Blocked)
    assert word in refusal.what


def test_a_host_taken_from_the_configuration_blocks_until_it_is_forgotten() -> None:
    observed = after(3, "1", "2", "3")
    observed = replace(observed, state=replace(observed.state, hosts=("localhost", "old")))
    assert "host old" in plan_contract(observed, v(3)).refusals[0].what


def test_a_consumer_that_registered_nothing_blocks() -> None:
    observed = after(3, "1", "2", "3")
    wanted = v(3, consumers=("billing",))
    assert "consumer billing" in plan_contract(observed, wanted).refusals[0].what
    schema = replace(
        observed.schema,
        registered=(Registration("b", "billing", "h2", V[3], v(3).release.ships),),
    )
    assert not plan_contract(replace(observed, schema=schema), wanted).refusals


def test_the_contract_verb() -> None:
    plan = plan_contract(after(3, "1", "2", "3"), v(3))
    assert [s.describe() for s in plan.steps] == [
        "prove that nothing older runs, then contract 3 m3"
    ]
    assert plan.point_of_no_return == 0
    assert not plan.refusals
    early = plan_contract(after(3, "1", "2"), v(3))
    assert "may not run before 3/expand" in early.refusals[0].what


def test_evidence_needs_a_positive_control() -> None:
    observed = after(3, "1", "2", "3")
    assert any(
        "seen by name" in line and "would be" in line for line in observed_evidence(observed)
    )
    hidden = replace(observed, schema=replace(observed.schema, sessions=(Session(1, "psql"),)))
    assert any("instances only" in line for line in observed_evidence(hidden))
    sqlite = replace(observed, schema=replace(observed.schema, sessions=None, dialect="sqlite"))
    assert any("instances only; sqlite" in line for line in observed_evidence(sqlite))


def observed_evidence(observed: Observed) -> tuple[str, ...]:
    return plan_contract(observed, v(3)).evidence


def test_manual_leaves_contracts_to_a_person() -> None:
    observed = after(3, "1", "2", "3")
    plan = plan_deploy(observed, v(4, contract="manual"), now=NOW)
    assert not any(isinstance(step, Contract) for step in plan.steps)
    assert plan.held == (contract("3"), contract("4"))


def test_auto_contracts_after_the_soak_and_takes_up_an_interrupted_one() -> None:
    observed = after(2, "1", "2")
    plan = plan_deploy(observed, v(3, contract="auto", soak=60.0), now=NOW)
    assert plan.steps[-2] == Soak(60.0, None)
    assert plan.steps[-1] == Contract((contract("3"),), ("m3",), optional=True)
    interrupted = after(3, "1", "2", "3")
    again = plan_deploy(interrupted, v(3, contract="auto", soak=60.0), now=NOW)
    assert again.steps[0] == Soak(60.0, 69.0)
    following = plan_deploy(interrupted, v(4, contract="auto"), now=NOW)
    assert following.steps[1] == Contract((contract("3"),), ("m3",), optional=True)


def test_deploying_the_same_release_again_never_contracts_under_next() -> None:
    observed = after(3, "1", "2", "3")
    assert story(observed, v(3)) == []


def test_a_required_contract_comes_first_and_is_not_optional() -> None:
    five = migration("5", "expand", requires=frozenset({contract("3")}))
    wanted = goal("v5", *FILES[4], five)
    observed = after(4, "1", "2", "3", "4")
    plan = plan_deploy(observed, wanted, now=NOW)
    assert not plan.refusals
    contracts = [step for step in plan.steps if isinstance(step, Contract)]
    assert [(str(s.refs[0]), s.optional) for s in contracts] == [
        ("3/contract", False),
        ("4/contract", True),
    ]
    by_hand = goal("v5", *FILES[4], five, contract="manual")
    refusals = plan_deploy(observed, by_hand, now=NOW).refusals
    assert refusals[0].next == "pilotage contract"


def test_a_release_that_requires_what_the_running_one_does_not_know_needs_a_stop_over() -> None:
    five = migration("5", "expand", requires=frozenset({contract("3")}))
    plan = plan_deploy(after(2, "1", "2"), goal("v5", *FILES[4], five), now=NOW)
    assert any(isinstance(r, Misfit) and "requires 3/contract" in r.what for r in plan.refusals)


def test_an_out_of_band_expand_half_must_be_there_first() -> None:
    big = migration("5", "expand", out_of_band=True)
    wanted = goal("v5", *FILES[4], big)
    plan = plan_deploy(after(4, "1", "2", "3", "4"), wanted, now=NOW)
    assert plan.refusals[0].next == "pilotage migrate run 5"
    done = after(4, "1", "2", "3", "4", "5")
    assert not plan_deploy(done, wanted, now=NOW).refusals
    fresh = plan_deploy(EMPTY, wanted, now=NOW)
    assert not fresh.refusals, "on an empty database there is nothing to be afraid of"


def test_an_out_of_band_contract_half_is_left_pending() -> None:
    big = migration("5", "expand", "contract")
    big = replace(
        big,
        contract=replace(
            big.contract,  # type: ignore[type-var]
            directives=replace(big.contract.directives, out_of_band=True),  # type: ignore[union-attr]
        ),
    )
    five = goal("v5", BASE, big)
    observed = after(1, "1", "5", by=five)
    observed = replace(
        observed,
        state=replace(
            observed.state, releases=(five.release,), spec=Spec(to=V[5], finished_at=1.0)
        ),
    )
    plan = plan_deploy(observed, goal("v6", BASE, big), now=NOW)
    assert not any(isinstance(step, Contract) for step in plan.steps)
    assert plan.held == (contract("5"),)
    by_hand = plan_contract(observed, five, only=(contract("5"),))
    assert len(by_hand.steps) == 1


def test_rollback_is_refused_once_the_contract_is_applied() -> None:
    observed = after(4, "1", "2", "3", "4", "3/contract")
    assert not plan_rollback(observed, v(3), now=NOW).refusals
    (refusal, *_) = plan_rollback(observed, v(2), now=NOW).refusals
    assert isinstance(refusal, Misfit)
    assert "written before 3/contract" in refusal.what
    assert "revert the code" in refusal.next


def test_a_contract_that_began_counts_already() -> None:
    observed = after(4, "1", "2", "3", "4")
    begun = replace(
        observed,
        schema=replace(observed.schema, rows=rows("1", "2", "3", "4", running="3/contract")),
    )
    assert plan_rollback(begun, v(2), now=NOW).refusals
    assert not plan_rollback(observed, v(2), now=NOW).refusals


def test_deploying_an_older_revision_is_refused_like_a_rollback() -> None:
    observed = after(4, "1", "2", "3", "4", "3/contract")
    assert isinstance(plan_deploy(observed, v(2), now=NOW).refusals[0], Misfit)


def test_new_data_that_old_code_cannot_read_moves_the_point_of_no_return() -> None:
    five = migration("5", "expand", breaks_old=True)
    wanted = goal("v5", *FILES[4], five)
    plan = plan_deploy(after(4, "1", "2", "3", "4", "3/contract", "4/contract"), wanted, now=NOW)
    assert plan.point_of_no_return is not None
    assert isinstance(plan.steps[plan.point_of_no_return], Open)
    assert plan.steps[plan.point_of_no_return + 1].kind == "Switch"
    opened = after(4, "1", "2", "3", "4", "3/contract", "4/contract", "5")
    opened = replace(
        opened,
        schema=replace(
            opened.schema,
            rows=tuple(
                replace(r, opened_at=5.0) if r.ref.version == "5" else r for r in opened.schema.rows
            ),
        ),
    )
    (refusal, *_) = plan_rollback(opened, v(4), now=NOW).refusals
    assert "cannot read the data that 5 allowed" in refusal.what


SQUASH = migration("35", "expand", replaces=(("1", "3"),))


def test_a_squash_is_adopted_where_all_that_it_replaces_is_applied() -> None:
    squashed = goal("v5", SQUASH, RETYPE)
    ready = after(4, "1", "2", "3", "4", "3/contract")
    assert story(ready, squashed)[1:3] == [
        "prove that nothing older runs, then contract 4 m4 (or hold it, if something older turns up)",
        "adopt 35 m35: all that it replaces is applied",
    ]
    early = plan_deploy(after(4, "1", "2", "3", "4"), squashed, now=NOW)
    assert "3/contract" in early.refusals[0].what
    behind = plan_deploy(after(2, "1", "2"), squashed, now=NOW)
    assert "3/expand" in behind.refusals[0].what


def test_a_squash_on_an_empty_database_is_applied() -> None:
    later = migration("40", "expand", "contract")
    assert story(EMPTY, goal("v5", SQUASH, later))[1:4] == [
        "expand 35 m35",
        "expand 40 m40",
        "prove that nothing older runs, then contract 40 m40",
    ]


def test_branches_merged_out_of_order_are_applied_as_a_set() -> None:
    late: Migration = migration("15", "expand")
    wanted = goal("v5", BASE, ADD, RENAME, RETYPE, late)
    assert "expand 15 m15" in story(after(4, "1", "2", "3", "4"), wanted)


def test_a_release_found_running_blocks_what_was_not_applied_when_it_was_seen() -> None:
    stranger = Instance("k", "shop", "web", "localhost", "feedfeedfeed", kind=Kind.TRAFFIC)
    observed = after(3, "1", "2", "3")
    observed = replace(
        observed,
        instances=(*observed.instances, stranger),
        state=observed.state.with_release(
            Release("feedfeedfeed", "feedfeedfeed", Ships(), how="seen")
        ),
    )
    plan = plan_contract(observed, v(3))
    assert "feedfeedfeed" in plan.refusals[0].what
    deploying = plan_deploy(observed, v(4), now=NOW)
    assert any("never recorded" in note for note in deploying.notes)


def test_a_crash_after_the_switch_is_finished_from_there() -> None:
    done = after(3, "1", "2", "3")
    old = tuple(
        replace(i, life=Life.RUNNING, address=f"h:{n}")
        for n, i in enumerate(v(2).layout.wanted(v(2).release), start=10)
    )
    crashed = replace(
        done,
        instances=(*(i for i in done.instances if i.kind is Kind.TRAFFIC), *old),
        state=replace(done.state, spec=Spec(to=V[3], from_=V[2], switched_at=5.0)),
    )
    plan = plan_deploy(crashed, v(3), now=NOW)
    assert plan.spec.attempt == 2
    assert not any(isinstance(s, Start) and s.instances[0].role == "web" for s in plan.steps)
    assert [s.describe() for s in plan.steps][-6:] == [
        "start 1 × worker of v3",
        "wait until 1 × worker healthy",
        f"stop 1 × worker of {V[2]}",
        "drain 2 × web, at most 30 s",
        f"stop 2 × web of {V[2]}",
        f"record {V[3]} as what runs now",
    ]


def test_the_fingerprint_changes_with_the_steps_and_with_the_files() -> None:
    observed = after(2, "1", "2")
    first = plan_deploy(observed, v(3), now=NOW).fingerprint
    assert plan_deploy(observed, v(3), now=NOW + 5).fingerprint == first
    edited = replace(RENAME, contract=replace(RENAME.contract, text="-- other"))  # type: ignore[type-var]
    other = goal("v3", BASE, ADD, edited)
    assert plan_deploy(observed, other, now=NOW).fingerprint != first
    assert plan_deploy(after(1, "1"), v(3), now=NOW).fingerprint != first


def test_new_code_waits_for_the_replicas() -> None:
    lines = story(after(2, "1", "2"), v(3, replicas=2))
    assert lines[2:4] == [
        "backfill 3 m3, in batches",
        "wait until 2 read replicas replayed it",
    ]
    assert story(after(3, "1", "2", "3"), v(3, replicas=2)) == []
