"""A deployer that is interrupted or killed: what it left is said, and the same command finishes."""

from __future__ import annotations

import signal

import pytest
from tests.e2e.local.conftest import App


def settled(app: App, release: str) -> None:
    """The release runs, alone, and nothing is unfinished."""
    status = app.status()
    assert status["settled"], status["state"]
    assert status["release"]["id"] == release
    assert status["lock"] is None
    lives = [(i["role"], i["release"], i["life"], i["fits"]) for i in status["instances"]]
    assert sorted(lives) == [("job", release, "running", True), ("web", release, "running", True)]
    assert app.serving() == release


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_before_the_switch(app, which):
    app.pilotage("deploy")
    served = app.serving()
    go = app.held_back()
    release = app.release(2)
    deployer = app.start("deploy", "--json")
    app.until(deployer, event="StepStarted", kind="Check")

    deployer.send_signal(which)
    ran = app.ended(deployer, status=1)

    name = "Ctrl-C" if which is signal.SIGINT else which.name
    assert f"interrupted by {name}" in ran.err
    assert f"the deploy to {release} is unfinished, before the switch" in ran.err
    assert f"release {served} serves" in ran.err
    assert f"pilotage deploy --version {release}" in ran.err
    assert f"pilotage rollback {served}" in ran.err
    assert ran.result["outcome"] == "interrupted"
    assert app.serving() == served
    status = app.status()
    assert status["lock"] is None, "it was released"
    assert not status["settled"]
    assert f"pilotage deploy --version {release}" in app.pilotage("status").out

    go.touch()
    app.pilotage("deploy", "--version", release)
    settled(app, release)
    assert [e["outcome"] for e in app.pilotage("history", "--json").json] == [
        "done",
        "interrupted",
        "done",
    ]


def test_rollback_of_an_interrupted_deploy(app):
    app.pilotage("deploy")
    served = app.serving()
    app.held_back()
    app.release(2)
    deployer = app.start("deploy", "--json")
    app.until(deployer, event="StepStarted", kind="Check")
    deployer.send_signal(signal.SIGINT)
    app.ended(deployer, status=1)

    app.pilotage("rollback")
    settled(app, served)


def test_signal_after_the_switch(app):
    app.pilotage("deploy")
    release = app.release(2)
    deployer = app.start("deploy", "--json")
    app.until(deployer, event="StepFinished", kind="Switch")
    deployer.send_signal(signal.SIGTERM)
    _, err = deployer.communicate(timeout=60)
    if deployer.returncode:
        assert "the traffic is switched" in err
    assert app.serving() == release
    app.pilotage("deploy")
    settled(app, release)


def test_second_signal_leaves_at_once(app):
    app.pilotage("deploy")
    app.held_back()
    app.release(2)
    deployer = app.start("deploy", "--json")
    app.until(deployer, event="StepStarted", kind="Check")
    deployer.send_signal(signal.SIGINT)
    deployer.send_signal(signal.SIGINT)
    assert deployer.wait(30) == 1


def test_nohup_is_respected(app):
    deployer = app.start("deploy", "--json", preexec_fn=ignore_hangup)
    app.until(deployer, event="StepStarted", kind="Check")
    deployer.send_signal(signal.SIGHUP)
    app.ended(deployer)
    assert app.serving()


def ignore_hangup() -> None:
    """As nohup does."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


STEPS = [
    *("Fetch", "Contract", "ApplyHalf", "Backfill", "EnsureProxy", "Start", "Check", "Switch"),
    *("Confirm", "Start", "Check", "Stop", "Drain", "Stop", "Finish"),
]
"""What the plan of a deploy with an expand, a backfill and a held contract is."""


@pytest.mark.parametrize("part", [range(5), range(5, 10), range(10, 15)], ids=str)
def test_killed_at_a_step_and_run_again(app, part):
    app.pilotage("deploy")
    app.execute("INSERT INTO items (id, name) VALUES (1, 'a'), (2, 'b')")
    add_column(app, 0)
    app.commit()
    app.pilotage("deploy")
    for index in part:
        add_column(app, index + 1)
        release = app.commit()
        steps = app.pilotage("plan", "--json").json["steps"]
        assert [step["kind"] for step in steps] == STEPS
        deployer = app.start("deploy", "--json")
        app.until(deployer, event="StepStarted", index=index)

        app.kill(deployer)

        assert app.serving(), "something serves, whatever happened"
        app.pilotage("deploy")
        settled(app, release)
        columns = {column for table, column in app.schema() if table == "items"}
        kept = "".join(sorted(c for c in columns if c.startswith("extra")))
        assert kept == f"extra_{index + 1}", "the one before was contracted, the new one is there"
        rows = app.execute(f"SELECT name, extra_{index + 1} FROM items ORDER BY id")
        assert rows == [("a", "a!"), ("b", "b!")]


def add_column(app: App, number: int) -> None:
    """A migration that adds and fills a column, and later drops it."""
    app.write(
        f"db/migrations/2026050100{number:04}_extra.sql",
        f"-- expand\nALTER TABLE items ADD COLUMN extra_{number} text;\n"
        f"-- backfill\nUPDATE items SET extra_{number} = name || '!' WHERE extra_{number} IS NULL;\n"
        f"-- contract\nALTER TABLE items DROP COLUMN extra_{number};\n",
    )
