"""Deploys of releases that cannot be staged, under load: a page from the first moment to the last, and nothing else."""

from __future__ import annotations

import time

import psycopg
import pytest
from tests.e2e.closed.clients import Clients, clients
from tests.e2e.closed.conftest import BOTH, reading, unstageable
from tests.e2e.local.conftest import App

KINDS = (
    *("Fetch", "EnsureProxy", "CloseEdges", "Drain", "Stop", "Contract", "ApplyHalf"),
    *("Start", "Check", "Switch", "Confirm", "Start", "Check", "OpenEdges", "Finish"),
)


def only_pages_between(seen: Clients) -> None:
    """Each client got answers of the app, then pages, then answers of the app."""
    assert not seen.lost, seen.lost[:5]
    for number in range(len(seen.answers)):
        assert seen.phases(number) == [200, 503, 200]


def releases(seen: Clients) -> list[str]:
    """The releases that answered, in order."""
    return list(dict.fromkeys(a.body.split()[0] for a in seen.all if a.status == 200))


@BOTH
def test_what_cannot_be_staged_is_deployed_behind_a_page(app: App, served: str) -> None:
    reading(app, 2)
    second = unstageable(app, 2)
    refused = app.pilotage("plan", status=1).out
    assert "deploy --downtime" in refused
    assert "REFUSED" in app.pilotage("plan", status=1).out
    page = app.pilotage("plan", "--downtime").out
    assert "point of no return" in page
    assert "the edges stay closed" in page
    fingerprint = app.pilotage("plan", "--downtime", "--json").json["fingerprint"]

    with clients(app.port) as seen:
        seen.until(200, 0.0)
        said = app.pilotage("deploy", "--downtime", "--expect", fingerprint).out
        live = time.monotonic()
        seen.until(200, live)

    only_pages_between(seen)
    assert releases(seen) == [served, second]
    assert not [a for a in seen.since(live) if a.status != 200]
    assert f"{second} is what runs now" in said
    assert {c for t, c in app.schema() if t == "items"} == {"id", "name", "c2"}
    assert "nothing to do" in app.pilotage("deploy", "--downtime").out
    assert "does not fit" in app.pilotage("rollback", served, status=1).err


@BOTH
def test_it_fails_in_the_middle_and_stays_closed_until_it_is_mended(app: App, served: str) -> None:
    reading(app, 2, at_start='raise SystemExit("no")')
    bad = unstageable(app, 2)
    with clients(app.port, 4) as seen:
        seen.until(200, 0.0)
        failed = app.pilotage("deploy", "--downtime", status=1).err
        assert "applied: 20270201000000/contract, 20270202000000/expand" in failed
        assert "nothing runs" in failed
        assert "the edges stay closed: maintenance is on" in failed
        refused = app.pilotage("live", status=1).err
        assert f"pilotage deploy --version {bad}" in refused
        assert "pilotage rollback" not in failed + refused, "that one no longer fits"
        assert "does not fit" in app.pilotage("rollback", status=1).err
        assert "nothing serves" in app.pilotage("status").out
        reading(app, 2)
        mended = app.commit("v2, mended")
        app.pilotage("deploy")
        seen.until(200, time.monotonic())
    only_pages_between(seen)
    assert releases(seen) == [served, mended]


def test_live_on_failure_brings_back_what_still_fits(app: App, served: str) -> None:
    reading(app, 1, at_start='raise SystemExit("no")')
    app.commit("v2, without a change of the schema")
    with clients(app.port, 4) as seen:
        seen.until(200, 0.0)
        failed = app.pilotage("deploy", "--downtime", "--live-on-failure", status=1).err
        back = time.monotonic()
        seen.until(200, back)
    assert f"release {served} serves as before" in failed
    only_pages_between(seen)
    assert releases(seen) == [served]
    assert app.status()["closure"] is None


def test_live_on_failure_stays_closed_when_the_old_release_no_longer_fits(
    app: App, served: str
) -> None:
    reading(app, 2, at_start='raise SystemExit("no")')
    unstageable(app, 2)
    failed = app.pilotage("deploy", "--downtime", "--live-on-failure", status=1).err
    assert "the way back is barred" in failed
    assert "the edges stay closed: maintenance is on" in failed
    with clients(app.port, 1) as seen:
        seen.until(503, 0.0)
    assert not seen.lost


@pytest.mark.parametrize("app", ["postgresql-15"], indirect=True)
def test_rolled_back_before_the_point_of_no_return(app: App, served: str) -> None:
    reading(app, 2)
    unstageable(app, 2)
    with clients(app.port, 4) as seen, psycopg.connect(app.url) as reader:
        seen.until(200, 0.0)
        reader.execute(
            "SELECT id FROM items"
        )  # and its transaction stays open: no half gets its lock
        deployer = app.start("deploy", "--downtime", "--json")
        app.until(deployer, event="HalfRetried", half="20270201000000/contract")
        app.kill(deployer)
        assert "in maintenance; nothing serves" in app.pilotage("status").out
        app.pilotage("rollback")
        seen.until(200, time.monotonic())
    only_pages_between(seen)
    assert releases(seen) == [served]


def test_an_open_console_is_told_of_before_anything_is_closed(app: App, served: str) -> None:
    reading(app, 2)
    unstageable(app, 2)
    console = app.start("exec", "--", "sleep", "60")
    app.wait(lambda: any(i["kind"] == "console" for i in app.status()["instances"]))
    refused = app.pilotage("deploy", "--downtime", status=1).err
    assert "console" in refused
    assert app.serving() == served
    console.terminate()
    console.communicate()
    app.pilotage("deploy", "--downtime")


def test_a_deployer_that_is_killed_at_each_step(app: App, served: str) -> None:
    """Fifteen releases, none of which can be staged; each deploy dies at its next step, and runs again."""
    with clients(app.port, 4) as seen:
        seen.until(200, 0.0)
        for number, kind in enumerate(KINDS, 2):
            reading(app, number)
            release = unstageable(app, number)
            index = number - 2
            deployer = app.start("deploy", "--downtime", "--json")
            app.until(deployer, event="StepStarted", index=index, kind=kind)
            app.kill(deployer)
            app.pilotage("deploy")
            settled = time.monotonic()
            seen.until(200, settled)
            status = app.status()
            assert status["settled"], (kind, status["state"])
            assert status["closure"] is None
            assert status["astray"] == []
            assert {i["release"] for i in status["instances"]} == {release}
            assert not seen.lost, (kind, seen.lost[:3])
            late = [a for a in seen.since(settled) if a.body.split()[0] != release]
            assert not late, (kind, late[:3])
