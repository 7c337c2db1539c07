"""Plans, states and histories as pages: everything that a person decides by is on them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import click
import pytest
from tests.unit.world import CLAIM, MemoryWorld, goal, migration, migrations

from pilotage.cli.pages import history, plan, status
from pilotage.cli.pages.about import About
from pilotage.deploy import deploy
from pilotage.errors import Misfit
from pilotage.events import ignore
from pilotage.migrate.migration import Migration, Section
from pilotage.model import (
    DeployState,
    Half,
    HalfRef,
    HalfRow,
    Instance,
    Intent,
    LeaseRow,
    Life,
    Observed,
    Release,
    SchemaView,
    Session,
    Ships,
    Spec,
)
from pilotage.observe import observe
from pilotage.plan import Plan, plan_deploy
from pilotage.source import Revision
from pilotage.steps import Check, Confirm, Contract, Drain, Fetch, Finish, Start, Switch

ABOUT = About("shop", dialect="postgresql")
REVISION = Revision("b" * 40, "main")


def printed(lines) -> str:
    return click.unstyle("\n".join(lines))


def second_plan(**changes: object) -> Plan:
    """The plan of a second release over a first that serves, in a world without a schema."""

    async def main() -> Plan:
        world = MemoryWorld()
        await deploy(world.world, goal("a" * 40), CLAIM, ignore)
        return plan_deploy(await observe(world.world), goal("b" * 40), now=1.0)

    return replace(asyncio.run(main()), **changes)


def with_sql(made: Migration, **texts: str) -> Migration:
    """A migration with these texts in its sections."""
    sections = {name: Section(text, 1) for name, text in texts.items()}
    return replace(made, **sections)


def test_plan_shows_the_way_the_steps_and_what_happens_when_one_fails():
    text = printed(plan.page(ABOUT, REVISION, second_plan()))
    assert text.startswith(f"shop   {'a' * 12} → {'b' * 12}, main\n")
    assert "   1  fetch bbbbbbbbbbbb where it will run" in text
    assert f"SWITCH new requests to {'b' * 12} on localhost" in text
    assert f"the traffic goes back, the new instances are stopped, {'a' * 12} serves as before" in (
        " ".join(text.split())
    )
    assert f"none: `pilotage rollback` goes back to {'a' * 12}" in text
    assert "What a contract can be proven by" in text


def test_plan_shows_what_each_half_does():
    made = with_sql(
        migration("7", "expand", "backfill", "contract"),
        expand="ALTER TABLE t\n  ADD COLUMN b int;\nCREATE INDEX ON t (b);",
        backfill="UPDATE t SET b = a WHERE b IS NULL;",
        contract="ALTER TABLE t DROP COLUMN a;",
    )
    from pilotage.model import expand
    from pilotage.steps import ApplyHalf, Backfill

    steps = (ApplyHalf(expand("7"), "m7"), Backfill("7", "m7"))
    text = printed(
        plan.page(ABOUT, REVISION, second_plan(steps=steps, migrations=migrations(made)))
    )
    assert "    expand    ALTER TABLE t ADD COLUMN b int\n" in text
    assert "              CREATE INDEX ON t (b)\n" in text
    assert "    backfill  UPDATE t SET b = a WHERE b IS NULL\n" in text
    assert "    contract  held for the next deploy: ALTER TABLE t DROP COLUMN a\n" in text


def test_plan_that_is_refused_says_why_first():
    refused = Misfit("it does not fit", next="deploy another")
    text = printed(plan.page(ABOUT, REVISION, second_plan(refusals=(refused,))))
    assert text.index("REFUSED it does not fit") < text.index("Steps")
    assert "  next   deploy another" in text


def test_plan_marks_the_point_of_no_return():
    text = printed(plan.page(ABOUT, REVISION, second_plan(point_of_no_return=2)))
    lines = text.splitlines()
    assert lines.index("   ┄┄┄ point of no return ┄┄┄") + 1 == next(
        number for number, line in enumerate(lines) if line.startswith("   3  ")
    )
    assert "step 3: from there on aaaaaaaaaaaa cannot be started any more" in text


def test_plan_names_the_releases_that_a_contract_bars():
    knows = Ships(expands=frozenset({"1"}), contracts=frozenset({"1"}))
    state = DeployState(
        releases=(
            Release("a" * 12, "a" * 40, Ships(), deployed_at=1.0),
            Release("b" * 12, "b" * 40, knows, deployed_at=2.0),
            Release("c" * 12, "c" * 40, Ships()),
        )
    )
    steps = (Fetch("b"), Contract((HalfRef("1", Half.CONTRACT),), ("one",)), Finish("b" * 12))
    barred = plan.barred_by(Observed(state=state), steps)
    assert barred == {1: ["a" * 12]}
    made = second_plan(steps=steps, spec=Spec("c" * 12, "b" * 12))
    text = printed(plan.page(ABOUT, REVISION, made, (), barred))
    assert f"step 2: after it {'a' * 12} cannot be rolled back to" in text


def test_plan_of_a_release_that_was_aborted():
    spec = Spec("b" * 12, "a" * 12, aborted_reason="it never became healthy")
    text = printed(plan.page(ABOUT, REVISION, second_plan(verb="return", spec=spec)))
    assert f"back to {'a' * 12}" in text
    assert "it never became healthy" in text
    assert f"`pilotage deploy --version {'b' * 12} --again`" in text


def test_plan_says_what_the_worktree_has_more():
    dirty = replace(REVISION, dirty=("app.py", "new.py"))
    text = printed(plan.page(ABOUT, dirty, second_plan()))
    assert "2 paths of the worktree are not committed" in text


def test_phases_cover_every_step_once():
    made = second_plan()
    phases = plan.phases_of(made.steps)
    covered = [i for first, last in phases.values() for i in range(first, last + 1)]
    assert covered == list(range(len(made.steps)))
    first, last = phases["start and switch"]
    assert isinstance(made.steps[first], Start)
    assert isinstance(made.steps[last], Confirm)


@pytest.mark.parametrize(
    ("steps", "phases"),
    [
        ((Fetch("b"), Finish("b")), {"release phase": (0, 1)}),
        ((Start((), "b"), Check(()), Finish("b")), {"afterwards": (0, 2)}),
        (
            (Check(()), Switch("b", ()), Confirm(()), Drain((), 1.0)),
            {"start and switch": (0, 2), "afterwards": (3, 3)},
        ),
    ],
)
def test_phases(steps, phases):
    assert plan.phases_of(steps) == phases


def test_plan_as_json_has_the_statements():
    from pilotage.model import expand
    from pilotage.steps import ApplyHalf

    made = with_sql(migration("7", "expand"), expand="CREATE TABLE t (i int);")
    data = plan.to_json(
        ABOUT,
        REVISION,
        second_plan(steps=(ApplyHalf(expand("7"), "m7"),), migrations=migrations(made)),
    )
    assert data["migrations"][0]["half"] == "7/expand"
    assert data["migrations"][0]["statements"] == ["CREATE TABLE t (i int)"]
    assert data["revision"] == REVISION.sha


# ----------------------------------------------------------------------------------------------
# Status
# ----------------------------------------------------------------------------------------------

SHIPS = Ships(expands=frozenset({"1", "2"}), contracts=frozenset({"2"}))


def standing_state(**changes: object) -> Observed:
    """A release that serves, with a contract half held, and an old console."""
    release = Release("a" * 12, "a" * 40, SHIPS)
    rows = (
        HalfRow(HalfRef("1", Half.EXPAND), "first", finished_at=1.0),
        HalfRow(HalfRef("2", Half.EXPAND), "second", finished_at=2.0),
    )
    made = Observed(
        state=DeployState(
            spec=Spec("a" * 12, finished_at=5.0), releases=(release,), hosts=("here",)
        ),
        instances=(
            Instance("web-1", "shop", "web", "here", "a" * 12, started_at=90.0),
            Instance("web-2", "shop", "web", "here", "c" * 12, life=Life.DEAD, detail="exited 3"),
        ),
        schema=SchemaView(rows=rows, dialect="postgresql"),
    )
    return replace(made, **changes)


def test_status_shows_instances_schema_and_lock():
    text = printed(status.page(ABOUT, standing_state(), 100.0))
    assert f"● shop   release {'a' * 12} serves" in text
    assert "up 10.0 s" in text
    assert "dead: exited 3" in text
    assert "postgresql, at 2" in text
    assert "held     2/contract second" in text
    assert "free" in text


def test_status_shows_what_blocks():
    schema = replace(
        standing_state().schema,
        rows=(HalfRow(HalfRef("1", Half.EXPAND), "first", statements_done=1),),
        intents=(Intent(HalfRef("2", Half.CONTRACT)),),
        sessions=(Session(7, f"plt-{'c' * 12}"), Session(8, "psql")),
    )
    state = replace(
        standing_state().state,
        lease=LeaseRow("bob@there:1", "a fix", "expand 1", since=40.0, expires=130.0),
        hosts=("here", "gone"),
    )
    text = printed(status.page(ABOUT, standing_state(schema=schema, state=state), 100.0))
    assert "1/expand first began and is not finished (1 statement done)" in text
    assert "pending  1/expand first" in text
    assert "intent   to apply 2/contract" in text
    assert f"1  release {'c' * 12}" in text
    assert "1  psql" in text
    assert "bob@there:1 (a fix), since 1 min 0 s ago, now: expand 1" in text
    assert "gone is in the inventory and not configured any more" in text


def test_status_shows_a_misfit():
    schema = replace(
        standing_state().schema, rows=(HalfRow(HalfRef("9", Half.CONTRACT), finished_at=1.0),)
    )
    found = standing_state(schema=schema)
    assert "DOES NOT FIT: it needs 1/expand" in printed(status.page(ABOUT, found, 100.0))
    data = status.to_json(ABOUT, found, 100.0)
    assert data["instances"][0]["fits"] is False
    assert "9/contract" in data["instances"][0]["why"]
    assert data["instances"][1]["fits"] is None, "nobody knows what that release ships"


def test_lock_of_a_person_and_of_one_who_is_gone():
    hold = LeaseRow("ann@x:1", "talk", since=0.0, hold=True)
    assert "until it is released" in click.unstyle(status.lock_line(hold, 100.0))
    gone = LeaseRow("ann@x:1", "", since=0.0, expires=30.0)
    assert "is gone" in click.unstyle(status.lock_line(gone, 100.0))


def test_history_tells_why_something_failed():
    from pilotage.model import HistoryEntry

    entries = (
        HistoryEntry(2, "deploy", "ann@x:1", "a" * 12, "b" * 12, 10.0, 12.5, "failed", "it broke"),
        HistoryEntry(1, "deploy", "ann@x:1", None, "a" * 12, 1.0, 2.0, "done"),
    )
    text = printed(history.page(entries))
    first, why, second = text.splitlines()
    assert f"{'a' * 12} → {'b' * 12}" in first
    assert "2.5 s" in first
    assert why.strip() == "it broke"
    assert "done" in second
    assert printed(history.page(())) == "nothing was deployed yet"
