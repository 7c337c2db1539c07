"""Events as plain lines, as JSON lines and on a terminal; secrets in none of them."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console
from tests.unit.cli.test_pages import second_plan

from pilotage import events
from pilotage.cli.options import Settings
from pilotage.cli.render import words
from pilotage.cli.render.lines import JsonLines, PlainLines
from pilotage.cli.render.live import Live
from pilotage.secret import Secret

STEP = {"index": 0, "total": 2, "step": "expand 1 first", "kind": "ApplyHalf"}


def run_of_a_deploy() -> list[events.Event]:
    return [
        events.Planned(plan=second_plan(notes=("look out",))),
        events.StepStarted(**STEP),
        events.HalfStarted(half="1/expand", name="first", statements=2),
        events.HalfRetried(half="1/expand", attempt=1, wait=0.5, why="bob reads t"),
        events.BackfillProgress(version="1", rows=2500, rate=1000.0, fraction=0.5, eta=2.5, at=9.0),
        events.BackfillProgress(
            version="1", rows=2600, rate=1000.0, fraction=0.52, eta=2.4, at=9.1
        ),
        events.BackfillProgress(version="1", rows=5000, rate=1000.0, fraction=1.0, eta=0.0, at=9.2),
        events.CommandRan(host="here", argv=("run", "pass sw0rdsw0rd"), seconds=0.1, status=0),
        events.StepFinished(**STEP, seconds=1.5, detail="as it should"),
        events.InstanceStopped(instance="web-1", seconds=10.0, killed=True),
        events.StepFailed(**{**STEP, "index": 1}, error="it broke"),
    ]


def shown(capsys: pytest.CaptureFixture[str], **options: object) -> tuple[str, str]:
    settings = Settings(secrets=[Secret("sw0rdsw0rd")], **options)
    with PlainLines(settings) as show:
        for event in run_of_a_deploy():
            show(event)
    captured = capsys.readouterr()
    return captured.out, captured.err


def test_plain_lines(capsys):
    out, _ = shown(capsys)
    assert "note: look out" in out
    assert "[ 1/2] expand 1 first\n" in out
    assert "1/expand did not get its lock: bob reads t; attempt 2 in 0.5 s" in out
    assert "1: 50%, 2 500 rows, 1 000/s, 2.5 s left" in out
    assert "2 600" not in out, "progress is told every few seconds"
    assert "1: 5 000 rows changed" in out
    assert "[ 1/2] done in 1.5 s  as it should\n" in out
    assert "[ 2/2] FAILED: it broke\n" in out
    assert "$ run" not in out


def test_verbose_shows_commands_without_secrets(capsys):
    out, _ = shown(capsys, verbose=True)
    assert "$ run 'pass [secret]'   (here, 0.1 s)" in out
    assert "sw0rd" not in out


def test_a_command_is_told_as_a_person_would_type_it():
    argv = ("docker", "inspect", "--format", "[{{json .ID}}]", "ab" * 32, "it's", "one\ntwo")
    event = events.CommandRan(host="here", argv=argv, seconds=0.25, status=1)
    assert words.of(event, verbose=True) == (
        "$ docker inspect abababababab 'it'\"'\"'s' …   (here, 0.2 s, exit 1)"
    )


def test_quiet_shows_warnings_alone(capsys):
    out, err = shown(capsys, quiet=True)
    assert out == ""
    assert "did not get its lock" in err
    assert "web-1 killed" in err
    assert "healthy" not in err


def test_json_lines_are_one_object_an_event(capsys):
    with JsonLines(Settings(secrets=[Secret("sw0rdsw0rd")])) as show:
        for event in run_of_a_deploy():
            show(event)
    out = capsys.readouterr().out
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["event"] for line in lines] == [type(e).__name__ for e in run_of_a_deploy()]
    assert "sw0rd" not in out
    assert lines[0]["plan"]["verb"] == "deploy"


def test_live_view_leaves_what_is_done_on_the_screen():
    console = Console(file=io.StringIO(), force_terminal=True, width=100, height=30)
    with Live(Settings(secrets=[Secret("sw0rdsw0rd")], verbose=True), console) as show:
        for event in run_of_a_deploy():
            show(event)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "✓" in text
    assert "expand 1 first" in text
    assert "50%" in text
    assert "2 500 rows" in text
    assert "! web-1 killed" in text
    assert "✗" in text
    assert "sw0rd" not in text
    assert text.endswith("\x1b[?25h") or "\x1b[?25h" in text, "the cursor is back"
