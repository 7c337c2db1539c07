"""The audit of real commands: what ran, what was refused, what was killed."""

from __future__ import annotations

from typing import Any

from tests.e2e.local.conftest import App


def audit(app: App, *arguments: str) -> list[tuple[str, str]]:
    found: list[dict[str, Any]] = app.pilotage("audit", "--json", *arguments).json
    return [(entry["command"], entry["result"]) for entry in found]


def test_every_command_that_changes_something(app: App):
    app.pilotage("deploy")
    app.pilotage("status")
    app.pilotage("maintenance")
    app.pilotage("lock", "acquire", "-m", "it is Friday")
    app.pilotage("deploy", status=1)
    app.pilotage("lock", "release")
    app.pilotage("exec", "--", "true")
    app.release(2)
    app.held_back()
    app.commit()
    killed = app.start("deploy", "--json")
    app.until(killed, event="StepStarted", kind="Check")
    app.kill(killed)

    expected = [
        ("deploy", "done"),
        ("maintenance", "done"),
        ("lock acquire -m 'it is Friday'", "done"),
        ("deploy", "refused"),
        ("lock release", "done"),
        ("exec -- true", "done"),
        ("deploy --json", "unknown"),
        ("lock release --yes", "done"),
    ]
    assert audit(app) == expected
    assert audit(app, "--lines", "2") == expected[-2:]
    page = app.pilotage("audit").out
    assert "holds the deploy lock" in page
    log = app.root / ".pilotage" / "audit.log"
    assert log.read_text().count("\n") == 2 * len(expected) - 1

    app.pilotage("remove", "-y")
    assert not log.exists()
    assert audit(app)[-1] == ("remove -y", "done"), "the database keeps it"
