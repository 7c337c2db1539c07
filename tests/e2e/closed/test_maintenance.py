"""A person closes the edges and opens them, with clients who see every moment of it."""

from __future__ import annotations

import time

from tests.e2e.closed.clients import clients
from tests.e2e.closed.conftest import BOTH, reading
from tests.e2e.local.conftest import App


@BOTH
def test_a_page_and_then_the_site_again(app: App, served: str) -> None:
    with clients(app.port) as seen:
        seen.until(200, 0.0)
        said = app.pilotage("maintenance", "--message", "Back <soon> & well").out
        closed = time.monotonic()
        assert "`pilotage live` ends it" in said
        seen.until(503, closed)
        status = app.pilotage("status").out
        again = app.pilotage("live").out
        opened = time.monotonic()
        seen.until(200, opened)
    assert "live: the maintenance is over" in again
    assert "saying: Back <soon> & well" in status
    assert "does not show it" not in status
    assert not seen.lost
    for number in range(len(seen.answers)):
        assert seen.phases(number) == [200, 503, 200]
    pages = [a for a in seen.all if a.status == 503]
    assert {a.retry_after for a in pages} == {"120"}
    assert all("Back &lt;soon&gt; &amp; well" in a.body for a in pages)
    assert not [a for a in seen.since(opened) if a.status != 200]
    assert [h["verb"] for h in app.pilotage("history", "--json").json][:2] == [
        "live",
        "maintenance",
    ]


def test_a_page_of_ones_own_and_what_is_wrong_with_others(app: App, served: str) -> None:
    page = app.root.parent / "page.html"
    page.write_text("<h1>Ours</h1>")
    app.pilotage("maintenance", "--page", str(page), "--status", "502", "--retry-after", "0")
    with clients(app.port, 1) as seen:
        seen.until(502, 0.0)
    assert (seen.all[0].body, seen.all[0].retry_after) == ("<h1>Ours</h1>", None)
    shown = app.status()
    assert shown["closure"]["by"] == "person"
    assert shown["astray"] == []

    wrong = app.pilotage("maintenance", "--page", "nowhere.html", status=2).err
    assert "No such file" in wrong
    page.write_bytes(b"<h1>\xff")
    assert "not UTF-8" in app.pilotage("maintenance", "--page", str(page), status=2).err
    page.write_text("x" * 300_000)
    assert "may have" in app.pilotage("maintenance", "--page", str(page), status=2).err
    page.write_text(" \n")
    assert "is empty" in app.pilotage("maintenance", "--page", str(page), status=2).err
    both = app.pilotage("maintenance", "--page", str(page), "--message", "x", status=2).err
    assert "exclude each other" in both
    assert "not a duration" in app.pilotage("maintenance", "--retry-after", "soon", status=2).err
    assert app.status()["closure"]["front"]["body"] == "<h1>Ours</h1>", "nothing was changed"
    assert app.pilotage("live", "--json").result["changed"]
    assert not app.pilotage("live", "--json").result["changed"]


@BOTH
def test_a_deploy_a_failure_and_a_rollback_leave_it_on(app: App, served: str) -> None:
    app.pilotage("maintenance")
    with clients(app.port, 4) as seen:
        seen.until(503, 0.0)
        second = app.commit("v2")
        assert "maintenance is on" in app.pilotage("deploy").out
        reading(app, 1, at_start="raise SystemExit(3)")
        app.commit("v3")
        app.pilotage("deploy", status=1)
        app.pilotage("rollback", served)
        app.pilotage("deploy", "--version", second)
        seen.until(503, time.monotonic())
    assert not seen.lost
    assert {a.status for a in seen.all} == {503}
    app.pilotage("live")
    assert app.serving() == second


def test_an_edge_that_crashed_comes_back_closed(app: App, served: str) -> None:
    app.pilotage("maintenance")
    app.end_edge()
    app.pilotage("deploy")
    with clients(app.port, 1) as seen:
        seen.until(503, 0.0)
    assert not seen.lost
    app.end_edge()
    app.pilotage("live")
    assert app.serving() == served

    app.pilotage("maintenance")
    app.pilotage("remove", "-y")
    app.pilotage("deploy")
    assert app.serving() == served, "what is removed is forgotten"


def test_while_a_deploy_is_at_work_the_lock_is_waited_for_or_taken_away(
    app: App, served: str
) -> None:
    app.held_back()
    app.commit("v2")
    deployer = app.start("deploy", "--json")
    app.until(deployer, event="StepStarted", kind="Check")
    held = app.pilotage("maintenance", status=1).err
    assert "holds the deploy lock" in held
    assert "pilotage lock release" in held
    app.pilotage("lock", "release", "--yes")
    app.pilotage("maintenance")
    deployer.kill()
    deployer.communicate()
    with clients(app.port, 1) as seen:
        seen.until(503, 0.0)
    app.pilotage("live")
    assert app.serving() == served
