"""Plans of deploys with downtime, printed: what is closed, stopped, applied and opened, in which order."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.test_plan import BASE, NOW, RETYPE, V, after, rows, v
from tests.unit.world import goal, migration

from pilotage import page
from pilotage.errors import Blocked
from pilotage.model import (
    Closure,
    Front,
    HalfRef,
    Instance,
    Kind,
    Observed,
    Route,
    SchemaView,
    Session,
    Spec,
    session_name,
)
from pilotage.plan import Goal, Plan, plan_deploy, plan_rollback

PAGE = page.maintenance()
HELD = ("1/expand", "2/expand", "3/expand")
RUN = [
    "start 2 × web of v4, without traffic",
    "wait until 2 × web healthy",
    f"SWITCH new requests to {V[4]} on localhost",
    "verify the switch: every new instance is still healthy",
    "start 1 × worker of v4",
    "wait until 1 × worker healthy",
]
STOP = ["drain 2 × web, at most 30 s", f"stop 2 × web and 1 × worker of {V[3]}"]
CLOSE = [
    "make sure that the proxy runs",
    "MAINTENANCE on localhost: new requests are answered with 503",
]
OPEN = ["LIVE on localhost: the maintenance ends", f"record {V[4]} as what runs now"]


def contracting(*halves: str) -> str:
    return f"prove that nothing older runs, then contract {', '.join(halves)}"


HOLD = " (or hold it, if something older turns up)"


def down(observed: Observed, wanted: Goal) -> Plan:
    return plan_deploy(observed, wanted, now=NOW, downtime=True)


def steps(plan: Plan) -> list[str]:
    assert not plan.refusals, [r.what for r in plan.refusals]
    return [step.describe() for step in plan.steps]


def test_everything_stops_all_halves_run_and_what_was_closed_is_opened() -> None:
    plan = down(after(3, *HELD), v(4))
    assert steps(plan) == [
        "fetch v4 where it will run",
        *CLOSE,
        *STOP,
        contracting("3 m3") + HOLD,
        "expand 4 m4",
        contracting("4 m4") + HOLD,
        *RUN,
        *OPEN,
    ]
    assert plan.downtime
    assert plan.spec.downtime
    assert plan.held == ()
    assert plan.point_of_no_return == 7, (
        "3 is a half that v3 ships: it can come back until 4/contract"
    )


def test_a_contract_before_a_pending_expand_can_only_be_done_with_downtime() -> None:
    drop = migration("5", "contract")
    anew = migration("6", "expand", requires=frozenset({HalfRef.parse("5/contract")}))
    wanted = goal("v4", BASE, drop, anew)
    was = goal("v3", BASE)
    observed = after(1, "1/expand", by=was)
    observed = replace(
        observed,
        state=replace(
            observed.state, releases=(was.release,), spec=Spec(to=was.release.id, finished_at=1.0)
        ),
        schema=replace(observed.schema, sessions=()),
    )

    staged = plan_deploy(observed, wanted, now=NOW)
    assert staged.refusals
    assert any("deploy --downtime" in note for note in staged.notes)

    plan = down(observed, wanted)
    assert steps(plan)[5:8] == [contracting("5 m5"), "expand 6 m6", *RUN[:1]]
    assert plan.point_of_no_return == 5


def test_a_console_keeps_a_contract_half_held_and_bars_one_that_is_required() -> None:
    observed = after(3, *HELD)
    console = Instance("shop-console-1", "shop", "console", "localhost", V[2], kind=Kind.CONSOLE)
    observed = replace(observed, instances=(*observed.instances, console))

    plan = down(observed, v(4))
    lines = steps(plan)
    assert not any("contract" in line for line in lines)
    assert console.id not in "".join(lines), "nobody stops a person's console"
    assert [str(ref) for ref in plan.held] == ["3/contract", "4/contract"]
    assert "console shop-console-1" in plan.notes[0]

    needy = replace(
        RETYPE,
        expand=replace(
            RETYPE.expand,
            directives=replace(
                RETYPE.expand.directives, requires=frozenset({HalfRef.parse("3/contract")})
            ),
        ),
    )  # type: ignore[arg-type,union-attr]
    barred = down(observed, goal("v4", BASE, *v(3).migrations.by_version.values(), needy))
    assert isinstance(barred.refusals[0], Blocked)
    assert "console shop-console-1" in barred.refusals[0].what


def test_sessions_of_what_is_stopped_end_with_it_and_those_of_nobody_block() -> None:
    observed = after(3, *HELD)
    assert observed.schema.sessions is not None
    stray = Session(9, session_name(V[1]), "10.0.0.9")
    schema = replace(observed.schema, sessions=(*observed.schema.sessions, stray))
    plan = down(replace(observed, schema=schema), v(4))
    assert "database session 9" in plan.notes[0]
    assert V[3] not in plan.notes[0]


def test_under_manual_only_what_the_release_requires_is_contracted() -> None:
    plan = down(after(3, *HELD, by=v(3, contract="manual")), v(4, contract="manual"))
    assert not any("contract" in line for line in steps(plan))
    assert [str(ref) for ref in plan.held] == ["3/contract", "4/contract"]


def test_a_persons_closure_is_neither_replaced_nor_ended() -> None:
    observed = after(3, *HELD)
    mine = Closure(Front("maintenance", "tea"), "person", "ada", 5.0)
    observed = replace(observed, state=replace(observed.state, closure=mine))
    lines = steps(down(observed, v(4)))
    assert lines[2] == "MAINTENANCE on localhost: ada closed the edges, and they stay so"
    assert not any(line.startswith("LIVE") for line in lines)


def test_nothing_is_stopped_when_there_is_nothing_to_stop_for() -> None:
    plan = down(after(3, *HELD), v(3))
    assert (plan.steps, plan.downtime) == ((), False)
    first = Observed(hosts=after(1).hosts, schema=SchemaView(fresh=True, dialect="postgresql"))
    assert not any("MAINTENANCE" in line for line in steps(down(first, v(4))))


def in_the_middle(*halves: str) -> Observed:
    """A deploy with downtime to v4 has stopped v3, and was killed."""
    observed = after(3)
    spec = Spec(to=V[4], from_=V[3], started_at=NOW, downtime=True)
    releases = (*observed.state.releases, v(4).release)
    closure = Closure(PAGE, "deploy", "ada", NOW)
    return replace(
        observed,
        state=replace(observed.state, spec=spec, releases=releases, closure=closure),
        instances=(),
        routes={"localhost": Route(front=PAGE)},
        schema=replace(observed.schema, rows=rows(*halves), sessions=()),
    )


def test_after_a_crash_the_same_command_goes_on_whether_or_not_it_says_downtime() -> None:
    observed = in_the_middle(*HELD, "3/contract", "4/expand")
    for asked in (True, False):
        plan = plan_deploy(observed, v(4), now=NOW, downtime=asked)
        assert plan.spec.attempt == 2
        assert plan.downtime
        assert steps(plan) == [
            "fetch v4 where it will run",
            *CLOSE,
            contracting("4 m4") + HOLD,
            *RUN,
            *OPEN,
        ]


def test_another_release_takes_the_place_of_one_whose_downtime_is_unfinished() -> None:
    mended = goal("v5", *v(4).migrations.by_version.values())
    plan = plan_deploy(in_the_middle(*HELD), mended, now=NOW)
    assert plan.downtime
    assert plan.spec.downtime
    assert steps(plan)[-2].startswith("LIVE")
    assert any("contract 3 m3" in line for line in steps(plan))


def test_a_rollback_in_the_middle_starts_the_old_release_and_opens() -> None:
    plan = plan_rollback(in_the_middle(*HELD, "3/contract", "4/expand"), v(3), now=NOW)
    assert [line for line in steps(plan) if "v3" in line or "LIVE" in line] == [
        "fetch v3 where it will run",
        "start 2 × web of v3, without traffic",
        "start 1 × worker of v3",
        "LIVE on localhost: the maintenance ends",
    ]
    assert plan_rollback(in_the_middle(*HELD, "4/expand", "4/contract"), v(3), now=NOW).refusals


def test_an_edge_that_was_left_closed_is_opened_by_a_deploy_once_it_was_checked() -> None:
    observed = after(3, *HELD)
    left = replace(observed.routes["localhost"], front=PAGE)
    observed = replace(observed, routes={"localhost": left})
    assert observed.astray == ("localhost",)
    lines = steps(plan_deploy(observed, v(3), now=NOW))
    assert lines == [
        "fetch v3 where it will run",
        "make sure that the proxy runs",
        "wait until 2 × web and 1 × worker healthy",
        "LIVE on localhost: the maintenance ends",
        f"record {V[3]} as what runs now",
    ]


def test_a_service_that_no_longer_takes_requests_is_not_left_behind_a_page() -> None:
    wanted = v(4)
    roles = tuple(role for role in wanted.layout.roles if not role.traffic)
    wanted = replace(wanted, layout=replace(wanted.layout, roles=roles))
    lines = steps(down(after(3, *HELD), wanted))
    assert CLOSE[1] in lines
    assert lines[-2] == "LIVE: the maintenance ends"
